"""The keys in Redis: all begin with the prefix, all of one scope share a hash tag, all expire."""

import hashlib
from dataclasses import dataclass

__all__ = ["Keys"]


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one scope. The scope's name is hashed: it may hold what a key should not.

    Attributes:
        prefix: The setting `sharing.prefix`.
        scope: Host and path of the enterprise, organisation or repository.
    """

    prefix: str
    scope: str

    def key(self, *parts: str) -> str:
        """Return the key of one thing of the scope."""
        tag = hashlib.sha256(self.scope.encode()).hexdigest()[:16]
        return ":".join((f"{self.prefix}:{{{tag}}}", *parts))

    @property
    def ledger(self) -> list[str]:
        """The keys of the limits, in the order that the scripts expect."""
        return [self.key(part) for part in ("meta", "hosts", "state", "spent", "counts", "pause", "probe", "owners")]

    @property
    def news(self) -> str:
        """The channel on which hosts wake each other."""
        return self.key("news")

    @property
    def taken(self) -> str:
        """Start of the keys that say which host resolves a name of a dead one; each name has its own."""
        return self.key("taken")

    def names(self, host: str) -> str:
        """The open names of one host."""
        return self.key("names", host)

    def known(self, kind: str, name: str) -> str:
        """One remembered answer of the service."""
        return self.key("known", kind, name)

    def asking(self, kind: str, name: str) -> str:
        """That a host is asking the service for it."""
        return self.key("asking", kind, name)
