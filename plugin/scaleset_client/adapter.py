"""The one place where httpx is driven, and where its exceptions end."""

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterator, Mapping

import httpx

from scaleset_client.clock import Clock
from scaleset_client.kinds import RULES, Kind
from scaleset_client.observing import Counters, RequestRecord, Tally
from scaleset_client.options import ConnectionOptions
from scaleset_client.responses import MAX_BODY, Response
from scaleset_client.tracing import TRACE
from scaleset_client.transport import BurstTransport, Head, ProxyUnusable, Untrusted, WholeRequest
from scaleset_client.transport.wire import WholeResponse, refuse_encoded
from scaleset_hookspecs.errors import Rejected, ServiceError, Unavailable, UsageError

__all__ = ["Adapter", "address"]

log = logging.getLogger(__name__)

# Raised before anything was written, so the request took no effect; every other one may come too late to know.
NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.InvalidURL,
)
SESSION_CONNECTIONS = 512


class LazyHeaders(Mapping[str, str]):
    """The headers of an answer, decoded when somebody asks: nobody does if it is good."""

    __slots__ = ("_response",)

    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    def __getitem__(self, name: str) -> str:
        return self._response.headers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._response.headers)

    def __len__(self) -> int:
        return len(self._response.headers)


class Adapter:
    """Sends requests over two transports: one for short calls, one for message sessions and their long polls."""

    def __init__(
        self,
        options: ConnectionOptions,
        clock: Clock,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        poll_transport: httpx.AsyncBaseTransport | None = None,
        on_request: Callable[[RequestRecord], None] | None = None,
    ) -> None:
        # Each kind of call has turns of its own, so that none waits behind another that hangs. A caller waits for its
        # turn here, not in the pool, so that no time limit of a request runs meanwhile.
        self._turns = {
            kind: asyncio.Semaphore(options.max_connections) for kind, rule in RULES.items() if not rule.session
        }
        self._turns[Kind.MINT_SLICE] = self._turns[Kind.MINT]
        self._short = transport or _own(options, options.max_connections * len(self._turns))
        self._long = poll_transport or _own(options, SESSION_CONNECTIONS)
        self._options = options
        self._clock = clock
        self._tally = Tally()
        self._on_request = on_request
        self._closed = False

    @property
    def counters(self) -> Counters:
        """The counts so far."""
        opened = sum(getattr(one, "connections_opened", 0) for one in {self._short, self._long})
        return self._tally.counters(opened)

    @property
    def connections_open(self) -> int:
        """Connections for short calls that are open now, as far as the transport can tell."""
        return int(getattr(self._short, "connections_open", 0))

    async def warm(self, url: httpx.URL, count: int) -> int:
        """Open connections for short calls ahead; return how many are open, 0 if the transport cannot tell."""
        warm = getattr(self._short, "warm", None)
        if warm is None:
            return 0
        self._check_open("opening connections")
        try:
            return int(await warm(url, min(count, self._options.max_connections)))
        except (httpx.HTTPError, OSError) as error:
            raise _failed("opening connections", error, changes=False) from error

    async def aclose(self) -> None:
        """Close both transports; whoever waits for its turn, and whoever comes later, is refused."""
        self._closed = True
        await self._short.aclose()
        if self._long is not self._short:
            await self._long.aclose()

    async def exchange(self, kind: Kind, head: Head, *, body: bytes = b"", time_limit: float | None = None) -> Response:
        """Send one request and return its answer, whatever its status.

        Args:
            kind: The operation; decides the pool and the time limit.
            head: Method, address and headers.
            body: The body, or nothing.
            time_limit: Seconds for the answer, instead of the configured ones.

        Raises:
            ServiceError: There was no answer, or one that cannot be taken.
        """
        options = self._options
        answer = time_limit or (options.poll_timeout if kind is Kind.POLL else options.read_timeout)
        limits = {"connect": options.connect_timeout, "read": answer, "write": answer, "pool": answer}
        request = WholeRequest(head, body, {"timeout": limits})
        if RULES[kind].session:
            return await self._timed(kind, self._long, request)
        async with self._turns[kind]:
            return await self._timed(kind, self._short, request)

    async def _timed(self, kind: Kind, transport: httpx.AsyncBaseTransport, request: httpx.Request) -> Response:
        self._check_open(RULES[kind].words)
        self._tally.add(kind)
        if self._on_request is None:
            return await _carry_out(kind, transport, request)
        started = self._clock.monotonic()
        status, failure = None, None
        try:
            response = await _carry_out(kind, transport, request)
            status = response.status
        except BaseException as error:
            failure = type(error).__name__
            raise
        finally:
            seconds = self._clock.monotonic() - started
            self._report(RequestRecord(kind=kind, status=status, seconds=seconds, failure=failure))
        return response

    def _check_open(self, words: str) -> None:
        if self._closed:
            raise Rejected(f"{words} failed: the client is closed")

    def _report(self, record: RequestRecord) -> None:
        if self._on_request is None:
            return
        try:
            self._on_request(record)
        except Exception:  # a broken observer must not break a mint that has succeeded
            log.exception("on_request raised for a %s request", record.kind)


def _own(options: ConnectionOptions, max_connections: int) -> BurstTransport:
    try:
        return BurstTransport(options, max_connections=max_connections)
    except (ValueError, OSError) as error:
        raise UsageError(f"the connection options cannot be used: {error}") from error


def address(text: str) -> httpx.URL:
    """Return an address as httpx takes it.

    Raises:
        Rejected: It is none. The services name addresses themselves, so one may be anything.
    """
    try:
        url = httpx.URL(text)
        url.host  # noqa: B018  # an encoded name is only decoded when it is read
    except (httpx.InvalidURL, UnicodeError):  # an IDNA error is a UnicodeError
        raise Rejected("nothing was sent: the address is not a valid URL") from None
    return url


async def _carry_out(kind: Kind, transport: httpx.AsyncBaseTransport, request: httpx.Request) -> Response:
    rule = RULES[kind]
    try:
        if getattr(transport, "bounds_answers", False):  # it notes by itself when the request leaves
            response = await transport.handle_async_request(request)
            body: bytes | None = response.content
        else:
            response, body = await _within(transport, request)
    except _Late as late:
        message = f"{rule.words} failed: no answer within {late.seconds:g} s"
        raise Unavailable(message, maybe_applied=rule.changes) from None
    except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError) as error:
        raise _failed(rule.words, error, changes=rule.changes) from error
    if body is None or len(body) > MAX_BODY:
        message = f"{rule.words} failed: the answer is larger than {MAX_BODY >> 20} MiB"
        raise Unavailable(message, status=response.status_code, maybe_applied=rule.changes)
    if isinstance(response, WholeResponse):
        return Response(response.status_code, LazyHeaders(response), body, response.abandon)
    return Response(response.status_code, LazyHeaders(response), body)


class _Late(Exception):
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


async def _within(transport: httpx.AsyncBaseTransport, request: httpx.Request) -> tuple[httpx.Response, bytes | None]:
    """Carry out a request over a transport whose limit is for each read: a byte now and then must not hold us for ever.

    Raises:
        _Late: The whole was not there in time.
    """
    limits = request.extensions["timeout"]
    seconds = limits["connect"] + limits["read"]
    if (trace := TRACE.get()) is not None:  # from here on nobody knows
        trace.unsent = False
    try:
        async with asyncio.timeout(seconds):
            response = await transport.handle_async_request(request)
            refuse_encoded(response.headers.raw)
            return response, await _bounded(response)
    except TimeoutError:
        raise _Late(seconds) from None


async def _bounded(response: httpx.Response) -> bytes | None:
    """Return the body, or `None` if it is too large."""
    chunks, size = [], 0
    try:
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > MAX_BODY:
                return None
            chunks.append(chunk)
    finally:
        if not response.is_closed:
            await response.aclose()
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _failed(words: str, error: Exception, *, changes: bool) -> ServiceError:
    sent = not isinstance(error, NOT_SENT)
    if isinstance(error, ProxyUnusable | Untrusted):
        return Rejected(f"{words} failed: {error}")
    if _is_untrusted(error):
        return Rejected(f"{words} failed: the server's certificate is not trusted: {error}")
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Unavailable(f"{words} failed: {reason}", maybe_applied=sent and changes)


def _is_untrusted(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return True
        seen = seen.__cause__ or seen.__context__
    return "CERTIFICATE_VERIFY_FAILED" in str(error)
