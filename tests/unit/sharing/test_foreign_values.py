"""Whatever stands under our keys, written by whoever can write to Redis: no raw error, and never a wrong scale set."""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from scaleset_burst.cache.kinds import Kind
from scaleset_burst.journal import Change, MemoryJournal, State, UnrecordedNames
from scaleset_burst.sharing.cache import RedisCache
from scaleset_burst.sharing.names import SharedNames
from scaleset_burst.sharing.scripts import COUNT
from scaleset_burst.sharing.store import RedisUnavailable
from tests.kit.examples import examples
from tests.kit.redis_server import RedisServer
from tests.unit.sharing.hosts import KEYS, LIMIT, BareHost, HandClock, settle

pytestmark = pytest.mark.anyio

PLACES = [
    *KEYS.ledger,
    KEYS.names("me"),
    KEYS.names("dead"),
    f"{KEYS.taken}:a",
    KEYS.known(Kind.SCALE_SET_NAME.value, "default/linux"),
    KEYS.asking(Kind.SCALE_SET_NAME.value, "default/linux"),
]
FIELDS = st.sampled_from(
    b"epoch settles seen sizes sum:me held:me want:me busy:me prom:one held:one a ! dead me one 5|me".split()
)
TEXTS = st.one_of(
    st.binary(max_size=12),
    st.integers().map(lambda number: str(number).encode()),
    st.sampled_from([b"nan", b"inf", b"-1e400", b"0x10", b"r|", b"r|7", b"d|x", b"\xff|\xfe", b"1|1|1|1", b"1"]),
    st.sampled_from(
        [
            b'{"life": 1e400, "set": {"id": 7, "name": "linux"}}',
            b'{"life": 1' + b"0" * 400 + b', "set": {"id": 7, "name": "linux"}}',
            b'{"life": -9, "set": {"id": 7, "name": "linux"}}',
            b'{"life": 9, "set": {"id": [7], "name": "linux"}}',
            b'{"life": 9, "group": {"id": 7, "name": "linux"}}',
            b'{"life": 9, "set": [1]}',
            b"[" * 10_000,
        ]
    ),
)


def put(client: Any, place: str, kind: str, values: list[bytes]) -> None:  # noqa: ANN401  # its types depend on decoding
    """Write a value of one type of Redis, in place of what was there or into it."""
    first, *rest = values
    write: dict[str, Callable[[], object]] = {
        "string": lambda: client.set(place, first, keepttl=True),
        "list": lambda: client.rpush(place, *values),
        "set": lambda: client.sadd(place, *values),
        "hash": lambda: client.hset(place, mapping=dict.fromkeys(rest or values, first)),
        "sorted": lambda: client.zadd(place, dict.fromkeys(values, float(len(rest)))),
        "stream": lambda: client.xadd(place, dict.fromkeys(values, first)),
        "nothing": lambda: client.delete(place),
    }
    if client.type(place) != {"sorted": b"zset"}.get(kind, kind.encode()):
        client.delete(place)
    write[kind]()


KINDS = st.sampled_from(["string", "list", "set", "hash", "sorted", "stream", "nothing"])
WRITES = st.lists(
    st.tuples(st.sampled_from(PLACES), KINDS, st.lists(FIELDS | TEXTS, min_size=1, max_size=3)), min_size=1, max_size=4
)


class PassingClock(HandClock):
    """Passes when somebody waits."""

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(writes=WRITES)
async def test_nothing_that_stands_in_redis_ends_in_a_raw_error(server: RedisServer, writes: Any) -> None:  # noqa: ANN401
    with Redis.from_url(server.url) as client:
        client.flushall()
        host, other = BareHost(server.url, "me"), BareHost(server.url, "one")
        names = SharedNames(MemoryJournal(), host.store, KEYS, "me")
        cache = RedisCache(host.store, KEYS, "me", clock=PassingClock())
        host.waiting = other.waiting = 50
        for each in (host, other):
            await each.heartbeat.send_heartbeat()
        await names.upload()
        await names.reserve(7, ["a"])
        settle(server.url)
        for place, kind, values in writes:
            put(client, place, kind, values)
        for _ in range(2):
            for each in (host, other):
                await each.heartbeat.send_heartbeat()
                assert each.register(50) <= LIMIT
                assert each.budget.tokens >= 0 <= each.budget.promise <= LIMIT
                assert not each.heartbeat._puzzled
        with suppress(UnrecordedNames):
            await names.record([Change(name="a", state=State.DELIVERED, runner_id=1)])
        with suppress(UnrecordedNames):
            await names.reserve(7, ["b"])
        with suppress(RedisUnavailable):
            await names.flush()
        with suppress(RedisUnavailable):
            for leftover in await names.claim("dead", "1"):
                assert leftover.name.isprintable()
        known = await cache.get(Kind.SCALE_SET_NAME, "default/linux")
        assert known is None or known.value.name == "linux"
        with suppress(RedisUnavailable):
            await host.store.all_of(KEYS.ledger[-1])
            await host.store.run(COUNT, [KEYS.ledger[1]], [])
        await names.close()
        for each in (host, other):
            await each.heartbeat.leave()
            await each.store.aclose()


async def test_foreign_types_are_replaced_and_named_once(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """Each ledger key in turn held a list: every script failed for ever."""
    host = BareHost(server.url, "me")
    with Redis.from_url(server.url) as client, caplog.at_level(logging.WARNING):
        for place in KEYS.ledger:
            client.delete(place)
            client.rpush(place, "x")
            for _ in range(2):
                await host.heartbeat.send_heartbeat()
            settle(server.url)
            host.waiting = 10
            await host.heartbeat.send_heartbeat()
            assert host.budget.online
        for _ in range(3):
            client.delete("any")
            client.rpush("any", "x")
            with pytest.raises(RedisUnavailable):
                await host.store.all_of("any")
            await host.heartbeat.send_heartbeat()
    assert len(caplog.records) == 1
    await host.store.aclose()
