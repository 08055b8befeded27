"""The states of a name, from before its request leaves until nobody needs to care any more."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

__all__ = ["Change", "LeftoverName", "Pause", "State", "UnrecordedNames"]


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
    UNPROVEN = "doubtful"
    """Left by a dead process whose last writes may be missing, or by another host: perhaps handed out after all."""
    CLOSED = "closed"
    """Settled: removed, never registered, or not ours to touch."""


class Change(NamedTuple):
    """What became of a name."""

    name: str
    state: State
    runner_id: int | None = None
    scale_set_id: int | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """For how many seconds the service allows no registration."""

    seconds: float


class UnrecordedNames(Exception):
    """These names cannot be recorded as delivered where other hosts look: their configs must not be handed out.

    Attributes:
        names: The names; all others of the same call are recorded.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)
        super().__init__(f"{len(self.names)} names cannot be recorded where other hosts look")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftoverName:
    """A name that a dead process left open.

    Attributes:
        delivered: It is known that its host had the config, or was being given it, and never said that it was launched.
        unused: It is proven that nobody was given its config. Of a name that is neither, nothing is known.
    """

    name: str
    scale_set_id: int | None
    runner_id: int | None
    delivered: bool
    unused: bool = False
