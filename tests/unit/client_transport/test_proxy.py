"""Through real proxies: tunnels, plain forwarding, credentials, refusals."""

import asyncio
import contextlib
import ssl
from collections.abc import Iterator

import httpx
import pytest
import trustme
from proxy import Proxy

from scaleset_client.transport.failures import NotSent
from tests.unit.client_transport.scripted import Ask, Serve, Transports, Visit

pytestmark = pytest.mark.anyio

ELSEWHERE = "0.0.0.0"  # an address that counts as another machine's, and leads to this one


def elsewhere(url: httpx.URL) -> httpx.URL:
    """Return the URL as that of another machine: what is on this one is never asked of a proxy."""
    return url.copy_with(host=ELSEWHERE)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(ELSEWHERE, "service.example").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def real_proxy() -> Iterator[str]:
    """A proxy.py that wants a user and a password."""
    arguments = ["--hostname", "127.0.0.1", "--port", "0", "--num-workers", "1", "--num-acceptors", "1", "--threadless",
                 "--local-executor", "1", "--basic-auth", "user:p@ss word", "--log-level", "CRITICAL"]  # fmt: skip
    with Proxy(arguments) as proxy:
        yield f"127.0.0.1:{proxy.flags.port}"


async def test_https_goes_through_a_tunnel_of_a_real_proxy(
    serve: Serve, transports: Transports, ask: Ask, tls: ssl.SSLContext, ca_file: str, real_proxy: str
) -> None:
    transport = transports(ca_file=ca_file, proxy=f"http://user:p%40ss%20word@{real_proxy}")
    async with serve(tls=tls) as server:
        for _ in range(3):
            assert (await ask(transport, elsewhere(server.url))).body == b"ok"
        assert (server.visits, transport.connections_opened) == (1, 1)
        assert b"proxy" not in server.requests[0].lower()


async def test_http_goes_through_a_real_proxy(serve: Serve, transports: Transports, ask: Ask, real_proxy: str) -> None:
    transport = transports(proxy=f"http://user:p%40ss%20word@{real_proxy}")
    async with serve() as server:
        assert (await ask(transport, elsewhere(server.url))).body == b"ok"
        assert server.requests[0].startswith(b"POST /mint?x=1 HTTP/1.1\r\n")


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_wrong_credentials_mean_not_sent_and_are_not_repeated_in_the_error(
    serve: Serve, transports: Transports, ask: Ask, tls: ssl.SSLContext, ca_file: str, real_proxy: str, scheme: str
) -> None:
    transport = transports(ca_file=ca_file, proxy=f"http://user:hunter2@{real_proxy}")
    async with serve(tls=tls if scheme == "https" else None) as server:
        with pytest.raises(NotSent, match=r"407.*user and a password") as caught:
            await ask(transport, elsewhere(server.url))
        assert "hunter2" not in str(caught.value)
        assert server.requests == []


async def relay(visit: Visit) -> None:
    """Act as a proxy: take CONNECT, then copy both ways."""
    head = await visit.request()
    if not head:
        return
    host, _, port = head.split()[1].rpartition(b":")
    reader, writer = await asyncio.open_connection(host.decode(), int(port))
    visit.writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        sink.close()

    try:
        await asyncio.gather(copy(visit.reader, writer), copy(reader, visit.writer), return_exceptions=True)
    finally:
        writer.transport.abort()


async def test_a_proxy_may_itself_speak_tls(
    serve: Serve, transports: Transports, ask: Ask, tls: ssl.SSLContext, ca_file: str, authority: trustme.CA
) -> None:
    proxy_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(proxy_tls)
    async with serve(relay, proxy_tls) as proxy, serve(tls=tls) as server:
        transport = transports(ca_file=ca_file, proxy=f"https://user:secret@127.0.0.1:{proxy.port}")
        for _ in range(2):
            assert (await ask(transport, elsewhere(server.url))).body == b"ok"
        assert (proxy.visits, server.visits) == (1, 1)
        assert b"Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n" in proxy.requests[0]
        await transport.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad",
        b"HTTP/1.1 403 No\r\n\r\n",
        b"gibberish\r\n\r\n",
        b"",
    ],
)
async def test_a_proxy_that_refuses_or_fails_means_not_sent(
    serve: Serve, transports: Transports, ask: Ask, answer: bytes, ca_file: str
) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(answer)

    async with serve(script) as proxy:
        transport = transports(ca_file=ca_file, proxy=f"127.0.0.1:{proxy.port}")
        with pytest.raises(NotSent):
            await ask(transport, httpx.URL("https://service.example/"))
        assert proxy.requests[0].startswith(b"CONNECT service.example:443 HTTP/1.1\r\nHost: service.example:443\r\n")


@pytest.mark.parametrize(
    ("status", "lasting", "words"),
    [
        (400, True, "does not take the request"),
        (403, True, "NO_PROXY"),
        (405, True, "no tunnels"),
        (407, True, "user and a password"),
        (429, False, "does not take"),
        (500, False, "could not reach"),
        (502, False, "could not reach"),
        (504, False, "could not reach"),
    ],
)
async def test_a_refusal_of_the_proxy_lasts_or_passes(
    serve: Serve, transports: Transports, ask: Ask, status: int, lasting: bool, words: str
) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)

    async with serve(script) as proxy:
        transport = transports(environ={"HTTPS_PROXY": f"http://user:hunter2@127.0.0.1:{proxy.port}"})
        with pytest.raises(NotSent, match=rf"of HTTPS_PROXY refused .* status {status}: .*{words}") as caught:
            await ask(transport, httpx.URL("https://service.example/"))
        assert caught.value.lasting is lasting
        assert "hunter2" not in str(caught.value)


async def test_no_proxy_reads_what_is_for_this_machine(serve: Serve, transports: Transports, ask: Ask) -> None:
    async with serve() as proxy, serve() as server:
        transport = transports(proxy=f"http://127.0.0.1:{proxy.port}")
        for host in ("localhost", "localhost.", "a.localhost", "127.0.0.1"):
            assert (await ask(transport, server.url.copy_with(host=host))).body == b"ok"
        assert (proxy.visits, len(server.requests)) == (0, 4)


async def test_a_proxy_that_hangs_is_a_connect_timeout_and_leaves_nothing_open(
    serve: Serve, transports: Transports, ask: Ask, ca_file: str
) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.ended()

    async with serve(script) as proxy:
        transport = transports(connect_timeout=0.1, ca_file=ca_file, proxy=f"127.0.0.1:{proxy.port}")
        with pytest.raises(NotSent, match=r"in 0\.1 s"):
            await ask(transport, httpx.URL("https://service.example/"))
        async with asyncio.timeout(5):
            while proxy.closed != 1:
                await asyncio.sleep(0.001)


async def test_no_proxy_there_means_not_sent(transports: Transports, ask: Ask) -> None:
    with pytest.raises(NotSent, match="no connection to the proxy"):
        await ask(transports(proxy="127.0.0.1:1"), httpx.URL("https://service.example/"))


async def test_an_untrusted_certificate_behind_a_tunnel_means_not_sent(
    serve: Serve, transports: Transports, ask: Ask, tls: ssl.SSLContext
) -> None:
    async with serve(relay) as proxy, serve(tls=tls) as server:
        transport = transports(proxy=f"127.0.0.1:{proxy.port}")
        with pytest.raises(NotSent, match="certificate"):
            await ask(transport, elsewhere(server.url))
        assert server.requests == []


async def test_a_tunnel_that_ends_together_with_its_handshake_means_not_sent(
    serve: Serve, transports: Transports, ask: Ask, tls: ssl.SSLContext, ca_file: str
) -> None:
    tls.maximum_version = ssl.TLSVersion.TLSv1_2  # there the server has the last word of a handshake

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = tls.wrap_bio(incoming, outgoing, server_side=True)
        done = False
        while not done:
            incoming.write(await visit.reader.read(65536))
            with contextlib.suppress(ssl.SSLWantReadError):
                server.do_handshake()
                done = True
                server.unwrap()
            await visit.send(outgoing.read())
        await visit.ended()

    async with serve(script) as proxy:
        transport = transports(ca_file=ca_file, proxy=f"127.0.0.1:{proxy.port}")
        with pytest.raises(NotSent, match="closed during the TLS handshake"):
            await ask(transport, httpx.URL("https://service.example/"))
        assert transport.requests_sent == 0


async def test_the_environment_names_the_proxy_but_never_for_this_machine(
    serve: Serve, transports: Transports, ask: Ask
) -> None:
    async with serve() as proxy, serve() as server:
        environ = {"HTTP_PROXY": f"http://u:p@127.0.0.1:{proxy.port}", "NO_PROXY": "spared.example"}
        transport = transports(environ=environ)
        await ask(transport, httpx.URL("http://service.example/a?b=c"))
        await ask(transport, server.url)
        assert (len(proxy.requests), len(server.requests)) == (1, 1)
        head = proxy.requests[0]
        assert head.startswith(b"POST http://service.example:80/a?b=c HTTP/1.1\r\nHost: service.example\r\n")
        assert b"\r\nProxy-Authorization: Basic dTpw\r\n" in head
