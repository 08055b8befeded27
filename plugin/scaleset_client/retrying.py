"""Whether to send a request again, and when; a decision over values."""

import random
from dataclasses import dataclass

from scaleset_hookspecs.errors import ServiceError, Unavailable

__all__ = ["Backoff", "least_pause", "next_wait"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How to repeat; all times in seconds.

    Attributes:
        attempts: Requests at most, the first included.
        first: The first wait, before jitter.
        longest: A wait at most, unless the service asks for a longer one.
        limit: Waits of one call at most, all together: beyond it the caller is told instead of kept.
    """

    attempts: int = 5
    first: float = 0.5
    longest: float = 20.0
    limit: float = 60.0

    def wait(self, attempt: int, chance: random.Random) -> float:
        """Return the wait after that attempt (1 is the first): doubling, from half to one and a half of it."""
        return float(min(self.first * 2.0 ** min(attempt - 1, 30), self.longest) * chance.uniform(0.5, 1.5))


def least_pause(refusals: int) -> float:
    """Return the least seconds to wait after so many refusals in a row, whatever the service said: 1, 2, 4, … 64.

    A wait of nothing, or a date in the past, would else have one request follow the other.
    """
    return float(2 ** min(max(refusals, 1) - 1, 6))


def next_wait(
    attempt: int,
    error: ServiceError,
    *,
    repeatable: bool,
    waited: float,
    chance: random.Random,
    backoff: Backoff,
) -> float | None:
    """Return how long to wait before the request goes out again, or `None` to give up.

    Args:
        attempt: How many requests were sent, at least 1.
        error: What became of the last one.
        repeatable: Whether a repeat has the effect of one; if not, only what surely changed nothing is repeated.
        waited: Seconds waited so far for this call.
        chance: Where jitter comes from.
        backoff: How to repeat.
    """
    if not isinstance(error, Unavailable) or attempt >= backoff.attempts:
        return None
    if error.maybe_applied and not repeatable:
        return None
    wait = backoff.wait(attempt, chance)
    if error.retry_after is not None:
        # Never before the time asked for, and not all at the same moment.
        wait = error.retry_after + chance.uniform(0.0, min(1.0, 0.1 * error.retry_after))
    return None if waited + wait > backoff.limit else wait
