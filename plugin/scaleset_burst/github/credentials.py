"""Credentials: a personal access token, or a GitHub App's installation."""

from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = ["AppCredentials", "Credentials", "TokenCredentials"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCredentials:
    """A personal access token (protocol 3.1 lists the scopes it needs)."""

    token: str = field(repr=False)


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
