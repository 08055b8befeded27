"""httpx's objects to and from what is on the wire."""

from collections.abc import Callable, Iterable
from typing import Any

import httpx

from scaleset_client.transport.connection import Answer
from scaleset_client.transport.head import Head, SharedHeaders
from scaleset_client.transport.routes import Route

__all__ = ["WholeRequest", "WholeResponse", "encode", "refuse_encoded", "respond"]

CHUNKED = b"transfer-encoding"
ENCODED = b"content-encoding"
ENCODED_LENGTH = len(ENCODED)


class WholeRequest(httpx.Request):
    """A request whose body is there already, and whose headers are complete.

    httpx would build the headers anew and copy the body; for a burst that costs more than sending it.
    """

    def __init__(self, head: Head, body: bytes, extensions: dict[str, Any]) -> None:
        self.method = head.method
        self.url = head.url
        self.headers = head.headers(len(body))
        self.extensions = extensions
        self._whole = body

    @property
    def content(self) -> bytes:
        """The body."""
        return self._whole

    @property
    def stream(self) -> httpx.ByteStream:  # type: ignore[override]  # httpx has an attribute here
        """The body, for transports that read it as a stream."""
        return httpx.ByteStream(self._whole)


def encode(request: httpx.Request, content: bytes, route: Route) -> bytes:
    """Return the request's bytes.

    Raises:
        httpx.LocalProtocolError: A header, the method or the path holds a line break.
    """
    shared = request.headers if isinstance(request, WholeRequest) else None
    if isinstance(shared, SharedHeaders) and shared.encoded is not None and shared.encoded[0] is route:
        return shared.encoded[1] + content
    raw = request.headers.raw
    lines = [b"%b %b%b HTTP/1.1" % (request.method.encode("ascii"), route.prefix, request.url.raw_path)]
    lines += [b"%b: %b" % header for header in raw]
    if route.authorization:
        lines.append(b"Proxy-Authorization: " + route.authorization)
    breaks = len(lines) - 1
    head = b"\r\n".join(lines)
    if head.count(b"\n") != breaks or head.count(b"\r") != breaks:
        raise httpx.LocalProtocolError("a line break in the request's head", request=request)
    head += b"\r\n\r\n"
    if isinstance(shared, SharedHeaders):
        shared.encoded = route, head
    elif not isinstance(request.stream, httpx.ByteStream) or any(name.lower() == CHUNKED for name, _ in raw):
        content = b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content) if content else b"0\r\n\r\n"
    return head + content


class WholeResponse(httpx.Response):
    """A response whose body is there already: not decoded, not copied, not read through a stream again.

    What httpx would set up is set up when it is first asked for; of a mint that succeeds only status and body are.

    Attributes:
        abandon: Closes the connection that it came on.
    """

    def __init__(self, answer: Answer, request: httpx.Request, abandon: Callable[[], None]) -> None:
        self.status_code, self._raw, self._whole = answer
        self._asked = request
        self.abandon = abandon

    def __getattr__(self, name: str) -> object:
        """Set up the rest, once; what is still missing then is missing."""
        parts = self.__dict__
        if "_asked" not in parts:
            raise AttributeError(name)
        request = parts.pop("_asked")
        given = dict(parts)
        super().__init__(self.status_code, headers=self._raw, stream=httpx.ByteStream(self._whole), request=request)
        parts.update(given)
        return getattr(self, name)

    @property
    def content(self) -> bytes:
        """The body."""
        return self._whole

    def read(self) -> bytes:
        """Return the body."""
        return self._whole

    async def aread(self) -> bytes:
        """Return the body."""
        return self._whole


def respond(answer: Answer, request: httpx.Request, abandon: Callable[[], None]) -> httpx.Response:
    """Return the answer as an httpx response that is read already.

    Args:
        answer: What came.
        request: What was asked.
        abandon: Closes the connection that it came on.

    Raises:
        httpx.DecodingError: The body is encoded, which nobody asked for.
    """
    refuse_encoded(answer.headers, request)
    return WholeResponse(answer, request, abandon)


def refuse_encoded(headers: Iterable[tuple[bytes, bytes]], request: httpx.Request | None = None) -> None:
    """Refuse a body that is compressed: none was asked for, and a few kilobytes of one can fill any memory.

    Raises:
        httpx.DecodingError: It is; the message names the encoding.
    """
    for name, value in headers:
        if len(name) == ENCODED_LENGTH and name.lower() == ENCODED and value.strip().lower() not in {b"identity", b""}:
            said = value.decode("latin-1")[:100]
            raise httpx.DecodingError(f"the answer is encoded ({said!r}), which was not asked for", request=request)
