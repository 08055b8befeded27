"""What a server may answer, and what becomes of the connection."""

import asyncio
import gzip
from typing import cast

import pytest

from scaleset_client.transport.failures import MaybeSent
from tests.unit.client_transport.scripted import Ask, Script, Serve, Transports, Visit

pytestmark = pytest.mark.anyio
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answering(*pieces: bytes, close: bool = False) -> Script:
    """Return a script that answers each request with those pieces."""

    async def script(visit: Visit) -> None:
        while await visit.request():
            await visit.send(*pieces)
            if close:
                return

    return script


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        ((OK,), b"ok"),
        (tuple(bytes([byte]) for byte in OK), b"ok"),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3;ext=1\r\ncde\r\n0\r\n\r\n",), b"abcde"),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na", b"b\r\n0\r\nTrailer: x\r\n\r\n"), b"ab"),
        ((b"HTTP/1.1 100 Continue\r\n\r\n", OK), b"ok"),
        ((b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OK,), b"ok"),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), b""),
        ((b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",), b""),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",), b""),
        ((b"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nok",), b"ok"),
    ],
    ids=["whole", "bytewise", "chunked", "chunks cut", "continue", "interim", "204", "304", "empty", "upgrade offered"],
)
async def test_an_answer_is_read_and_its_connection_used_again(
    serve: Serve, transports: Transports, ask: Ask, pieces: tuple[bytes, ...], body: bytes
) -> None:
    transport = transports()
    async with serve(answering(*pieces)) as server:
        for _ in range(3):
            assert (await ask(transport, server.url)).body == body
        assert (server.visits, transport.connections_opened, transport.requests_reused) == (1, 1, 2)


@pytest.mark.parametrize(
    ("pieces", "close"),
    [
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",), False),
        ((b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",), False),
        ((b"HTTP/1.1 200 OK\r\n\r\no", b"k"), True),
        ((OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",), False),
        ((OK + b"HTTP/1",), False),
        ((OK + b"\x00\x01 rubbish",), False),
        ((OK[:-2] + b"okay",), False),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=1\r\n\r\nok",), False),
        ((OK,), True),
    ],
    ids=[
        "close", "1.0", "till eof", "second answer", "half an answer", "rubbish", "longer than said", "keep-alive 1 s",
        "closes silently",
    ],
)  # fmt: skip
async def test_an_answer_counts_although_its_connection_cannot_be_used_again(
    serve: Serve, transports: Transports, ask: Ask, pieces: tuple[bytes, ...], close: bool
) -> None:
    transport = transports()
    async with serve(answering(*pieces, close=close)) as server:
        for _ in range(3):
            assert (await ask(transport, server.url)).body == b"ok"
            while close and transport.connections_open:
                await asyncio.sleep(0.001)
        assert (server.visits, transport.requests_reused) == (3, 0)


async def test_head_takes_no_body_whatever_the_length_says(serve: Serve, transports: Transports, ask: Ask) -> None:
    transport = transports()
    async with serve(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")) as server:
        for _ in range(2):
            response = await ask(transport, server.url, "HEAD", b"")
            assert (response.body, response.named_headers()["content-length"]) == (b"", "5")


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",),
        (b"HTTP/1.1 200 OK\r\nContent-Le",),
        (b"",),
        (b"SSH-2.0-OpenSSH_9.2\r\n",),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhello",),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000 + b"\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 12_000, b"\r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 3_000, OK),
    ],
    ids=[
        "short", "short chunk", "half a head", "nothing", "no http", "bad chunk", "two lengths", "length and chunks",
        "switched", "long header", "many headers", "many interims",
    ],
)  # fmt: skip
async def test_a_broken_answer_is_ambiguous_and_never_asked_for_again(
    serve: Serve, transports: Transports, ask: Ask, pieces: tuple[bytes, ...]
) -> None:
    transport = transports()
    async with serve(answering(*pieces, close=True)) as server:
        with pytest.raises(MaybeSent):
            await ask(transport, server.url)
        assert (len(server.requests), server.visits) == (1, 1)
        assert len(transport._origins[("http", "127.0.0.1", server.port)].idle) == 0


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_bound_is_refused(
    serve: Serve, transports: Transports, ask: Ask, monkeypatch: pytest.MonkeyPatch, chunked: bool
) -> None:
    monkeypatch.setattr("scaleset_client.transport.connection.MAX_BODY", 100_000)
    framing = b"Transfer-Encoding: chunked\r\n\r\n30d40\r\n" if chunked else b"Content-Length: 200000\r\n\r\n"
    transport = transports()
    async with serve(answering(b"HTTP/1.1 200 OK\r\n" + framing, b"x" * 200_000)) as server:
        with pytest.raises(MaybeSent, match="larger than"):
            await ask(transport, server.url)


async def test_a_reset_in_the_middle_is_a_read_error(serve: Serve, transports: Transports, ask: Ask) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        sock = visit.writer.get_extra_info("socket")
        sock.setsockopt(1, 13, b"\x01\x00\x00\x00\x00\x00\x00\x00")  # SO_LINGER of zero: the close becomes a reset
        visit.writer.transport.abort()

    transport = transports()
    async with serve(script) as server:
        with pytest.raises(MaybeSent):
            await ask(transport, server.url)
        assert len(server.requests) == 1


async def test_an_answer_before_the_request_was_sent_counts_but_its_connection_is_done(
    serve: Serve, transports: Transports, ask: Ask
) -> None:
    async def script(visit: Visit) -> None:
        await visit.reader.readuntil(b"\r\n\r\n")
        cast("asyncio.Transport", visit.writer.transport).pause_reading()
        await visit.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
        await asyncio.sleep(60)

    transport = transports()
    async with serve(script) as server:
        assert (await ask(transport, server.url, content=bytes(20_000_000))).status == 413
        assert transport._origin(server.url).idle == []


async def test_large_bodies_pass_whole(serve: Serve, transports: Transports, ask: Ask) -> None:
    body = bytes(range(256)) * 8_000
    transport = transports()
    async with serve(answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body)) as server:
        assert (await ask(transport, server.url, content=body)).body == body
        assert server.requests[0].endswith(body)


async def test_a_body_that_is_compressed_unasked_is_refused(serve: Serve, transports: Transports, ask: Ask) -> None:
    packed = gzip.compress(b'{"a": 1}')
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    async with serve(answering(head, packed)) as server:
        with pytest.raises(MaybeSent, match="'gzip'"):
            await ask(transports(), server.url)
