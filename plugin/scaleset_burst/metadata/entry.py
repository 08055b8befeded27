"""What is remembered of one key, and what follows from it at a given moment: pure decisions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from random import Random
from typing import Generic, TypeVar

__all__ = ["Entry", "Setback", "Step", "decide", "setback"]

T = TypeVar("T")

AHEAD = 0.8
"""Share of its life after which an entry is renewed behind the answer."""

JITTER = 0.1
"""Lifetimes are shortened by up to this share, so that what was fetched together does not expire together."""

FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Generic[T]):
    """A value the service gave; times are monotonic seconds.

    Attributes:
        since: When the service said so.
        fresh_until: Past this it is stale; never later than `since` plus the lifetime.
        renew_from: From here on it is renewed behind the answer.
        stale_until: Past this it is not served at all.
        source: Who said so: `service`, `event` or `mint`.
    """

    value: T
    since: float
    fresh_until: float
    renew_from: float
    stale_until: float
    source: str = "service"

    @classmethod
    def new(
        cls, value: T, now: float, lifetime: float, stale_limit: float, chance: Random, source: str = "service"
    ) -> Entry[T]:
        """Make an entry whose life begins now."""
        life = lifetime * (1 - JITTER * chance.random())
        return cls(
            value=value,
            since=now,
            fresh_until=now + life,
            renew_from=now + life * AHEAD,
            stale_until=now + lifetime + stale_limit,
            source=source,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Setback:
    """A key whose last look-up failed.

    Attributes:
        failures: How many in a row.
        retry_at: Nobody asks the service again before this time.
        reason: What went wrong, for people.
    """

    failures: int
    retry_at: float
    reason: str


class Step(Enum):
    """What to do with a question."""

    SERVE = auto()
    """Answer from the entry: it is fresh."""
    SERVE_AND_RENEW = auto()
    """Answer from the entry, and renew it behind the answer."""
    FETCH = auto()
    """Ask the service."""
    STALE = auto()
    """Answer from the entry, marked stale: the service failed and is left alone for now."""
    UNKNOWN = auto()
    """Say that nobody knows: the service failed and is left alone for now."""


def decide(entry: Entry[T] | None, trouble: Setback | None, now: float) -> Step:
    """Decide how a question is answered.

    1. Fresh: served; in the last fifth of its life, renewed as well unless the service is left alone.
    2. Past its life, or never known, and the service may be asked: asked.
    3. The service is left alone: stale up to the limit, then unknown. Never absent.
    """
    waiting = trouble is not None and now < trouble.retry_at
    if entry is not None and now < entry.fresh_until:
        return Step.SERVE_AND_RENEW if now >= entry.renew_from and not waiting else Step.SERVE
    if not waiting:
        return Step.FETCH
    return Step.STALE if entry is not None and now < entry.stale_until else Step.UNKNOWN


def setback(before: Setback | None, now: float, reason: str, retry_after: float | None, chance: Random) -> Setback:
    """Return how long a key is left alone after a failure: doubling, jittered, never less than we were told."""
    failures = (before.failures if before is not None else 0) + 1
    wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(failures - 1, 10)) * (1 + 0.5 * chance.random())
    return Setback(failures=failures, retry_at=now + max(wait, retry_after or 0.0), reason=reason)
