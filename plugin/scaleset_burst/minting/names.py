"""Runner names: a prefix that people can find, enough chance that only our own can match, and the journal of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Protocol

from scaleset_burst.journal import Change, State
from scaleset_hookspecs.types import JitConfig

__all__ = ["Names", "became", "draw_names", "has_drawn_form", "is_drawn"]

RANDOM_BITS = 65
"""13 characters of 5 bits; protocol 8.4 asks for 60 bits at least."""

LONGEST = 64
"""Characters in a runner's name at most (protocol 8.4)."""

MASK = (1 << RANDOM_BITS) - 1
_SUFFIX = 13
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)


class Names(Protocol):
    """What minting needs of the journal: each awaited call is one transaction for a whole wave."""

    async def reserve(self, scale_set_id: int, names: Sequence[str]) -> None:
        """Write down names before any request with them leaves.

        Raises:
            UnrecordedNames: None of them may be used; a second try will do.
        """

    async def record(self, changes: Sequence[Change]) -> None:
        """Write down what became of names; returns when it would survive a crash.

        Raises:
            UnrecordedNames: Some cannot be handed out.
        """

    def record_now(self, change: Change) -> bool:
        """Write one down on the spot, within a moment; `False`: it is not known to be, so `record` it."""

    def note(self, changes: Sequence[Change]) -> None:
        """Write down what became of names, soon; order with `record` is kept."""

    def pause(self, seconds: float) -> None:
        """Write down, soon, for how long the service allows no registration."""


def draw_names(prefix: str, count: int, random_bits: Callable[[int], int]) -> list[str]:
    """Return names nobody has drawn before: the prefix in lower case, a hyphen, 65 random bits.

    Uniqueness may ignore case (protocol 8.4), so names are all lower case.
    """
    stem, all_bits, names = _stem(prefix), random_bits(RANDOM_BITS * count), []
    for _ in range(count):
        bits = all_bits & MASK
        all_bits >>= RANDOM_BITS
        suffix = [_PAIRS[bits >> shift & 1023] for shift in (55, 45, 35, 25, 15, 5)]
        names.append(f"{stem}-{''.join(suffix)}{_ALPHABET[bits & 31]}")
    return names


def is_drawn(name: str, prefix: str) -> bool:
    """Whether a name has the form of those that are drawn with a prefix."""
    return has_drawn_form(name) and name.lower().rpartition("-")[0] == _stem(prefix)


def has_drawn_form(name: str) -> bool:
    """The same for any prefix."""
    suffix = name.lower().rpartition("-")[2]
    return len(suffix) == _SUFFIX and set(suffix) <= set(_ALPHABET)


@lru_cache
def _stem(prefix: str) -> str:
    return re.sub(r"[^a-z0-9._-]", "-", prefix.lower())[: LONGEST - _SUFFIX - 1].strip("-") or "runner"


def became(config: JitConfig, state: State) -> Change:
    """Return what became of a config, with all that is known of it: its reservation may not have been written."""
    return Change(name=config.runner_name, state=state, runner_id=config.runner_id, scale_set_id=config.scale_set.id)
