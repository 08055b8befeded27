"""What a client is made from: credentials, how to reach the service, and who the caller is."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from scaleset_client.version import VERSION
from scaleset_hookspecs.errors import UsageError

__all__ = ["AppCredentials", "ConnectionOptions", "Credentials", "TokenCredentials", "UserAgent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCredentials:
    """A personal access token (protocol 3.1 lists the scopes it needs).

    Attributes:
        token: The token. A secret.
        again: Reads it once more, on a thread of its own, when it is refused: it may have been rotated meanwhile.

    Raises:
        UsageError: It cannot be one: it is empty, or holds what no header can, such as the line break of its file.
    """

    token: str = field(repr=False)
    again: Callable[[], str] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse at once what would only fail when it is sent."""
        if not self.token or not self.token.isascii() or not self.token.isprintable() or " " in self.token:
            raise UsageError("a token is one line of ASCII characters without blanks or line breaks")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppCredentials:
    """An installation of a GitHub App.

    Attributes:
        client_id: The App's client id; its numeric id as text works too.
        installation_id: The installation in the scope.
        private_key: The App's private key, PEM. A secret.
        again: Reads the key once more, on a thread of its own, when the App is refused.
    """

    client_id: str
    installation_id: int
    private_key: str = field(repr=False)
    again: Callable[[], str] | None = field(default=None, repr=False, compare=False)


Credentials: TypeAlias = TokenCredentials | AppCredentials


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


@dataclass(frozen=True, slots=True, kw_only=True)
class UserAgent:
    """Who calls: a `User-Agent` of one line of JSON (protocol 4.1). The service uses it for diagnostics only.

    Attributes:
        system: The autoscaler's name.
        version: Its version.
        commit_sha: The commit it was built from.
        scale_set_id: The scale set it serves, 0 if unknown or many.
        subsystem: The part of it that calls.
    """

    system: str = "scaleset-burst"
    version: str = VERSION
    commit_sha: str = "unknown"
    scale_set_id: int = 0
    subsystem: str = "client"

    def header(self) -> str:
        """Return the header's value; the encoder escapes whatever a header must not hold."""
        return json.dumps(
            {
                "system": self.system,
                "version": self.version,
                "commit_sha": self.commit_sha,
                "scale_set_id": self.scale_set_id,
                "subsystem": self.subsystem,
                "build_version": VERSION,
                "build_commit_sha": "unknown",
                "kind": "scaleset",
            },
            separators=(",", ":"),
        )
