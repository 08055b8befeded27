"""The connections under httpx: opened ahead, kept alive, never more than configured."""

import httpx

from scaleset_burst.github.options import ConnectionOptions

__all__ = ["BurstTransport"]


class BurstTransport(httpx.AsyncHTTPTransport):
    """An httpx transport for bursts."""

    def __init__(self, options: ConnectionOptions, *, max_connections: int | None = None) -> None:
        limit = max_connections or options.max_connections
        super().__init__(limits=httpx.Limits(max_connections=limit, max_keepalive_connections=limit))

    async def warm(self, url: httpx.URL, count: int) -> int:
        """Open connections to the URL's origin until `count` are open; return how many are."""
        raise NotImplementedError
