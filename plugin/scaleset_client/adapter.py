"""Requests on their way: each waits for its turn, is counted and timed, and its failure becomes an error of ours."""

import asyncio
import logging
from collections.abc import Callable, Collection
from types import MappingProxyType

import httpx

from scaleset_client.clock import Clock
from scaleset_client.observing import Counters, RequestRecord
from scaleset_client.operations import RULES, Operation
from scaleset_client.options import ConnectionOptions
from scaleset_client.texts import plain_id
from scaleset_client.transport import BurstTransport, Head, HttpxTransport, MaybeSent, NotSent, Response, Transport
from scaleset_hookspecs.errors import Rejected, ServiceError, Unavailable, UsageError

__all__ = ["Adapter", "address"]

log = logging.getLogger(__name__)

SESSION_CONNECTIONS = 512
TOKEN_KINDS = (Operation.INSTALLATION_TOKEN, Operation.REGISTRATION_TOKEN, Operation.ADMIN_CONNECTION)


class Adapter:
    """Sends requests over two transports: one for short calls, one for message sessions and their long polls."""

    def __init__(
        self,
        options: ConnectionOptions,
        clock: Clock,
        *,
        transport: Transport | httpx.AsyncBaseTransport | None = None,
        poll_transport: Transport | httpx.AsyncBaseTransport | None = None,
        on_request: Callable[[RequestRecord], None] | None = None,
        unreported: Collection[Operation] = (),
    ) -> None:
        # Each kind of call has turns of its own, so that none waits behind another that hangs. A caller waits for its
        # turn here, not in the pool, so that no time limit of a request runs meanwhile.
        self._turns = {
            kind: asyncio.Semaphore(options.max_connections) for kind, rule in RULES.items() if not rule.session
        }
        self._turns[Operation.MINT_SLICE] = self._turns[Operation.MINT]
        self._short = _transport(options, transport, options.max_connections * len(self._turns))
        same = transport is not None and transport is poll_transport
        self._long = self._short if same else _transport(options, poll_transport, SESSION_CONNECTIONS)
        self._options = options
        self._clock = clock
        self._requests: dict[Operation, int] = {}
        self._on_request = on_request
        self._unreported = unreported
        self._closed = False

    @property
    def counters(self) -> Counters:
        """The counts so far."""
        counted = dict(self._requests)  # whole, in one step: the loop may count a new kind while another thread reads
        return Counters(
            requests=MappingProxyType({kind.value: count for kind, count in counted.items()}),
            token_requests=sum(counted.get(kind, 0) for kind in TOKEN_KINDS),
            connections_opened=sum(one.connections_opened for one in {self._short, self._long}),
        )

    @property
    def connections_open(self) -> int:
        """Connections for short calls that are open now, as far as the transport can tell."""
        return self._short.connections_open

    async def warm(self, url: httpx.URL, count: int) -> int:
        """Open connections for short calls ahead; return how many are open, 0 if the transport cannot tell."""
        self._check_open("opening connections")
        try:
            return await self._short.warm(url, min(count, self._options.max_connections))
        except NotSent as error:
            raise _not_sent("opening connections", error) from error

    async def aclose(self) -> None:
        """Close both transports; whoever waits for its turn, and whoever comes later, is refused."""
        self._closed = True
        await self._short.aclose()
        if self._long is not self._short:
            await self._long.aclose()

    async def exchange(
        self, kind: Operation, head: Head, *, body: bytes = b"", time_limit: float | None = None
    ) -> Response:
        """Send one request and return its answer, whatever its status.

        Args:
            kind: The operation; decides the transport and the time limit.
            head: Method, address and headers.
            body: The body, or nothing.
            time_limit: Seconds for the answer, instead of the configured ones.

        Raises:
            ServiceError: There was no answer, or one that cannot be taken.
        """
        options = self._options
        seconds = time_limit or (options.poll_timeout if kind is Operation.POLL else options.read_timeout)
        if RULES[kind].session:
            return await self._timed(kind, self._long, head, body, seconds)
        async with self._turns[kind]:
            return await self._timed(kind, self._short, head, body, seconds)

    async def _timed(self, kind: Operation, transport: Transport, head: Head, body: bytes, seconds: float) -> Response:
        self._check_open(RULES[kind].words)
        self._requests[kind] = self._requests.get(kind, 0) + 1
        if self._on_request is None or kind in self._unreported:
            return await _carry_out(kind, transport, head, body, seconds)
        started = self._clock.monotonic()
        status = failure = request_id = None
        try:
            response = await _carry_out(kind, transport, head, body, seconds)
            status, request_id = response.status, plain_id(response.request_id)
        except BaseException as error:
            failure = type(error).__name__
            raise
        finally:
            took = self._clock.monotonic() - started
            self._report(
                RequestRecord(
                    kind=kind,
                    status=status,
                    seconds=took,
                    failure=failure,
                    method=head.method,
                    host=head.url.host,
                    request_id=request_id,
                )
            )
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


def _transport(
    options: ConnectionOptions, given: Transport | httpx.AsyncBaseTransport | None, max_connections: int
) -> Transport:
    """Return what was given, as a `Transport`; or one of our own."""
    if isinstance(given, httpx.AsyncBaseTransport):
        return HttpxTransport(given, options.connect_timeout)
    if given is not None:
        return given
    try:
        return BurstTransport(options, max_connections=max_connections)
    except (ValueError, OSError) as error:
        raise UsageError(f"the connection options cannot be used: {error}") from error


def address(text: str) -> httpx.URL:
    """Return an address as the transports take it.

    Raises:
        Rejected: It is none. The services name addresses themselves, so one may be anything.
    """
    try:
        url = httpx.URL(text)
        url.host  # noqa: B018  # an encoded name is only decoded when it is read
    except (httpx.InvalidURL, UnicodeError):  # an IDNA error is a UnicodeError
        raise Rejected("nothing was sent: the address is not a valid URL") from None
    return url


async def _carry_out(kind: Operation, transport: Transport, head: Head, body: bytes, seconds: float) -> Response:
    try:
        return await transport.exchange(head, body, seconds)
    except NotSent as error:
        raise _not_sent(RULES[kind].words, error) from error
    except (MaybeSent, OSError) as error:
        rule = RULES[kind]
        raise Unavailable(f"{rule.words} failed: {error}", maybe_applied=rule.changes) from error


def _not_sent(words: str, error: NotSent) -> ServiceError:
    return (Rejected if error.lasting else Unavailable)(f"{words} failed: {error}")
