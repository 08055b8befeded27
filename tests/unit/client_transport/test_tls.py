"""Certificates are verified, ours is shown, sessions are taken up again."""

import asyncio
import re
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from scaleset_client.transport.failures import MaybeSent, NotSent, explain_certificate
from scaleset_client.transport.resolving import NameResolver
from tests.unit.client_transport.scripted import Ask, Serve, Transports, Visit

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
            assert (await ask(transport, server.url)).body == b"ok"
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
        assert (await ask(transport, server.url, content=body)).body == body


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
        with pytest.raises(NotSent, match="certificate"):
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
        assert (await ask(transport, server.url)).body == b"ok"
        with pytest.raises((NotSent, MaybeSent)):
            await ask(transports(ca_file=ca_file), server.url)
        assert len(server.requests) == 1


async def test_the_systems_authorities_are_read_once_and_only_for_tls(
    serve: Serve, transports: Transports, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take 50 ms, which every client of a simulator paid twice."""
    read: list[str | None] = []
    made = ssl.create_default_context

    def noted(*, cafile: str | None) -> ssl.SSLContext:
        read.append(cafile)
        return made(cafile=cafile)

    monkeypatch.setattr(ssl, "create_default_context", noted)
    transport = transports(connect_timeout=0.2)
    async with serve() as server:
        await ask(transport, server.url)
        assert read == []
        for _ in range(3):
            with pytest.raises((NotSent, MaybeSent)):
                await ask(transport, server.url.copy_with(scheme="https"))
        assert read == [None]


@pytest.mark.parametrize("option", ["ca_file", "client_certificate"])
def test_a_missing_file_is_told_at_the_start(transports: Transports, option: str, anyio_backend: str) -> None:
    with pytest.raises(OSError, match=f"^{option} `/nowhere.pem`: No such file"):
        transports(**{option: "/nowhere.pem"})


def test_a_key_that_cannot_be_used_is_explained(
    transports: Transports, authority: trustme.CA, tmp_path: Path, anyio_backend: str
) -> None:
    own, pem, key = authority.issue_cert("burst.example"), tmp_path / "own.pem", tmp_path / "own.key"
    own.cert_chain_pems[0].write_to_path(str(pem))
    private = load_pem_private_key(own.private_key_pem.bytes(), None)
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hunter2")))
    with pytest.raises(OSError, match=r"client_key `.*own\.key`: the key is encrypted"):
        transports(client_certificate=str(pem), client_key=str(key))
    authority.issue_cert("other.example").private_key_pem.write_to_path(str(key))
    with pytest.raises(OSError, match="the key is not that of the certificate"):
        transports(client_certificate=str(pem), client_key=str(key))
    with pytest.raises(OSError, match=r"client_certificate `.*own\.pem`: it holds nothing of the kind"):
        transports(client_certificate=str(pem))


def test_a_key_log_that_cannot_be_opened_is_the_environments(
    transports: Transports, monkeypatch: pytest.MonkeyPatch, ca_file: str, anyio_backend: str
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", "/nowhere/keys.log")
    for options in ({}, {"ca_file": ca_file}):
        with pytest.raises(OSError, match=r"SSLKEYLOGFILE names `/nowhere/keys\.log`"):
            transports(**options)


@pytest.mark.parametrize(
    ("fault", "given", "said"),
    [
        ("authority", False, "is a ca_file missing"),
        ("authority", True, "is not in the ca_file {ca_file}$"),
        ("name", True, "use a name that the certificate holds"),
        ("expired", True, "has to be renewed, unless this machine's clock is ahead"),
        ("early", True, "is this machine's clock behind"),
    ],
)
async def test_what_is_wrong_with_a_certificate_is_said(
    serve: Serve,
    transports: Transports,
    ask: Ask,
    authority: trustme.CA,
    ca_file: str,
    fault: str,
    given: bool,
    said: str,
) -> None:
    issuer = trustme.CA() if fault == "authority" else authority
    now = datetime.now(UTC)
    first = now + timedelta(days=1 if fault == "early" else -9)
    last = now + timedelta(days=-1 if fault == "expired" else 9)
    certificate = issuer.issue_cert(
        "other.example" if fault == "name" else "127.0.0.1", not_before=first, not_after=last
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(tls)
    async with serve(tls=tls) as server:
        place = f"^the certificate of 127.0.0.1:{server.port} is not trusted: "
        with pytest.raises(NotSent, match=place + ".*" + said.format(ca_file=ca_file)) as caught:
            await ask(transports(ca_file=ca_file if given else None), server.url)
        assert caught.value.lasting
        assert ("ca_file" in str(caught.value)) is (fault == "authority")
        proxied = transports(ca_file=ca_file if given else None, proxy=f"https://u:hunter2@127.0.0.1:{server.port}")
        with pytest.raises(NotSent, match="of the proxy 127.0.0.1:.*" + said.format(ca_file=ca_file)) as caught:
            await ask(proxied, httpx.URL("https://service.example/"))
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("code", "said"), [(85, "RFC 5280"), (92, "RFC 5280"), (79, "OpenSSL"), (23, "OpenSSL")])
def test_what_only_stricter_versions_refuse_is_said(code: int, said: str, anyio_backend: str) -> None:
    error = ssl.SSLCertVerificationError()
    error.verify_code, error.verify_message = code, "Missing Authority Key Identifier"
    text = explain_certificate(error, "service.example:443", "/own.pem")
    assert re.search(f"Missing Authority Key Identifier; .*({said})", text)


async def test_an_absolute_name_is_the_name_in_the_certificate(
    serve: Serve, transports: Transports, ask: Ask, authority: trustme.CA, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(_self: NameResolver, _host: str) -> tuple[str, ...]:
        return ("127.0.0.1",)

    monkeypatch.setattr(NameResolver, "resolve", resolve)
    async with serve(tls=server_context(authority, "ghes.example")) as server:
        url = server.url.copy_with(host="ghes.example.")
        assert (await ask(transports(ca_file=ca_file), url)).body == b"ok"


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
