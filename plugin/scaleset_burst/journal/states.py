"""The states of a name, from before its request leaves until nobody needs to care any more."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Change", "State"]


class State(StrEnum):
    """What is known of a name."""

    RESERVED = "reserved"
    """Written down; its request may leave at any time."""
    MINTED = "minted"
    """Registered; the caller does not have its config yet."""
    DELIVERED = "delivered"
    """The caller has its config, or is being given it."""
    LAUNCHED = "launched"
    """A machine uses it: closed."""
    AMBIGUOUS = "ambiguous"
    """Perhaps registered, and nobody will use it: to be resolved."""
    CLOSED = "closed"
    """Settled: removed, never registered, or not ours to touch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of a name."""

    name: str
    state: State
    runner_id: int | None = None
    scale_set_id: int | None = None
