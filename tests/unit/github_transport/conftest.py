"""Scripted TCP servers, and transports that must leave nothing open."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import httpx
import pytest

from scaleset_burst.github.options import ConnectionOptions
from scaleset_burst.github.transport import BurstTransport

Script = Callable[["Visit"], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Visit:
    """One connection, as the server sees it."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: "Server"

    async def request(self) -> bytes:
        """Read one request, body included; empty at the end of the connection."""
        head = b""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await self.reader.readuntil(b"\r\n\r\n")
            lowered = head.lower()
            if b"content-length:" in lowered:
                length = int(lowered.split(b"content-length:")[1].split(b"\r\n")[0])
                head += await self.reader.readexactly(length)
            elif b"transfer-encoding:" in lowered:
                head += await self.reader.readuntil(b"0\r\n\r\n")
            self.server.requests.append(head)
        return head

    async def send(self, *pieces: bytes) -> None:
        """Send each piece in a write of its own, with a turn of the loop between."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0.002)

    async def ended(self) -> None:
        """Wait until the client closes."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        self.server.closed += 1


@dataclass
class Server:
    """A server that follows a script on each connection."""

    scheme: str = "http"
    port: int = 0
    visits: int = 0
    closed: int = 0
    requests: list[bytes] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    tls: list[ssl.SSLObject] = field(default_factory=list)

    @property
    def url(self) -> httpx.URL:
        return httpx.URL(f"{self.scheme}://127.0.0.1:{self.port}/mint?x=1")


async def obliging(visit: Visit) -> None:
    """Answer every request with a short 200."""
    while await visit.request():
        await visit.send(OK)


@pytest.fixture
def serve() -> Callable[..., contextlib.AbstractAsyncContextManager[Server]]:
    """Start a scripted server."""

    @contextlib.asynccontextmanager
    async def start(script: Script = obliging, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
        state = Server(scheme="https" if tls else "http")
        tasks: set[asyncio.Task[None]] = set()

        async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            state.visits += 1
            state.writers.append(writer)
            if tls:
                state.tls.append(writer.get_extra_info("ssl_object"))
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                await script(Visit(state.visits, reader, writer, state))
            except (ConnectionError, asyncio.CancelledError):
                pass
            finally:
                tasks.discard(task)
                writer.transport.abort()

        listener = await asyncio.start_server(visit, "127.0.0.1", 0, ssl=tls)
        state.port = listener.sockets[0].getsockname()[1]
        try:
            yield state
        finally:
            listener.close()
            for task in tuple(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)

    return start


@pytest.fixture
async def transports() -> AsyncIterator[Callable[..., BurstTransport]]:
    """Make transports; in the end each must close all it opened."""
    made: list[BurstTransport] = []

    def make(
        *,
        max_connections: int | None = None,
        environ: dict[str, str] | None = None,
        **options: object,
    ) -> BurstTransport:
        values = ConnectionOptions(**options)  # type: ignore[arg-type]
        made.append(BurstTransport(values, max_connections=max_connections, environ=environ or {}))
        return made[-1]

    yield make
    for transport in made:
        await transport.aclose()
        assert transport.connections_open == 0
        assert transport._slots == 0


@pytest.fixture
def ask() -> Callable[..., Awaitable[httpx.Response]]:
    """Send one request over a transport."""

    async def send(
        transport: BurstTransport, url: httpx.URL, method: str = "POST", content: bytes | None = b"{}", **limits: float
    ) -> httpx.Response:
        request = httpx.Request(method, url, content=content)
        if limits:
            request.extensions["timeout"] = limits
        return await transport.handle_async_request(request)

    return send
