"""httpx's objects to and from what is on the wire."""

import httpx

from scaleset_burst.github.transport.connection import Answer
from scaleset_burst.github.transport.routes import Route

__all__ = ["encode", "respond"]

CHUNKED = b"transfer-encoding"
ENCODED = b"content-encoding"


def encode(request: httpx.Request, content: bytes, route: Route) -> bytes:
    """Return the request's bytes.

    Raises:
        httpx.LocalProtocolError: A header, the method or the path holds a line break.
    """
    raw = request.headers.raw
    lines = [b"%b %b%b HTTP/1.1" % (request.method.encode("ascii"), route.prefix, request.url.raw_path)]
    lines += [b"%b: %b" % header for header in raw]
    if route.authorization:
        lines.append(b"Proxy-Authorization: " + route.authorization)
    breaks = len(lines) - 1
    if not isinstance(request.stream, httpx.ByteStream) or any(name.lower() == CHUNKED for name, _ in raw):
        content = b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content) if content else b"0\r\n\r\n"
    head = b"\r\n".join(lines)
    if head.count(b"\n") != breaks or head.count(b"\r") != breaks:
        raise httpx.LocalProtocolError("a line break in the request's head", request=request)
    return b"%b\r\n\r\n%b" % (head, content)


class WholeResponse(httpx.Response):
    """A response whose body is there already: not decoded, not copied, not read through a stream again."""

    def __init__(self, answer: Answer, request: httpx.Request) -> None:
        status, headers, self._whole = answer
        super().__init__(status, headers=headers, stream=httpx.ByteStream(self._whole), request=request)

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


def respond(answer: Answer, request: httpx.Request) -> httpx.Response:
    """Return the answer as an httpx response that is read already.

    Raises:
        httpx.DecodingError: The body is not encoded as it says.
    """
    response = WholeResponse(answer, request)
    if not any(name.lower() == ENCODED for name, _ in answer.headers):
        return response
    try:
        return httpx.Response(answer.status, headers=answer.headers, content=answer.content, request=request)
    except httpx.DecodingError as error:
        error.request = request
        raise
