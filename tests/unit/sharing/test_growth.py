"""Nothing grows without end: a week of work in the memory of a host, and every key in Redis."""

import asyncio
from typing import Any

import pytest
from redis import Redis

from scaleset_burst.cache.kinds import Kind
from scaleset_burst.cache.service import Shared
from scaleset_burst.journal import Change, MemoryJournal, State
from scaleset_burst.sharing.budget import NEVER, Fallback, SharedBudget
from scaleset_burst.sharing.cache import RedisCache
from scaleset_burst.sharing.keys import Keys
from scaleset_burst.sharing.names import MOST_NAMES, SharedNames
from scaleset_client.types import RunnerGroup
from tests.kit.redis_server import RedisServer
from tests.unit.sharing.hosts import KEYS, BareHost, HandClock, settle
from tests.unit.sharing.test_mirror import OneHash

WEEK = 7 * 86_400
WINDOW = 300.0


def test_what_a_host_spent_leaves_its_memory_with_the_window() -> None:
    budget = SharedBudget(limit=375, window=WINDOW, whole=1500, fallback=Fallback(375, 375, NEVER, WINDOW))
    budget.recall(0.0, [(1.0, 5)])
    longest = 0
    for now in range(0, WEEK, 20):
        online = now % 7200 < 5000
        if online:
            budget.came_back(20, 5)
        elif budget.online:
            budget.became_unavailable(float(now), 4)
        sent = budget.allow(float(now), 10)
        budget.reserve(float(now), sent)
        for _ in range(sent):
            budget.settle(float(now), 1, 0)
        assert budget.used == sum(count for _, count in budget.spent)
        longest = max(longest, len(budget.spent))
        budget.tokens = 0
    assert 100 < longest <= 10 * (WINDOW / 20 + 1)


@pytest.mark.parametrize("reports", [False, True])
def test_names_that_nobody_launches_leave_room_for_those_that_are_reserved(*, reports: bool) -> None:
    """From 10,000 delivered names on, no name of this host was told to others any more."""

    async def main() -> None:
        store: Any = OneHash()
        names = SharedNames(MemoryJournal(), store, Keys("burst", "github.com/acme"), "me")
        await names.upload()
        if reports:
            names.note([Change(name="launched", state=State.LAUNCHED, runner_id=1)])
        for hour in range(7 * 24):
            wave = [f"{hour}-{number}" for number in range(100)]
            await names.reserve(42, wave)
            assert set(wave) <= store.fields.keys()
            await names.record([Change(name=name, state=State.DELIVERED, runner_id=1) for name in wave])
            await names.flush()
            assert len(store.fields) <= MOST_NAMES // 2 + 200
        kept = [names._open, names._mirrored, names._delivered, names._settled, names._changed, names._taken]
        assert sum(len(each) for each in kept) < 3 * MOST_NAMES
        await names.close()

    asyncio.run(main())


@pytest.mark.anyio
async def test_every_key_expires(server: RedisServer) -> None:
    one, other = BareHost(server.url, "one"), BareHost(server.url, "other")
    cache = RedisCache(one.store, KEYS, "one", clock=HandClock())
    mirrors = [SharedNames(MemoryJournal(), each.store, KEYS, each.name) for each in (one, other)]
    with Redis.from_url(server.url, decode_responses=True) as client:
        found = set()

        def scan() -> None:
            for key in client.scan_iter():
                assert client.pttl(key) > 0, key
                found.add(key.removeprefix(KEYS.key()).split(":")[1])

        for each, mirror in zip((one, other), mirrors, strict=True):
            await each.heartbeat.send_heartbeat()
            await mirror.upload()
            await mirror.reserve(7, [f"{each.name}-{number}" for number in range(3)])
            await mirror.record([Change(name=f"{each.name}-0", state=State.DELIVERED, runner_id=1)])
            mirror.note([Change(name=f"{each.name}-1", state=State.AMBIGUOUS, scale_set_id=7)])
            await mirror.flush()
            scan()
        settle(server.url)
        one.waiting = 9
        await one.heartbeat.send_heartbeat()
        one.register(9)
        one.budget.told, one.waiting = one.clock.now + 0.05, 5
        await one.heartbeat.send_heartbeat()
        await asyncio.sleep(0.1)
        await one.heartbeat.send_heartbeat()
        scan()
        assert await cache.get(Kind.RUNNER_GROUP, "builders") is None
        scan()
        await cache.put(Kind.RUNNER_GROUP, "builders", Shared(value=RunnerGroup(id=5, name="builders"), said_at=0), 1e5)
        await cache.invalidate(Kind.RUNNER_GROUP, "gone")
        heartbeats = client.hget(KEYS.ledger[-1], "other")
        assert len(await mirrors[0].claim("other", str(heartbeats))) == 2
        scan()
        await one.heartbeat.leave()
        await other.heartbeat.leave()
        scan()
    assert found >= {"meta", "hosts", "state", "spent", "counts", "pause", "probe", "owners", "names", "taken", "known"}
    for each in (one, other):
        await each.store.aclose()
