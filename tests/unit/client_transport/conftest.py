"""Scripted TCP servers, and transports that must leave nothing open."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

import httpx
import pytest

from scaleset_client.options import ConnectionOptions
from scaleset_client.transport import BurstTransport, Head, Response
from tests.unit.client_transport.scripted import Ask, Script, Serve, Server, Transports, Visit, obliging


@pytest.fixture
def serve() -> Serve:
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
async def transports() -> AsyncIterator[Transports]:
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
def ask() -> Ask:
    """Send one request over a transport."""

    async def send(
        transport: BurstTransport,
        url: httpx.URL,
        method: str = "POST",
        content: bytes = b"{}",
        seconds: float = 15.0,
    ) -> Response:
        return await transport.exchange(Head(method, url, []), content, seconds)

    return send
