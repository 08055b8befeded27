"""The seam between the client and what carries its requests: one exchange, and two ways in which it fails.

In go a `Head` (method, address and headers), a body and a time limit; out comes a whole `Response` (status, headers and
body), or `NotSent`, or `MaybeSent`. Everything below that belongs to a `Transport`: `BurstTransport` is our own, and
`HttpxTransport` takes any of httpx's in its place.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol, TypeAlias

import httpx

from scaleset_client.transport.failures import MaybeSent, NotSent
from scaleset_client.transport.routes import Route

__all__ = ["MAX_BODY", "Head", "RawHeaders", "Response", "Transport", "refuse_encoded"]

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]

MAX_BODY = 16 * 2**20
"""Bytes of a body at most; the largest honest answer, a list of 10,000 runners, has a fifth of that."""

ENCODED = b"content-encoding"
ENCODED_LENGTH = len(ENCODED)

REQUEST_ID = b"x-github-request-id"
REQUEST_ID_LENGTH = len(REQUEST_ID)

REMEMBERED = 64
"""Lengths of bodies whose heads are kept ready; the names of one burst have one length."""


def _keep() -> None:
    """Do nothing about a connection that nobody can reach."""


class Response(NamedTuple):
    """A whole answer.

    Attributes:
        status: The HTTP status.
        headers: Names and values as they came.
        body: The body, not encoded in any way.
        abandon: Closes the connection that it came on: called when it cannot be the answer to what was asked, since
            whatever follows on that connection may be one off as well.
    """

    status: int
    headers: RawHeaders
    body: bytes
    abandon: Callable[[], None] = _keep

    def __repr__(self) -> str:
        """Show no header and no body: they may hold a JIT config or a token."""
        return f"Response(status={self.status}, {len(self.body)} bytes)"

    @property
    def request_id(self) -> str | None:
        """What the service calls the request (`X-GitHub-Request-Id`), as it came."""
        for name, value in self.headers:
            if len(name) == REQUEST_ID_LENGTH and name.lower() == REQUEST_ID:
                return value.decode("latin-1")
        return None

    def named_headers(self) -> dict[str, str]:
        """Return the headers by their names in lower case; one that came several times holds all, between commas."""
        named: dict[str, str] = {}
        for raw_name, raw_value in self.headers:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            named[name] = f"{named[name]}, {value}" if name in named else value
        return named


class Head:
    """A method, an address and headers, for any number of requests that differ in their body only.

    What leaves before the body is encoded once for a route and a length of body, since the mints of a burst share both.

    Attributes:
        method: HTTP method.
        url: The whole address.
        headers: Everything but `Host` and `Content-Length`.
    """

    __slots__ = ("_encoded", "_route", "headers", "method", "url")

    def __init__(self, method: str, url: httpx.URL, headers: RawHeaders) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self._route: Route | None = None
        self._encoded: dict[int, bytes] = {}

    def encoded(self, route: Route, length: int) -> bytes:
        """Return the bytes that leave along a route before a body of that length.

        Raises:
            NotSent: A header, the method or the path holds a line break.
        """
        if route is not self._route:  # another proxy's credentials, or another path
            self._encoded.clear()
            self._route = route
        found = self._encoded.get(length)
        if found is None:
            if len(self._encoded) >= REMEMBERED:
                self._encoded.clear()
            found = self._encoded[length] = self._encode(route, length)
        return found

    def _encode(self, route: Route, length: int) -> bytes:
        lines = [b"%b %b%b HTTP/1.1" % (self.method.encode("ascii"), route.prefix, self.url.raw_path)]
        lines += [b"%b: %b" % header for header in ((b"Host", self.url.netloc), *self.headers)]
        if length or self.method in {"POST", "PATCH"}:
            lines.append(b"Content-Length: %d" % length)
        if route.authorization:
            lines.append(b"Proxy-Authorization: " + route.authorization)
        breaks = len(lines) - 1
        head = b"\r\n".join(lines)
        if head.count(b"\n") != breaks or head.count(b"\r") != breaks:
            raise NotSent("a line break in the request's head")
        return head + b"\r\n\r\n"


class Transport(Protocol):
    """What carries exchanges. Of one event loop.

    Attributes:
        connections_open: Connections open now, as far as it knows.
        connections_opened: Connections opened so far, as far as it knows.
    """

    @property
    def connections_open(self) -> int: ...  # noqa: D102  # above

    @property
    def connections_opened(self) -> int: ...  # noqa: D102  # above

    async def exchange(self, head: Head, body: bytes, seconds: float) -> Response:
        """Send one request and return its answer, whatever its status. Never repeats one by itself.

        Args:
            head: All of the request but its body.
            body: The body, or nothing.
            seconds: Time for the whole answer, from when the request leaves.

        Raises:
            NotSent: The request surely took no effect.
            MaybeSent: It may have taken effect.
        """

    async def warm(self, url: httpx.URL, count: int) -> int:
        """Open connections to an address's origin until so many are open; return how many are, 0 if nobody knows."""

    async def aclose(self) -> None:
        """Close every connection; what is under way fails, and what comes is refused."""


def refuse_encoded(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Refuse a body that is compressed: none was asked for, and a few kilobytes of one can fill any memory.

    Raises:
        MaybeSent: It is; the message names the encoding.
    """
    for name, value in headers:
        if len(name) == ENCODED_LENGTH and name.lower() == ENCODED and value.strip().lower() not in {b"identity", b""}:
            said = value.decode("latin-1")[:100]
            raise MaybeSent(f"the answer is encoded ({said!r}), which was not asked for")
