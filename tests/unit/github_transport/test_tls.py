"""Certificates are verified, ours is shown, sessions are taken up again."""

import asyncio
import ssl
from pathlib import Path

import httpx
import pytest
import trustme

from tests.unit.github_transport.scripted import Ask, Serve, Transports, Visit

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def server_context(authority: trustme.CA, *names: str, client_authority: trustme.CA | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    if client_authority:
        client_authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def test_a_trusted_server_is_spoken_to_in_http_1_1(
    serve: Serve, transports: Transports, ask: Ask, authority: trustme.CA, ca_file: str
) -> None:
    transport = transports(ca_file=ca_file)
    async with serve(tls=server_context(authority, "127.0.0.1")) as server:
        for _ in range(3):
            assert (await ask(transport, server.url)).content == b"ok"
        assert (server.visits, transport.requests_reused) == (1, 2)
        assert server.tls[0].selected_alpn_protocol() == "http/1.1"


async def test_large_bodies_pass_through_tls(
    serve: Serve, transports: Transports, ask: Ask, authority: trustme.CA, ca_file: str
) -> None:
    async def script(visit: Visit) -> None:
        while request := await visit.request():
            body = request.partition(b"\r\n\r\n")[2]
            await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    transport = transports(ca_file=ca_file)
    async with serve(script, server_context(authority, "127.0.0.1")) as server:
        body = bytes(range(256)) * 4_000
        assert (await ask(transport, server.url, content=body)).content == body


@pytest.mark.parametrize(("names", "trusted"), [(("127.0.0.1",), False), (("other.example",), True)])
async def test_an_untrusted_or_foreign_certificate_means_not_sent(
    serve: Serve,
    transports: Transports,
    ask: Ask,
    authority: trustme.CA,
    ca_file: str,
    names: tuple[str, ...],
    trusted: bool,
) -> None:
    transport = transports(ca_file=ca_file if trusted else None)
    async with serve(tls=server_context(authority, *names)) as server:
        with pytest.raises(httpx.ConnectError, match="certificate"):
            await ask(transport, server.url)
        assert server.requests == []


async def test_our_certificate_is_shown_to_who_asks(
    serve: Serve, transports: Transports, ask: Ask, authority: trustme.CA, ca_file: str, tmp_path: Path
) -> None:
    own = authority.issue_cert("burst.example")
    pem, key = tmp_path / "own.pem", tmp_path / "own.key"
    own.cert_chain_pems[0].write_to_path(str(pem))
    own.private_key_pem.write_to_path(str(key))
    tls = server_context(authority, "127.0.0.1", client_authority=authority)
    async with serve(tls=tls) as server:
        transport = transports(ca_file=ca_file, client_certificate=str(pem), client_key=str(key))
        assert (await ask(transport, server.url)).content == b"ok"
        with pytest.raises((httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)):
            await ask(transports(ca_file=ca_file), server.url)
        assert len(server.requests) == 1


@pytest.mark.parametrize("option", ["ca_file", "client_certificate"])
def test_a_missing_file_is_told_at_the_start(transports: Transports, option: str, anyio_backend: str) -> None:
    with pytest.raises(OSError, match="No such file"):
        transports(**{option: "/nowhere.pem"})


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_session_is_taken_up_again(
    serve: Serve, transports: Transports, ask: Ask, authority: trustme.CA, ca_file: str, version: ssl.TLSVersion
) -> None:
    tls = server_context(authority, "127.0.0.1")
    tls.maximum_version = version
    transport = transports(ca_file=ca_file)
    async with serve(tls=tls) as server:
        for _ in range(3):
            await ask(transport, server.url)
            transport._origin(server.url).idle[0].abort()
            while transport.connections_open:
                await asyncio.sleep(0.001)
        assert (server.visits, tls.session_stats()["hits"]) == (3, 2)


async def test_tickets_that_follow_the_handshake_do_not_make_a_warm_connection_look_dead(
    serve: Serve, transports: Transports, ask: Ask, authority: trustme.CA, ca_file: str
) -> None:
    transport = transports(ca_file=ca_file)
    async with serve(tls=server_context(authority, "127.0.0.1")) as server:
        assert await transport.warm(server.url, 4) == 4
        await asyncio.gather(*(ask(transport, server.url) for _ in range(4)))
        assert (server.visits, transport.requests_reused) == (4, 4)
