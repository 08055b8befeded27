"""Which address is spoken to, and that no other stays open, on asyncio's loop and on uvloop."""

import asyncio
import gc
import socket
from collections.abc import Callable, Iterator

import pytest

from scaleset_burst.github.transport import racing
from scaleset_burst.github.transport.racing import Address, race
from tests.unit.github_transport.scripted import Ask, Serve, Transports, Visit

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
def silent() -> Iterator[Address]:
    """An address that neither answers nor refuses: a listener whose queue is full."""
    with socket.socket() as listener, socket.socket() as one, socket.socket() as two, socket.socket() as three:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for queued in (one, two, three):
            queued.setblocking(False)
            queued.connect_ex(listener.getsockname())
        yield address(listener.getsockname()[1])


@pytest.fixture
def nobody() -> Iterator[Address]:
    """An address that refuses."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield address(bound.getsockname()[1])


def address(port: int) -> Address:
    return socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)


async def held(visit: Visit) -> None:
    await visit.ended()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


def port_of(made: socket.socket) -> int:
    with made:
        port: int = made.getpeername()[1]
    return port


async def test_an_address_that_is_silent_or_refuses_holds_up_nobody(
    serve: Serve, silent: Address, nobody: Address
) -> None:
    async with serve(held) as server:
        for before in ([silent], [nobody], [nobody, silent, nobody]):
            assert port_of(await race([*before, address(server.port)])) == server.port


async def test_where_none_answers_each_says_why(nobody: Address) -> None:
    with pytest.raises(OSError, match=r"Errno 111.*; .*Errno 111"):
        await race([nobody, nobody])
    with pytest.raises(OSError, match="no address"):
        await race([])


async def test_who_comes_second_is_closed(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(racing, "APART", 0.0)
    async with serve(held) as one, serve(held) as other:
        for _ in range(20):
            assert port_of(await race([address(one.port), address(other.port)])) in {one.port, other.port}
        await until(lambda: (one.closed, other.closed) == (one.visits, other.visits))


async def test_a_dial_cancelled_at_any_moment_leaves_no_socket_open(
    serve: Serve, transports: Transports, ask: Ask
) -> None:
    gc.disable()  # it would close what is forgotten
    try:
        async with serve(held) as server:
            for turns in range(40):
                task = asyncio.create_task(ask(transports(), server.url))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            await until(lambda: server.closed == server.visits > 0)
    finally:
        gc.enable()


async def test_the_families_take_turns() -> None:
    four, six = address(1), (socket.AF_INET6, socket.SOCK_STREAM, 0, "", ("::1", 1, 0, 0))
    assert racing._alternating([six, six, four]) == [six, four, six]


async def test_a_name_is_looked_up(serve: Serve) -> None:
    async with serve(held) as server:
        assert port_of(await racing.reach("localhost", server.port)) == server.port
    with pytest.raises(socket.gaierror):  # "not known" or, without a network, "temporary failure"
        await racing.reach("name.invalid", 1)
