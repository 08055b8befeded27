"""What is kept of one finished look-up, and when it counts for what."""

from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["JITTER", "REFRESH_SHARE", "Entry", "make_entry"]

V = TypeVar("V")

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
        drop_at: From here on it is forgotten.
        source: Who said so: `service`, `event` or `mint`.
    """

    value: V | None
    said_at: float
    refresh_at: float
    fresh_until: float
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
        drop_at=said_at + (life if value is None else lifetime + stale_limit),
        source=source,
    )
