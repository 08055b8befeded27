"""The connection: what it needs of a server, and what it says of one that is of no use."""

import asyncio

import pytest

from scaleset_burst.clock import SystemClock
from scaleset_burst.metadata.kinds import Kind
from scaleset_burst.sharing.keys import Keys
from scaleset_burst.sharing.memory import SharedMemory
from scaleset_burst.sharing.store import RedisStore
from tests.kit.redis_server import RedisServer

pytestmark = pytest.mark.anyio

KEYS = Keys("test", "github.com/acme")


async def test_one_host_asks_and_the_others_wait_on_any_supported_server(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    store = RedisStore(server.url, timeout=1.0)
    one, other = (SharedMemory(store, KEYS, host, clock=SystemClock(), per_second=1000.0) for host in ("a", "b"))
    assert await one.get(Kind.RUNNER_GROUP, "builders") is None
    waiting = asyncio.create_task(other.get(Kind.RUNNER_GROUP, "builders"))
    await asyncio.sleep(0.1)
    assert not waiting.done(), "the first one is asking"
    assert await one.get(Kind.RUNNER_GROUP, "builders") is None, "it may ask again itself"
    assert await waiting is None, "it waits no longer than a second"
    assert not caplog.records
    await store.aclose()


async def test_more_questions_at_once_than_connections_wait_for_one(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    store = RedisStore(server.url, timeout=2.0)
    assert await asyncio.gather(*(store.fetch(f"key {number}") for number in range(100))) == [None] * 100
    assert not caplog.records
    await store.aclose()
