"""One HTTP/1.1 connection: bytes out in one write, bytes in through llhttp, one answer at a time."""

import asyncio
import math
import select
from typing import Final, Protocol, cast

import httptools

from scaleset_client.transport.exchange import MAX_BODY, RawHeaders, Response
from scaleset_client.transport.failures import MaybeSent, NotSent

__all__ = ["IDLE_LIMIT", "MAX_HEAD", "RECEIVED_AT_ONCE", "Connection", "Owner", "read_what_came"]

MAX_HEAD: Final = 64 * 1024
TOO_LARGE: Final = f"the answer is larger than {MAX_BODY >> 20} MiB"
RECEIVED_AT_ONCE: Final = 64 * 1024
"""Bytes read from a connection in one step."""

IDLE_LIMIT: Final = 55.0
"""Seconds a connection may lie idle; shorter if the server's `Keep-Alive: timeout=` says so."""


class Owner(Protocol):
    """Who is told what becomes of a connection.

    Attributes:
        buffer: Where bytes come in; the connections of one loop share it, since each reads its own at once.
    """

    buffer: memoryview

    def released(self, connection: "Connection") -> None:
        """The connection has answered and can be used again."""

    def lost(self, connection: "Connection") -> None:
        """The connection is closed."""


class Connection(asyncio.BufferedProtocol):
    """One connection and the exchange that is under way on it, if any."""

    __slots__ = (
        "_answer",
        "_body",
        "_complete",
        "_head_done",
        "_head_only",
        "_headers",
        "_owner",
        "_parser",
        "_poll",
        "_received",
        "_reusable",
        "_size",
        "_status",
        "_transport",
        "_tunnel",
        "deadline",
        "idle_limit",
        "usable",
        "uses",
    )

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Response] | None = None
        self._reset(head_only=False, tunnel=False)
        self._parser = httptools.HttpResponseParser(self)
        self._poll = select.poll()
        self.usable = True
        """Nothing speaks against another request, once it is open."""
        self.uses = 0
        self.idle_limit = IDLE_LIMIT
        self.deadline = math.inf
        """Loop time by which the answer must be complete or, while idle, after which it is not used again."""

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited."""
        return self._answer is not None

    @property
    def transport(self) -> asyncio.Transport:
        """What lies below; there once the connection is made."""
        if self._transport is None:
            raise NotSent("the connection is not open")
        return self._transport

    @property
    def lost(self) -> bool:
        """Whether it is closed for good, or was never open."""
        return self._transport is None

    def _reset(self, *, head_only: bool, tunnel: bool) -> None:
        self._head_only = head_only or tunnel
        self._tunnel = tunnel
        self._headers: RawHeaders = []
        self._body: list[bytes] = []
        self._received = self._size = self._status = 0
        self._head_done = self._complete = False
        self._reusable = not self._head_only  # llhttp would wait for the body that such a head announces

    async def exchange(self, data: bytes, *, head_only: bool = False, tunnel: bool = False) -> Response:
        """Send a request in one write and return its answer.

        Args:
            data: The request's bytes.
            head_only: The answer has no body whatever its headers say (HEAD).
            tunnel: The same, and the connection stays open (CONNECT).

        Raises:
            MaybeSent: The connection broke; or the answer is no HTTP, too large, cut off, or late (`deadline`).
        """
        self._reset(head_only=head_only, tunnel=tunnel)
        self.uses += 1
        transport = self.transport
        answer: asyncio.Future[Response]
        answer = self._answer = asyncio.get_running_loop().create_future()
        transport.write(data)
        try:
            return await answer
        except asyncio.CancelledError:
            if self._answer is answer:  # the state of the exchange is unknown to whoever came next
                self.abort()
            raise

    def stirs(self) -> bool:
        """Whether something came in that the loop has not read yet: an idle connection's end, most likely."""
        return bool(self._poll.poll(0))

    def abort(self) -> None:
        """Close at once; an exchange under way fails."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()
        self._fail("the connection was closed")

    def detach(self) -> asyncio.Transport:
        """Give up the transport, to whom a tunnel is built upon it."""
        transport = self.transport
        self.usable = False
        self._transport = None
        del self._parser
        return transport

    def expire(self) -> None:
        """Fail the exchange because its time is up."""
        self._break("no complete answer in time")

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to put what comes in."""
        del sizehint
        return self._owner.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Feed the parser; settle the exchange when the answer is complete."""
        if self._answer is None:
            self.abort()  # nobody asked: an answer to nothing, or an error before closing
            return
        self._received += nbytes
        try:
            self._parser.feed_data(self._owner.buffer[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._complete:
                self._break(_reason(error))
                return
            self._reusable = False  # garbage after the answer
        if self._complete:
            self._settle()
        elif self._received > (MAX_BODY + MAX_HEAD if self._head_done else MAX_HEAD):
            self._break(TOO_LARGE)

    def eof_received(self) -> None:
        """Take the end as the body's end if nothing else delimits it."""
        self.usable = False
        if self._answer is None:
            return
        if self._head_done and not self._complete and not _is_delimited(self._headers):
            self._complete, self._reusable = True, False
            self._settle()
        else:
            self._break("the server closed the connection before the end of its answer")

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is under way and tell the owner."""
        self.usable = False
        if self._transport is not None:
            self._transport = None
            del self._parser  # it holds our methods: break the cycle
        self._fail(f"the connection was lost ({exc or 'closed'})")
        self._owner.lost(self)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Start on a message; one after the answer is nobody's."""
        if self._complete:
            self._reusable = False
        else:
            self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; those after the body are dropped."""
        if not self._head_done:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Check the head's size; settle at once if no body can follow."""
        if self._complete:
            return
        if self._received > MAX_HEAD and sum(len(k) + len(v) + 4 for k, v in self._headers) > MAX_HEAD:
            raise MaybeSent("the answer's headers are too large")
        self._status = self._parser.get_status_code()
        self._head_done = self._status >= 200
        self._complete = self._head_done and self._head_only

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        if not self._complete:
            self._size += len(body)
            if self._size > MAX_BODY:
                raise MaybeSent(TOO_LARGE)
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Note the end, but for the interim answers (1xx), after which the real one follows."""
        if self._head_done and not self._complete:
            self._complete = True
            self._reusable = self._reusable and self._parser.should_keep_alive()

    # How an exchange ends.

    def _settle(self) -> None:
        answer, self._answer = self._answer, None
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        result = Response(self._status, self._headers, body, self.abort)
        self._headers, self._body = [], []  # an idle connection keeps nothing of its last answer
        self.deadline = math.inf
        if self.uses == 1:
            self.idle_limit = _idle_limit(result.headers)
        # A server that answers early may never read the rest, and a request after it would hang.
        if self._reusable and self.usable and self.idle_limit > 0 and not self.transport.get_write_buffer_size():
            self._owner.released(self)
        elif not self._tunnel:
            self.abort()
        if answer is not None and not answer.done():
            answer.set_result(result)

    def _break(self, reason: str) -> None:
        self._fail(reason)
        self.abort()

    def _fail(self, reason: str) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            self.deadline = math.inf
            if not answer.done():
                answer.set_exception(MaybeSent(reason))


def _reason(error: Exception) -> str:
    cause = error.__context__
    return str(cause) if isinstance(cause, MaybeSent) else f"the answer is no valid HTTP ({error})"


def _is_delimited(headers: RawHeaders) -> bool:
    return any(name.lower() in {b"content-length", b"transfer-encoding"} for name, _ in headers)


def _idle_limit(headers: RawHeaders) -> float:
    """Return the seconds of the server's `Keep-Alive: timeout=`, less one for the way, at most ours."""
    for name, value in headers:
        if name.lower() == b"keep-alive":
            for part in value.split(b","):
                key, _, number = part.strip().partition(b"=")
                if key.lower() == b"timeout" and number.isdigit():
                    return min(IDLE_LIMIT, float(number) - 1.0)
    return IDLE_LIMIT


async def read_what_came() -> None:
    """Let the loop read what came in on a connection that stirs, which takes two turns."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)
