"""What hosts may do together, one heartbeat after another: on a real Redis, and whatever answer is lost."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from redis import Redis

from scaleset_burst.sharing.store import RedisUnavailable
from tests.kit.redis_server import RedisServer
from tests.unit.sharing.hosts import KEYS, LIMIT, BareHost, settle

pytestmark = pytest.mark.anyio

MakeHost = Callable[[str], BareHost]


@pytest.fixture
async def host(server: RedisServer) -> AsyncIterator[MakeHost]:
    made: list[BareHost] = []

    def make(name: str) -> BareHost:
        made.append(BareHost(server.url, name))
        return made[-1]

    yield make
    for each in made:
        await each.store.aclose()


def restart(server: RedisServer) -> None:
    server.kill()
    server.start()


async def test_an_empty_redis_is_told_of_a_pause_and_so_are_the_others(server: RedisServer, host: MakeHost) -> None:
    one, other = host("one"), host("other")
    await one.heartbeat.send_heartbeat()
    one.budget.told_to_wait(1000.0, 60.0, random.Random(1))
    await one.heartbeat.send_heartbeat()
    restart(server)
    for _ in range(3):
        await one.heartbeat.send_heartbeat()
        await other.heartbeat.send_heartbeat()
    assert one.budget.pause_left(1000.0) > 50
    assert other.budget.pause_left(1000.0) > 50


async def test_a_pause_that_ended_while_redis_was_away_is_not_told_when_it_returns(
    server: RedisServer, host: MakeHost
) -> None:
    one = host("one")
    await one.heartbeat.send_heartbeat()
    server.kill()
    one.budget.told_to_wait(1000.0, 60.0, random.Random(1))
    await one.heartbeat.send_heartbeat()
    one.clock.now = 1100.0
    assert one.register(1) == 1
    one.budget.succeeded(1100.0)
    server.start()
    for _ in range(3):
        await one.heartbeat.send_heartbeat()
    assert one.budget.paused_until is None


async def test_a_beat_that_the_end_cancels_is_told_again(
    server: RedisServer, host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = host("one")
    await one.heartbeat.send_heartbeat()
    settle(server.url)
    one.waiting = 20
    await one.heartbeat.send_heartbeat()
    one.waiting = 0
    assert one.register(20) == 20

    async def never(_script: str, _keys: Sequence[str], _arguments: Sequence[object]) -> Any:  # noqa: ANN401
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr(one.store, "run", never)
        beating = asyncio.create_task(one.heartbeat.send_heartbeat())
        await asyncio.sleep(0)
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating
    await one.heartbeat.leave()
    with Redis.from_url(server.url, decode_responses=True) as client:
        assert client.hget(KEYS.ledger[2], "sum:one") == "20"


async def test_who_comes_back_after_all_hosts_died_still_finds_whose_names_there_are(
    server: RedisServer, host: MakeHost
) -> None:
    await host("one").heartbeat.send_heartbeat()
    with Redis.from_url(server.url) as client:
        assert client.pttl(KEYS.ledger[-1]) > 80_000_000


async def busy(one: BareHost, heartbeats: int = 40) -> int:
    """Send what is granted in so many heartbeats; return how much it was."""
    one.waiting, sent = 1000, 0
    for _ in range(heartbeats):
        await one.heartbeat.send_heartbeat()
        sent += one.register(1000)
    return sent


async def together(server: RedisServer, *hosts: BareHost) -> None:
    """Let all of them be known, and Redis grant."""
    for each in hosts:
        await each.heartbeat.send_heartbeat()
    settle(server.url)
    for _ in range(3):
        for each in hosts:
            await each.heartbeat.send_heartbeat()


async def test_what_a_host_keeps_is_not_given_away_with_an_answer_that_it_never_gets(
    server: RedisServer, host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off, other = host("cut off"), host("other")
    await together(server, cut_off, other)
    sent = await busy(other, 2)
    asked = cut_off.store.run

    async def unavailable(script: str, keys: Sequence[str], arguments: Sequence[object]) -> Any:  # noqa: ANN401
        await asked(script, keys, arguments)
        raise RedisUnavailable("no answer")

    monkeypatch.setattr(cut_off.store, "run", unavailable)
    await cut_off.heartbeat.send_heartbeat()
    sent += await busy(other)
    alone = cut_off.register(1000)
    assert alone > 1
    assert sent + alone <= LIMIT


async def test_what_a_host_may_send_until_it_has_heard_is_nobody_elses(server: RedisServer, host: MakeHost) -> None:
    late, other = host("late"), host("other")
    await together(server, late, other)
    restart(server)
    for each in (late, other):
        await each.heartbeat.send_heartbeat()
        await each.heartbeat.send_heartbeat()
    settle(server.url)
    sent = await busy(other)
    alone = late.register(1000)
    assert alone > 1
    assert sent + alone <= LIMIT
    await late.heartbeat.send_heartbeat()
    await late.heartbeat.send_heartbeat()


async def test_what_nobody_keeps_or_wants_is_soon_granted(server: RedisServer, host: MakeHost) -> None:
    idle, other = host("idle"), host("other")
    await together(server, idle, other)
    sent = await busy(other, 2)
    assert await idle.heartbeat.send_heartbeat() == 0.0, "others wait for it to confirm"
    await idle.heartbeat.send_heartbeat()
    assert sent + await busy(other) >= LIMIT - 2


async def test_names_told_to_an_empty_redis_that_goes_again_are_not_used(server: RedisServer, host: MakeHost) -> None:
    one = host("one")
    await one.heartbeat.send_heartbeat()
    server.kill()
    await one.heartbeat.send_heartbeat()
    assert one.losses == 1
    await one.heartbeat.send_heartbeat()
    assert one.losses == 1, "those drawn since are in the journal of the machine only"


async def test_what_was_granted_is_not_sent_after_a_pause_in_which_others_may_have_got_it(
    server: RedisServer, host: MakeHost
) -> None:
    paused = host("paused")
    await together(server, paused)
    paused.waiting = 20
    await paused.heartbeat.send_heartbeat()
    paused.clock.now += 31
    assert paused.register(20) == 0
    await paused.heartbeat.send_heartbeat()
    assert paused.register(20) == 20


async def test_who_ends_while_finding_out_whether_a_pause_is_over_leaves_that_to_another(
    server: RedisServer, host: MakeHost
) -> None:
    one, other = host("one"), host("other")
    await together(server, one, other)
    one.budget.told_to_wait(1000.0, 1.0, random.Random(1))
    one.waiting = other.waiting = 5
    await one.heartbeat.send_heartbeat()
    await asyncio.sleep(1.1)
    await one.heartbeat.send_heartbeat()
    await other.heartbeat.send_heartbeat()
    assert (one.budget.may_probe, other.budget.may_probe) == (True, False)
    await one.heartbeat.leave()
    await other.heartbeat.send_heartbeat()
    assert other.budget.may_probe


@pytest.mark.parametrize("part", [0, 1, 2, 3, 4])
async def test_a_ledger_that_lost_a_part_grants_nothing_beyond_the_limit(
    server: RedisServer, host: MakeHost, part: int
) -> None:
    one, other = host("one"), host("other")
    for each in (one, other):
        await each.heartbeat.send_heartbeat()
    settle(server.url)
    registered = 0
    for unavailable in (False, True):
        if unavailable:
            with Redis.from_url(server.url) as client:
                assert client.delete(KEYS.ledger[part]) == 1
        for turn in range(12):
            for each in (one, other):
                each.waiting = LIMIT
                await each.heartbeat.send_heartbeat()
                registered += each.register(LIMIT)
            if turn == 3:  # both have told what they used, which is what they are waited for
                settle(server.url)
        assert LIMIT // 2 < registered <= LIMIT


@pytest.mark.parametrize("late", [False, True])
async def test_what_the_journal_knows_is_told_with_the_first_join_or_the_next(
    server: RedisServer, host: MakeHost, *, late: bool
) -> None:
    """A host registered alone, began again, and the whole limit was granted once more."""
    other, alone = host("other"), host("journal-2")
    await together(server, other)
    if not late:
        alone.budget.recall(1000.0, [(10.0, 60), (20.0, 30)])
    await together(server, alone, other)
    if late:
        alone.budget.recall(1000.0, [(10.0, 60), (20.0, 30)])
    assert 90 + await busy(alone) + await busy(other) in range(LIMIT - 2, LIMIT + 1)


async def test_what_redis_counts_for_a_dead_process_is_not_counted_again(server: RedisServer, host: MakeHost) -> None:
    first, stranger = host("journal-1"), host("other-1")
    await together(server, first, stranger)
    sent = await busy(first, 1)
    assert sent > 10
    await first.heartbeat.leave()
    again = host("journal-2")
    again.budget.recall(1000.0, [(10.0, sent), (20.0, 30)])  # 30 of them while Redis was away
    await together(server, again, stranger)
    with Redis.from_url(server.url, decode_responses=True) as client:
        sums = {key: int(count) for key, count in client.hgetall(KEYS.ledger[2]).items() if key.startswith("sum:")}
    assert sums == {"sum:journal-1": sent, "sum:journal-": 30}
    restart(server)  # nobody remembers but the journal
    for _ in range(3):
        await again.heartbeat.send_heartbeat()
    with Redis.from_url(server.url, decode_responses=True) as client:
        assert int(client.hget(KEYS.ledger[2], "sum:journal-") or 0) == sent + 30
