"""Decides what a question costs: nothing, a look-up behind the answer, or a look-up in front of it."""

from enum import Enum, auto

__all__ = ["Decision", "decide"]


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


def decide(*, fresh_until: float, refresh_at: float, rest_until: float, now: float) -> Decision:
    """Decide about one question; all times are monotonic seconds.

    Args:
        fresh_until: End of the remembered value's life; `-inf` if there is none.
        refresh_at: Start of the last part of it.
        rest_until: No request before then, because the last one failed; `-inf` if it did not.
        now: The time of the question.
    """
    resting = now < rest_until
    if now < fresh_until:
        return Decision.SERVE if resting or now < refresh_at else Decision.SERVE_AND_REFRESH
    return Decision.BACKOFF if resting else Decision.FETCH
