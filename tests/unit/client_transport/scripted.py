"""TCP servers that follow a script, and the types of the fixtures."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import httpx

from scaleset_client.transport import BurstTransport, Response

Script: TypeAlias = Callable[["Visit"], Awaitable[None]]
Serve: TypeAlias = Callable[..., contextlib.AbstractAsyncContextManager["Server"]]
Transports: TypeAlias = Callable[..., BurstTransport]
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


class Ask(Protocol):
    """Send one request over a transport."""

    async def __call__(
        self,
        transport: BurstTransport,
        url: httpx.URL,
        method: str = "POST",
        content: bytes = b"{}",
        seconds: float = 15.0,
    ) -> Response: ...
