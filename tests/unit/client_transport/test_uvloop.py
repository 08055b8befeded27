"""The host chooses the loop: what leans on a loop's own ways holds on uvloop as well."""

import asyncio
import socket
import ssl

import pytest
import trustme

from tests.unit.client_transport.scripted import Ask, Serve, Transports

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Run this module on uvloop."""
    return "asyncio", {"use_uvloop": True}


async def test_a_burst_keeps_to_the_limit(serve: Serve, transports: Transports, ask: Ask) -> None:
    assert type(asyncio.get_running_loop()).__module__ == "uvloop"
    transport = transports(max_connections=4)
    async with serve() as server:
        responses = await asyncio.gather(*(ask(transport, server.url) for _ in range(60)))
        assert [response.body for response in responses] == [b"ok"] * 60
        assert (server.visits, transport.requests_reused) == (4, 56)


async def test_a_dead_connection_is_noticed_before_its_reuse(serve: Serve, transports: Transports, ask: Ask) -> None:
    transport = transports()
    async with serve() as server:
        await ask(transport, server.url)
        raw = socket.socket(fileno=server.writers[0].get_extra_info("socket").fileno())
        raw.shutdown(socket.SHUT_WR)
        raw.detach()
        assert (await ask(transport, server.url)).body == b"ok"
        assert (server.visits, len(server.requests)) == (2, 2)


async def test_tls_sessions_are_taken_up_again(
    serve: Serve, transports: Transports, ask: Ask, tmp_path_factory: pytest.TempPathFactory
) -> None:
    authority = trustme.CA()
    ca_file = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    transport = transports(ca_file=str(ca_file))
    async with serve(tls=tls) as server:
        for _ in range(3):
            assert (await ask(transport, server.url)).body == b"ok"
            transport._origin(server.url).idle[0].abort()
            while transport.connections_open:
                await asyncio.sleep(0.001)
        assert (server.visits, tls.session_stats()["hits"]) == (3, 2)
