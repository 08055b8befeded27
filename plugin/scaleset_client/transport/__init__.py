"""The connections under httpx: opened ahead, kept alive, never more than configured."""

from scaleset_client.transport.failures import ProxyUnusable, Untrusted
from scaleset_client.transport.head import Head
from scaleset_client.transport.pool import BurstTransport
from scaleset_client.transport.wire import WholeRequest

__all__ = ["BurstTransport", "Head", "ProxyUnusable", "Untrusted", "WholeRequest"]
