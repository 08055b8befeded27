"""Exchanges over any transport of httpx, in place of ours: a test's own, or one that a company has to use."""

import asyncio
import ssl

import httpx

from scaleset_client.observing import TRACE
from scaleset_client.transport.exchange import MAX_BODY, Head, Response, refuse_encoded
from scaleset_client.transport.failures import MaybeSent, NotSent

__all__ = ["HttpxTransport"]

# Raised before anything was written; every other one may come too late to know.
NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.InvalidURL,
)


class HttpxTransport:
    """Carries exchanges over a transport of httpx. It does not tell of its connections, and opens none ahead.

    Args:
        inner: The transport; it is closed with this one.
        connect_timeout: Seconds to open a connection.
    """

    connections_open = 0
    connections_opened = 0

    def __init__(self, inner: httpx.AsyncBaseTransport, connect_timeout: float) -> None:
        self._inner = inner
        self._connect_timeout = connect_timeout

    async def exchange(self, head: Head, body: bytes, seconds: float) -> Response:
        """Send one request and return its answer, as `Transport.exchange`."""
        limits = {"connect": self._connect_timeout, "read": seconds, "write": seconds, "pool": seconds}
        whole = self._connect_timeout + seconds
        try:
            request = httpx.Request(
                head.method, head.url, headers=head.headers, content=body, extensions={"timeout": limits}
            )
            if (trace := TRACE.get()) is not None:  # from here on nobody knows
                trace.unsent = False
            async with asyncio.timeout(whole):  # httpx's limits are for each read: a byte now and then would hold us
                response = await self._inner.handle_async_request(request)
                refuse_encoded(response.headers.raw)
                return Response(response.status_code, response.headers.raw, await _bounded(response))
        except TimeoutError:
            raise MaybeSent(f"no answer within {whole:g} s") from None
        except NOT_SENT as error:
            raise NotSent(_said(error), lasting=_is_untrusted(error)) from error
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            raise MaybeSent(_said(error)) from error

    async def warm(self, url: httpx.URL, count: int) -> int:
        """Open nothing: httpx has no way to."""
        del url, count
        return 0

    async def aclose(self) -> None:
        """Close the transport below."""
        await self._inner.aclose()


async def _bounded(response: httpx.Response) -> bytes:
    """Return the body, unless it is too large."""
    chunks, size = [], 0
    try:
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > MAX_BODY:
                raise MaybeSent(f"the answer is larger than {MAX_BODY >> 20} MiB")
            chunks.append(chunk)
    finally:
        if not response.is_closed:
            await response.aclose()
    return b"".join(chunks)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _is_untrusted(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return True
        seen = seen.__cause__ or seen.__context__
    return "CERTIFICATE_VERIFY_FAILED" in str(error)
