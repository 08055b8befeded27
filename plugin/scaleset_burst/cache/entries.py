"""What is kept of one finished look-up, and what a question costs at each moment of its life: pure decisions."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar

__all__ = ["JITTER", "NEVER", "REFRESH_SHARE", "Decision", "Entry", "decide", "make_entry"]

V = TypeVar("V")

NEVER = float("-inf")
"""The end of the life of what is not there."""

JITTER = 0.1
"""Lifetimes are shortened by up to this share, so that what was learnt at once is not asked for again at once."""

REFRESH_SHARE = 0.2
"""A question in this last share of a life renews the entry behind the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Generic[V]):
    """A finished value with its times, in monotonic seconds.

    Attributes:
        value: What was learnt; `None`: confirmed to be gone.
        said_at: When the service was asked, or the event came: no later than the moment the value was true.
        refresh_at: From here on a question renews it behind the answer.
        fresh_until: From here on it is stale.
        complete_until: Until when all that is asked for is fresh: from here on the service is asked, if it can be.
        drop_at: From here on it is forgotten.
        source: Who said so: `service`, `event` or `mint`.
    """

    value: V | None
    said_at: float
    refresh_at: float
    fresh_until: float
    complete_until: float
    drop_at: float
    source: str = "service"


def make_entry(
    value: V | None, *, said_at: float, lifetime: float, stale_limit: float, jitter: float, source: str = "service"
) -> Entry[V]:
    """Lay out the life of a value.

    Args:
        value: What was learnt; `None`: confirmed to be gone, which is never served past its lifetime.
        said_at: When, in monotonic seconds.
        lifetime: Seconds for which it may be called fresh; the jitter only ever shortens them.
        stale_limit: Seconds past the lifetime for which it may be served, marked stale.
        jitter: From 0 to 1, drawn for this value.
        source: Who said so.
    """
    life = lifetime * (1.0 - JITTER * jitter)
    return Entry(
        value=value,
        said_at=said_at,
        refresh_at=said_at + life * (1.0 - REFRESH_SHARE),
        fresh_until=said_at + life,
        complete_until=said_at + life,
        drop_at=said_at + (life if value is None else lifetime + stale_limit),
        source=source,
    )


class Decision(Enum):
    """What to do about one question."""

    SERVE = auto()
    """Answer from memory."""
    SERVE_AND_REFRESH = auto()
    """Answer from memory, and renew behind the answer."""
    FETCH = auto()
    """Ask the service first, or wait for whoever asks it already."""
    BACKOFF = auto()
    """The service failed a moment ago: answer stale or unknown without asking it."""


def decide(*, fresh_until: float, refresh_at: float, backoff_until: float, now: float) -> Decision:
    """Decide about one question; all times are monotonic seconds.

    Args:
        fresh_until: End of the remembered value's life; `NEVER` if there is none.
        refresh_at: Start of the last part of it.
        backoff_until: No request before then, because the last one failed; `NEVER` if it did not.
        now: The time of the question.
    """
    backs_off = now < backoff_until
    if now < fresh_until:
        return Decision.SERVE if backs_off or now < refresh_at else Decision.SERVE_AND_REFRESH
    return Decision.BACKOFF if backs_off else Decision.FETCH
