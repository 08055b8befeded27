"""How to reach the service: limits, time limits, proxy and certificates."""

from dataclasses import dataclass, field

from scaleset_hookspecs.errors import UsageError

__all__ = ["ConnectionOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    """Options of the client's connections; all times in seconds.

    Attributes:
        max_connections: Mints in flight at most. Every other kind of short call may have as many of its own, so that
            none waits behind another that hangs; polls have a pool of their own.
        connect_timeout: Time to open one, TLS included.
        read_timeout: Time for the answer to a short call.
        poll_timeout: Time for the answer to a long poll.
        proxy: URL of a proxy; may hold a password, so it stays out of the repr. `None`: HTTPS_PROXY and NO_PROXY count.
        ca_file: PEM file of certificate authorities to trust instead of the system's.
        client_certificate: PEM file of the client's certificate, for mTLS.
        client_key: PEM file of its key, if not in the same file.

    Raises:
        UsageError: With such a limit nothing would ever be sent.
    """

    max_connections: int = 64
    connect_timeout: float = 5.0
    read_timeout: float = 15.0
    poll_timeout: float = 120.0
    proxy: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None

    def __post_init__(self) -> None:
        """Refuse limits that leave no room."""
        if self.max_connections < 1:
            raise UsageError(f"max_connections is {self.max_connections}; at least 1 is needed")
        for name in ("connect_timeout", "read_timeout", "poll_timeout"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} is {getattr(self, name)}; a time above 0 is needed")
