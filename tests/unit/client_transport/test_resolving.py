"""One look-up for all who wait, in few threads of our own; names of this machine lead to this machine."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaleset_client.loopback import is_loopback_address
from scaleset_client.transport import resolving
from scaleset_client.transport.resolving import NameResolver, in_turn
from tests.unit.client_transport.scripted import Ask, Serve, Transports

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Run this module on both loops."""
    return "asyncio", {"use_uvloop": request.param}


class Names:
    """A resolver that knows some names, and waits while it is told to hang."""

    def __init__(self, known: dict[str, list[str]]) -> None:
        self.known = known
        self.asked: list[str] = []
        self.go = threading.Event()
        self.go.set()
        self._real = socket.getaddrinfo

    def __call__(self, host: str, port: int | None, *args: Any, **more: Any) -> list[Any]:  # noqa: ANN401
        if more.get("flags", 0) & socket.AI_NUMERICHOST or (args and args[-1] is None):
            return self._real(host, port, *args, **more)
        self.asked.append(host)
        assert self.go.wait(30)
        if host not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, 0, 0, "", (address, port)) for address in self.known[host]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    made = Names({"service.example": ["127.0.0.1"], "evil.localhost": ["198.51.100.1", "127.0.0.5"]})
    monkeypatch.setattr(socket, "getaddrinfo", made)
    yield made
    made.go.set()


async def until(reached: Callable[[], object]) -> None:
    """Wait for something that other threads bring about."""
    async with asyncio.timeout(30):
        while not reached():
            await asyncio.sleep(0.001)


class NoExecutor(ThreadPoolExecutor):
    """An executor of the host's, which is not ours to use."""

    def submit(self, *_args: object, **_more: object) -> NoReturn:
        raise AssertionError("the host's executor was used")


async def test_simultaneous_connections_share_a_look_up_off_the_hosts_executor(
    serve: Serve, transports: Transports, ask: Ask, names: Names
) -> None:
    asyncio.get_running_loop().set_default_executor(NoExecutor())
    transport = transports()
    async with serve() as server:
        url = server.url.copy_with(host="service.example")
        answers = await asyncio.gather(*(ask(transport, url) for _ in range(64)))
        assert [answer.body for answer in answers] == [b"ok"] * 64
    assert (names.asked, transport.connections_opened) == (["service.example"], 64)


async def test_a_failure_is_everybodys_and_the_next_asks_anew(names: Names) -> None:
    resolver = NameResolver()
    asked = (resolver.resolve("unknown.example") for _ in range(10))
    failures = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(failure) for failure in failures} == {socket.gaierror}
    assert len({id(failure) for failure in failures}) == 10
    names.known["unknown.example"] = ["192.0.2.1"]
    assert await resolver.resolve("unknown.example") == ("192.0.2.1",)
    assert len(names.asked) == 2


async def test_who_gives_up_takes_nobody_with_it(names: Names) -> None:
    resolver = NameResolver()
    names.go.clear()
    first, second = (asyncio.ensure_future(resolver.resolve("service.example")) for _ in range(2))
    await until(lambda: names.asked)
    first.cancel()
    names.go.set()
    assert await second == ("127.0.0.1",)
    assert len(names.asked) == 1


async def test_a_resolver_that_hangs_takes_few_threads(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "_HANGS", -1.0)  # so that every newcomer would like a look-up of its own
    resolver = NameResolver()
    names.go.clear()
    waiting = [asyncio.ensure_future(resolver.resolve("service.example")) for _ in range(40)]
    await until(lambda: len(names.asked) == 4)
    assert resolver._threads == 4
    with pytest.raises(OSError, match="name resolution hangs"):
        await resolver.resolve("other.example")
    names.go.set()
    assert await asyncio.gather(*waiting) == [("127.0.0.1",)] * 40
    await until(lambda: resolver._threads == 0)
    assert len(names.asked) == 4
    assert await resolver.resolve("service.example") == ("127.0.0.1",)


def test_a_resolver_that_hangs_does_not_keep_the_process(anyio_backend: object) -> None:
    program = (
        "import asyncio, socket, threading\n"
        "from scaleset_client.transport.resolving import NameResolver\n"
        "socket.getaddrinfo = lambda *_, **__: threading.Event().wait()\n"
        "async def main():\n"
        "    try:\n"
        "        async with asyncio.timeout(0.05):\n"
        "            await NameResolver().resolve('hangs.example')\n"
        "    except TimeoutError:\n"
        "        print('gave up')\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("gave up\n", "")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.", "127.0.0.1", "::1", "::ffff:127.0.0.1"])
async def test_nobody_is_asked_where_this_machine_is(names: Names, host: str) -> None:
    assert all(is_loopback_address(address) for address in await NameResolver().resolve(host))
    assert names.asked == []


async def test_a_name_below_localhost_never_leads_elsewhere(names: Names) -> None:
    assert await NameResolver().resolve("evil.localhost") == ("127.0.0.5",)
    names.known["evil.localhost"] = ["198.51.100.1"]
    assert await NameResolver().resolve("evil.localhost") == ("127.0.0.1", "::1")
    del names.known["evil.localhost"]
    assert await NameResolver().resolve("evil.localhost") == ("127.0.0.1", "::1")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(addresses=st.lists(st.ip_addresses().map(str), unique=True))
def test_the_families_take_turns(anyio_backend: object, addresses: list[str]) -> None:
    del anyio_backend
    ordered = in_turn(addresses)
    assert sorted(ordered) == sorted(addresses)
    for six in (True, False):
        assert [a for a in ordered if (":" in a) is six] == [a for a in addresses if (":" in a) is six]
    few = min(sum(":" in a for a in addresses), sum(":" not in a for a in addresses))
    kinds = [":" in a for a in ordered[: 2 * few]]
    assert all(one != other for one, other in pairwise(kinds))
