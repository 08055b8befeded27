"""What requests that differ only in their body have in common: made once, and encoded once."""

from typing import TypeAlias

import httpx

from scaleset_client.transport.routes import Route

__all__ = ["Head", "RawHeaders", "SharedHeaders"]

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]

REMEMBERED = 64
"""Lengths of bodies whose headers are kept ready; the names of one burst have one length."""


class SharedHeaders(httpx.Headers):
    """The headers of all requests of one head whose bodies have one length. Nobody changes them.

    Attributes:
        encoded: The whole head as it leaves along a route, once it has left.
    """

    encoded: tuple[Route, bytes] | None = None


class Head:
    """A method, an address and headers, for any number of requests.

    Attributes:
        method: HTTP method.
        url: The whole address.
    """

    __slots__ = ("_by_length", "_headers", "method", "url")

    def __init__(self, method: str, url: httpx.URL, headers: RawHeaders) -> None:
        """Make a head.

        Args:
            method: HTTP method.
            url: The whole address.
            headers: Everything but `Host` and `Content-Length`.
        """
        self.method = method
        self.url = url
        self._headers = [(b"Host", url.netloc), *headers]
        self._by_length: dict[int, SharedHeaders] = {}

    def headers(self, length: int) -> SharedHeaders:
        """Return the headers for a body of that many bytes."""
        found = self._by_length.get(length)
        if found is None:
            if len(self._by_length) >= REMEMBERED:
                self._by_length.clear()
            sized = [(b"Content-Length", b"%d" % length)] if length or self.method in {"POST", "PATCH"} else []
            found = self._by_length[length] = SharedHeaders([*self._headers, *sized])
        return found
