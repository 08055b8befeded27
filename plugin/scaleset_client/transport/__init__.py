"""What carries the client's requests: one exchange at a time, over connections opened ahead and kept alive."""

from scaleset_client.transport.exchange import Head, RawHeaders, Response, Transport
from scaleset_client.transport.failures import MaybeSent, NotSent
from scaleset_client.transport.overhttpx import HttpxTransport
from scaleset_client.transport.pool import BurstTransport

__all__ = ["BurstTransport", "Head", "HttpxTransport", "MaybeSent", "NotSent", "RawHeaders", "Response", "Transport"]
