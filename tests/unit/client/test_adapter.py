"""Where httpx ends: its exceptions become ours, and no answer holds or floods us."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trustme

from scaleset_client.adapter import Adapter
from scaleset_client.clock import SystemClock
from scaleset_client.observing import RequestRecord
from scaleset_client.operations import RULES, Operation
from scaleset_client.options import ConnectionOptions
from scaleset_client.transport import BurstTransport, Head, Response
from scaleset_client.transport.exchange import MAX_BODY
from scaleset_hookspecs import Rejected, ServiceError, Unavailable, UsageError
from tests.unit.client.scripted import SteppedClock

pytestmark = pytest.mark.anyio

URL = httpx.URL("http://127.0.0.1:1/x")


class Answering(httpx.AsyncBaseTransport):
    """A transport that does what the test says."""

    def __init__(self, outcome: httpx.Response | Exception) -> None:
        self.outcome = outcome
        self.closed = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    async def aclose(self) -> None:
        self.closed += 1


def adapter(outcome: httpx.Response | Exception, options: ConnectionOptions | None = None) -> Adapter:
    return Adapter(options or ConnectionOptions(), SteppedClock(), transport=Answering(outcome))


async def error_of(made: Adapter, kind: Operation = Operation.MINT) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await made.exchange(kind, Head("POST", URL, []))
    await made.aclose()
    return caught.value


@pytest.mark.parametrize(
    ("exception", "maybe"),
    [
        (httpx.ConnectError("refused"), False),
        (httpx.ConnectTimeout("late"), False),
        (httpx.PoolTimeout("full"), False),
        (httpx.ProxyError("407"), False),
        (httpx.UnsupportedProtocol("gopher"), False),
        (httpx.LocalProtocolError("header"), False),
        (httpx.InvalidURL("url"), False),
        (httpx.ReadTimeout("late"), True),
        (httpx.ReadError("reset"), True),
        (httpx.WriteError("reset"), True),
        (httpx.WriteTimeout("late"), True),
        (httpx.CloseError("reset"), True),
        (httpx.RemoteProtocolError("disconnected"), True),
        (httpx.DecodingError("gzip"), True),
        (httpx.TooManyRedirects("loop"), True),
        (ConnectionResetError("reset"), True),
        (OSError(), True),
        (TimeoutError(), True),
    ],
)
async def test_every_exception_becomes_ours(exception: Exception, maybe: bool) -> None:
    """With whether the request may have taken effect; a look-up never has one."""
    error = await error_of(adapter(exception))
    assert type(error) is Unavailable
    assert error.maybe_applied is maybe
    assert not (await error_of(adapter(exception), Operation.GET_RUNNER)).maybe_applied


async def test_an_error_of_the_system_is_ambiguous_from_any_transport() -> None:
    """One of somebody's own may raise it as it came: the request may have left."""

    class Breaking(BurstTransport):
        async def exchange(self, head: Head, body: bytes, seconds: float) -> Response:
            raise ConnectionResetError("reset")

    made = Adapter(ConnectionOptions(), SteppedClock(), transport=Breaking(ConnectionOptions()))
    error = await error_of(made)
    assert type(error) is Unavailable
    assert error.maybe_applied


async def test_an_untrusted_certificate_is_nothing_that_passes() -> None:
    """It is said what to do, and nothing was sent."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    made = Adapter(ConnectionOptions(), SteppedClock())
    with pytest.raises(Rejected, match="ca_file") as caught:
        await made.exchange(Operation.MINT, Head("POST", httpx.URL(f"https://127.0.0.1:{port}/"), []))
    assert not caught.value.maybe_applied
    await made.aclose()
    server.close()


@pytest.mark.parametrize("status", [403, 405, 407])
async def test_a_proxy_that_refuses_for_good_is_nothing_that_passes(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither is one that cannot be used: time mends none of them."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        for text, said in (
            (f"http://u:hunter2@127.0.0.1:{port}", f"status {status}"),
            ("socks5://u:hunter2@p", "not socks5://"),
        ):
            monkeypatch.setenv("https_proxy", text)
            adapter = Adapter(ConnectionOptions(), SystemClock())
            with pytest.raises(Rejected, match=f"https_proxy.*{said}") as caught:
                await adapter.exchange(Operation.MINT, Head("POST", httpx.URL("https://service.example/"), []))
            assert not caught.value.maybe_applied
            assert "hunter2" not in str(caught.value)
            await adapter.aclose()


@pytest.mark.parametrize("name", ["proxy", "ca_file", "client_certificate"])
def test_options_that_cannot_be_used_are_refused_at_once(tmp_path: Path, name: str) -> None:
    """A proxy that is none, a file that is missing or holds something else: a wrong argument."""
    made = tmp_path / "made.pem"
    made.write_text("nothing")
    files = (str(tmp_path / "missing"), str(made))
    for value in ("socks5://u:hunter2@p", "http://u:hunter2@p:99999") if name == "proxy" else files:
        with pytest.raises(UsageError, match="connection options") as caught:
            Adapter(ConnectionOptions(**{name: value}), SteppedClock())  # type: ignore[arg-type]
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_connections", 0), ("max_connections", -1), ("connect_timeout", 0), ("read_timeout", -1.0),
     ("poll_timeout", float("nan"))],
)  # fmt: skip
def test_limits_that_leave_no_room_are_refused(name: str, value: float) -> None:
    """Nobody would ever get a turn, or an answer in time."""
    with pytest.raises(UsageError, match=name):
        ConnectionOptions(**{name: value})  # type: ignore[arg-type]


class Dripping(httpx.AsyncByteStream):
    """A body that comes a byte at a time, for ever."""

    def __init__(self) -> None:
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    async def aclose(self) -> None:
        self.closed = True


async def test_a_dripping_body_ends_with_the_time_limit() -> None:
    """The limit is for the whole answer, not for each byte; the connection is given up."""
    body = Dripping()
    made = adapter(httpx.Response(200, stream=body), ConnectionOptions(connect_timeout=0.05, read_timeout=0.1))
    error = await error_of(made)
    assert "no answer within 0.15 s" in error.message
    assert error.maybe_applied
    assert body.closed


class Bytes(httpx.AsyncByteStream):
    """A body that has to be read."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.content), 65536):
            yield self.content[start : start + 65536]


@pytest.mark.parametrize(
    "encoding", ["gzip", "GZIP", "deflate", "br", "zstd", "gzip, gzip", "x-unknown", "identity, gzip"]
)
async def test_a_body_that_is_compressed_unasked_is_refused(encoding: str) -> None:
    """6.8 kB of `gzip, gzip` held the loop for 12 s and took 3 GB."""
    bomb = gzip.compress(gzip.compress(b" " * (MAX_BODY + 1)))
    error = await error_of(adapter(httpx.Response(200, headers={"Content-Encoding": encoding}, stream=Bytes(bomb))))
    assert f"encoded ({encoding!r}), which was not asked for" in error.message
    assert error.maybe_applied


async def test_a_body_that_is_too_large_is_refused() -> None:
    error = await error_of(adapter(httpx.Response(200, stream=Bytes(b" " * (MAX_BODY + 1)))))
    assert "larger than 16 MiB" in error.message
    assert error.maybe_applied
    honest = adapter(httpx.Response(200, headers={"Content-Encoding": "identity"}, stream=Bytes(b"x" * 100_000)))
    assert (await honest.exchange(Operation.MINT, Head("POST", URL, []))).body == b"x" * 100_000


def test_the_repr_of_a_response_shows_no_body() -> None:
    assert "hunter2" not in repr(Response(200, [], b'{"encodedJITConfig":"hunter2"}'))


async def test_a_transport_given_for_both_is_closed_once() -> None:
    """Whoever brings one transport for everything may."""
    transport = Answering(httpx.Response(200, content=b"{}"))
    records: list[RequestRecord] = []
    made = Adapter(
        ConnectionOptions(), SteppedClock(), transport=transport, poll_transport=transport, on_request=records.append
    )
    await made.exchange(Operation.POLL, Head("GET", URL, []))
    assert made.counters.connections_opened == 0
    await made.aclose()
    assert transport.closed == 1
    assert [(one.kind, one.status, one.failure) for one in records] == [(Operation.POLL, 200, None)]


async def test_failures_are_observed_too() -> None:
    """With the name of what went wrong below HTTP."""
    records: list[RequestRecord] = []
    transport = Answering(httpx.ReadError("reset"))
    made = Adapter(ConnectionOptions(), SteppedClock(), transport=transport, on_request=records.append)
    await error_of(made)
    assert [(one.status, one.failure) for one in records] == [(None, "Unavailable")]


async def test_what_nobody_wants_to_hear_of_is_not_reported_but_counted() -> None:
    """What is reported tells whom it asked, and the id of its answer unless it might be a secret."""
    records: list[RequestRecord] = []
    for sent, told in (("C0DE:12AB", "C0DE:12AB"), ("ghp_0123456789abcdefghij", None), ("hunter2", None)):
        transport = Answering(httpx.Response(200, content=b"{}", headers={"X-GitHub-Request-Id": sent}))
        made = Adapter(
            ConnectionOptions(),
            SteppedClock(),
            transport=transport,
            on_request=records.append,
            unreported={Operation.MINT},
        )
        await made.exchange(Operation.MINT, Head("POST", URL, []))
        await made.exchange(Operation.FIND_RUNNER, Head("GET", URL, []))
        [record] = records
        records.clear()
        assert (record.kind, record.method, record.host) == (Operation.FIND_RUNNER, "GET", URL.host)
        assert record.request_id == told
        assert made.counters.requests == {"mint": 1, "find_runner": 1}


class Counting(httpx.AsyncBaseTransport):
    """A transport without a limit of its own."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.02)
        self.now -= 1
        return httpx.Response(200, content=b"{}")


SHORT = [kind for kind, rule in RULES.items() if not rule.session]


@pytest.mark.parametrize("hung", SHORT)
async def test_no_kind_of_call_waits_behind_another_that_hangs(hung: Operation) -> None:
    """100 look-ups that hung kept a burst from being sent for 15 s."""
    reached: list[str] = []

    class Hanging(BurstTransport):
        async def exchange(self, head: Head, body: bytes, seconds: float) -> Response:
            if head.method == hung:
                await asyncio.get_running_loop().create_future()
            reached.append(head.method)
            return Response(200, [], b"{}")

    made = Adapter(ConnectionOptions(max_connections=2), SteppedClock(), transport=Hanging(ConnectionOptions()))
    hanging = [asyncio.ensure_future(made.exchange(hung, Head(hung, URL, []))) for _ in range(10)]
    await asyncio.sleep(0)
    others = (
        set(SHORT)
        - {hung}
        - ({Operation.MINT, Operation.MINT_SLICE} if hung in {Operation.MINT, Operation.MINT_SLICE} else set())
    )
    for kind in others:
        await made.exchange(kind, Head(kind, URL, []))
    assert sorted(reached) == sorted(others)
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)


async def test_waiting_for_a_turn_costs_no_time_limit() -> None:
    """No more requests at once than connections, and each has its whole time from its own start."""
    transport = Counting()
    made = Adapter(ConnectionOptions(max_connections=2, connect_timeout=0.01), SteppedClock(), transport=transport)
    calls = (made.exchange(Operation.MINT, Head("POST", URL, []), time_limit=0.1) for _ in range(20))
    assert {answer.status for answer in await asyncio.gather(*calls)} == {200}
    assert transport.most == 2
