"""The connection: what it needs of a server, and what it says of one that is of no use."""

import asyncio
import signal
import time
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

import pytest
from redis import Redis

import scaleset_burst.sharing.store as store_module
from scaleset_burst.cache import Shared
from scaleset_burst.cache.kinds import Kind
from scaleset_burst.sharing.budget import NEVER, Fallback, SharedBudget
from scaleset_burst.sharing.cache import RedisCache
from scaleset_burst.sharing.heartbeat import HEARTBEAT_SECONDS, Heartbeat, Tuning
from scaleset_burst.sharing.keys import Keys
from scaleset_burst.sharing.sharing import Sharing
from scaleset_burst.sharing.store import RedisStore, RedisUnavailable
from scaleset_client.clock import SystemClock
from scaleset_client.types import RunnerGroup
from tests.kit.redis_server import RedisServer, find_server
from tests.unit.sharing.hosts import BareHost

pytestmark = pytest.mark.anyio

KEYS = Keys("test", "github.com/acme")


async def test_one_host_asks_and_the_others_wait_on_any_supported_server(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    store = RedisStore(server.url, timeout=1.0)
    one, other = (RedisCache(store, KEYS, host, clock=SystemClock()) for host in ("a", "b"))
    assert await one.get(Kind.RUNNER_GROUP, "builders") is None
    waiting = asyncio.create_task(other.get(Kind.RUNNER_GROUP, "builders"))
    await asyncio.sleep(0.1)
    assert not waiting.done(), "the first one is asking"
    assert await one.get(Kind.RUNNER_GROUP, "builders") is None, "it may ask again itself"
    assert await waiting is None, "it waits no longer than a second"
    assert not caplog.records
    await store.aclose()


class Wrong(SystemClock):
    """Its time of day is wrong by an hour."""

    def time(self) -> float:
        return super().time() + 3600.0


async def test_the_age_of_what_another_host_learnt_needs_no_common_clock(server: RedisServer) -> None:
    store = RedisStore(server.url, timeout=1.0)
    right = RedisCache(store, KEYS, "a", clock=SystemClock())
    wrong = RedisCache(store, KEYS, "b", clock=Wrong())
    group = RunnerGroup(id=5, name="builders")
    for teller, asker in ((right, wrong), (wrong, right)):
        told = Shared(value=group, said_at=teller._clock.time() - 100.0)
        await teller.put(Kind.RUNNER_GROUP, "builders", told, 300.0)
        heard = await asker.get(Kind.RUNNER_GROUP, "builders")
        assert heard is not None
        assert heard.value == group
        assert asker._clock.time() - heard.said_at == pytest.approx(100.0, abs=5.0)
    await store.aclose()


async def test_a_late_answer_brings_nothing_back_that_is_no_longer_true(server: RedisServer) -> None:
    store = RedisStore(server.url, timeout=1.0)
    late, other = (RedisCache(store, KEYS, host, clock=SystemClock()) for host in ("a", "b"))
    before = Shared(value=RunnerGroup(id=5, name="builders"), said_at=SystemClock().time() - 2.0)
    await other.invalidate(Kind.RUNNER_GROUP, "builders")
    await late.put(Kind.RUNNER_GROUP, "builders", before, 300.0)
    assert await other.get(Kind.RUNNER_GROUP, "builders") is None
    await asyncio.sleep(0.01)
    after = Shared(value=RunnerGroup(id=6, name="builders"), said_at=SystemClock().time())
    await other.put(Kind.RUNNER_GROUP, "builders", after, 300.0)
    await late.put(Kind.RUNNER_GROUP, "builders", before, 300.0)
    heard = await late.get(Kind.RUNNER_GROUP, "builders")
    assert heard is not None
    assert heard.value == after.value
    await store.aclose()


async def test_only_hosts_whose_lease_lasts_are_counted(server: RedisServer) -> None:
    store = RedisStore(server.url, timeout=1.0)
    sharing = sharing_on(store)
    assert await sharing.count_hosts() == 0
    with Redis.from_url(server.url) as client:
        now = int(time.time() * 1000)
        client.zadd(KEYS.ledger[1], {"killed": now - 1, "alive": now + 10_000})
    assert await sharing.count_hosts() == 1
    await sharing.stop()


@pytest.mark.parametrize(("policy", "said"), [("volatile-ttl", "volatile-ttl"), ("noeviction", None)])
async def test_a_policy_that_drops_keys_is_named(server: RedisServer, policy: str, said: str | None) -> None:
    with Redis.from_url(server.url) as client:
        client.config_set("maxmemory-policy", policy)
    store = RedisStore(server.url, timeout=1.0)
    sharing = sharing_on(store)
    assert await sharing.eviction_policy() == said
    server.kill()
    assert await sharing.eviction_policy() is None
    await sharing.stop()


async def test_more_questions_at_once_than_connections_wait_for_one(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    store = RedisStore(server.url, timeout=2.0)
    assert await asyncio.gather(*(store.fetch(f"key {number}") for number in range(100))) == [None] * 100
    assert not caplog.records
    await store.aclose()


async def test_a_server_that_takes_nothing_more_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    if find_server() is None:
        pytest.skip("needs redis-server or valkey-server")
    with RedisServer("--maxmemory", "1", "--maxmemory-policy", "noeviction") as full:
        store = RedisStore(full.url, timeout=1.0)
        heartbeat = beating(store)
        for _ in range(3):
            await heartbeat.send_heartbeat()
            assert await store.all_of("anything") == {}
        await store.aclose()
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1, said
    assert "out of memory" in said[0]


@pytest.mark.parametrize(
    "answer", [b"+OK\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$2\r\n\xff\xfe\r\n", b"*1\r\n:1\r\n"]
)
async def test_whatever_else_listens_there_the_host_goes_on_and_beats_again(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionResetError):  # some versions of the driver leave without reading all
            while await reader.read(65536):
                writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        store = RedisStore(f"redis://127.0.0.1:{listener.sockets[0].getsockname()[1]}/0", timeout=0.2)
        heartbeat = beating(store)
        for _ in range(2):
            assert await heartbeat.send_heartbeat() == HEARTBEAT_SECONDS
        await store.aclose()


async def test_a_redis_that_hangs_is_waited_for_once_and_asked_in_the_background(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store_module, "FIRST_BACKOFF", 0.05)
    store, waited = RedisStore(server.url, timeout=0.2), list[object]()
    answer = store._answer

    async def counted(work: Awaitable[Any]) -> Any:  # noqa: ANN401  # as the driver's
        waited.append(work)
        return await answer(work)

    monkeypatch.setattr(store, "_answer", counted)
    for hang in range(1, 3):
        assert await store.fetch("key") is None
        waited.clear()
        server.signal(signal.SIGSTOP)
        with pytest.raises(RedisUnavailable):
            await store.fetch("key")
        for _ in range(100):
            with pytest.raises(RedisUnavailable, match="does not answer"):
                await store.fetch("key")
        assert len(waited) == 1
        assert store._asking is not None
        server.signal(signal.SIGCONT)
        await store._asking
        assert store._backoff == 0.05 * hang, "who hangs again at once is asked less often"
    assert len(caplog.records) == 1
    await store.aclose()


async def test_a_connection_that_says_nothing_any_more_is_given_up(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "QUIET_SECONDS", 0.2)
    store = RedisStore(server.url, timeout=0.2)
    hearing = store.hear("news")
    assert await anext(hearing) == ""
    message = asyncio.ensure_future(anext(hearing))
    await asyncio.sleep(1.0)
    await store.tell("news", "still here")
    assert await message == "still here"
    server.signal(signal.SIGSTOP)
    with pytest.raises((RedisUnavailable, StopAsyncIteration)):
        await asyncio.wait_for(anext(hearing), 5)
    server.signal(signal.SIGCONT)
    await store.aclose()


def sharing_on(store: RedisStore) -> Sharing:
    return Sharing(
        store,
        KEYS.scope,
        prefix=KEYS.prefix,
        lease=30.0,
        hosts=4,
        registrations=100,
        window=300.0,
        journal="here",
        clock=SystemClock(),
    )


def beating(store: RedisStore) -> Heartbeat:
    share = Fallback(100, 100, NEVER, 300.0)
    budget = SharedBudget(limit=100, window=300.0, whole=100, fallback=share)
    tuning = Tuning(lease=30.0, window=300.0, hosts=1)
    return Heartbeat(store, KEYS, "me", budget, tuning, BareHost("redis://127.0.0.1:1/0", "me"), clock=SystemClock())
