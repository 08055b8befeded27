"""Credentials: a personal access token, or a GitHub App's installation."""

from dataclasses import dataclass, field
from typing import TypeAlias

from scaleset_hookspecs.errors import UsageError

__all__ = ["AppCredentials", "Credentials", "TokenCredentials"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCredentials:
    """A personal access token (protocol 3.1 lists the scopes it needs).

    Raises:
        UsageError: It cannot be one: it is empty, or holds what no header can, such as the line break of its file.
    """

    token: str = field(repr=False)

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
    """

    client_id: str
    installation_id: int
    private_key: str = field(repr=False)


Credentials: TypeAlias = TokenCredentials | AppCredentials
