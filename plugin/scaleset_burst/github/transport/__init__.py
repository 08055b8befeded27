"""The connections under httpx: opened ahead, kept alive, never more than configured."""

from scaleset_burst.github.transport.pool import BurstTransport

__all__ = ["BurstTransport"]
