"""Several addresses: one that swallows packets is left, what is opened in vain is closed, an error names them all."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from scaleset_client.transport.dialing import connect_to_first
from scaleset_client.transport.failures import NotSent
from scaleset_client.transport.resolving import NameResolver
from tests.unit.client_transport.scripted import Ask, Serve, Transports

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Run this module on both loops."""
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """Every socket that is made from here on."""
    made: list[socket.socket] = []

    class Recorded(socket.socket):
        def __init__(self, *args: Any, **more: Any) -> None:  # noqa: ANN401
            super().__init__(*args, **more)
            if "fileno" not in more and len(args) < 4:
                made.append(self)

    monkeypatch.setattr(socket, "socket", Recorded)
    return made


@contextlib.contextmanager
def hole(address: str, port: int) -> Iterator[None]:
    """Swallow what is sent to the address: the line of those who wait to be accepted is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(0)
        for _ in range(6):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect((address, port))
        yield


def lead(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every name lead to these addresses."""

    async def resolve(_self: NameResolver, _host: str) -> tuple[str, ...]:
        return addresses

    monkeypatch.setattr(NameResolver, "resolve", resolve)


async def test_an_address_that_swallows_packets_is_left(
    serve: Serve, transports: Transports, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve() as server:
        with hole("127.0.0.2", server.port), hole("127.0.0.3", server.port):
            lead(monkeypatch, "127.0.0.2", "::1", "127.0.0.3", "127.0.0.1")
            transport = transports(connect_timeout=20.0)
            answers = await asyncio.gather(*(ask(transport, server.url) for _ in range(8)))
            assert [answer.body for answer in answers] == [b"ok"] * 8
            assert transport.connections_open == 8


async def test_the_last_of_many_is_tried_within_the_time(
    serve: Serve, transports: Transports, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve() as server:
        with contextlib.ExitStack() as holes:
            dead = [f"127.0.1.{n}" for n in range(1, 31)]
            for address in dead:
                holes.enter_context(hole(address, server.port))
            lead(monkeypatch, *dead, "127.0.0.1")
            assert (await ask(transports(connect_timeout=3.0), server.url)).body == b"ok"


async def test_all_that_failed_are_named(transports: Transports, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    lead(monkeypatch, "127.0.0.2", "::1", "127.0.0.3")
    with pytest.raises(NotSent, match=r"no connection to s\.example:1: ") as caught:
        await ask(transports(), httpx.URL("http://s.example:1/"))
    assert all(f"{address}: " in str(caught.value) for address in ("127.0.0.2", "::1", "127.0.0.3"))


async def test_all_that_hang_are_named(
    serve: Serve, transports: Transports, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve() as server:
        with hole("127.0.0.2", server.port), hole("127.0.0.3", server.port):
            lead(monkeypatch, "127.0.0.2", "127.0.0.3")
            with pytest.raises(NotSent, match=r"in 0\.2 s \(tried 127\.0\.0\.2, 127\.0\.0\.3\)$"):
                await ask(transports(connect_timeout=0.2), server.url)


async def test_a_race_leaves_no_socket_open_wherever_it_ends(serve: Serve, opened: list[socket.socket]) -> None:
    async with serve() as server:
        for turns in range(25):
            race = asyncio.ensure_future(connect_to_first(["127.0.0.1"] * 3, server.port, 0.0, []))
            for _ in range(turns):
                await asyncio.sleep(0)
            race.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                (await race).close()
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(opened) > 25
        assert [one for one in opened if one.fileno() != -1 and one.getsockname()[1] != server.port] == []


async def test_a_request_given_up_while_it_connects_leaves_no_socket_open(
    serve: Serve, transports: Transports, ask: Ask, opened: list[socket.socket]
) -> None:
    async with serve() as server:
        for turns in range(25):
            transport = transports()
            asking = asyncio.ensure_future(ask(transport, server.url))
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await transport.aclose()
        await asyncio.sleep(0.01)
        mine = [one for one in opened if one.fileno() != -1 and one.getsockname()[1] != server.port]
        assert len(opened) > 20
        assert mine == []
