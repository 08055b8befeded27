"""The connections under httpx: opened ahead, kept alive, never more than configured."""

from scaleset_burst.github.transport.failures import ProxyUnusable, Untrusted
from scaleset_burst.github.transport.head import Head
from scaleset_burst.github.transport.pool import BurstTransport
from scaleset_burst.github.transport.wire import WholeRequest

__all__ = ["BurstTransport", "Head", "ProxyUnusable", "Untrusted", "WholeRequest"]
