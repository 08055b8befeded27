"""Where a request goes: straight to its origin, or through a proxy."""

from dataclasses import dataclass, field

__all__ = ["Route"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The way to one origin.

    Attributes:
        host: Host of the origin.
        port: Its port.
        tls: Whether the origin speaks TLS.
        prefix: What stands before the path in a request line (scheme and host, for a plain proxy).
        authorization: Value of `Proxy-Authorization` in each request, for a plain proxy.
    """

    host: str
    port: int
    tls: bool
    prefix: bytes = b""
    authorization: bytes = field(default=b"", repr=False)
