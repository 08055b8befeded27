"""One chain of failures, whatever fails: each is waited after longer than the one before, and said louder."""

from __future__ import annotations

import logging
import math

from scaleset_hookspecs.host.fleet.values import Say

__all__ = ["FIRST_WAIT", "Failures", "backoff"]

FIRST_WAIT = 5.0
LONGEST_WAIT = 300.0
"""Seconds to wait after a failure; they double with each further one, up to the longest."""

LOUD = 3
"""Failures in a row from which on they are said as an error."""


def backoff(failures: int) -> float:
    """Return the seconds to wait after that many failures in a row, the first being 1."""
    return float(min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(failures - 1, 10)))


class Failures:
    """What went wrong since runners last worked.

    Attributes:
        retry_at: When to try again.
        refused: Whether nothing at all came of the last burst, and nobody said when that will be over.
    """

    def __init__(self) -> None:
        self.retry_at = -math.inf
        self.refused = False
        self._count = 0
        self._since = -math.inf

    def failed(self, reason: str, now: float, retry_after: float = 0.0) -> Say | None:
        """Wait longer than the last time, and say so. What fails meanwhile belongs to the same failure."""
        if now < self.retry_at and self._count:
            self.retry_at = max(self.retry_at, now + retry_after)
            return None
        if not self._count:
            self._since = now
        self._count += 1
        wait = max(retry_after, backoff(self._count))
        self.retry_at = now + wait
        return Say(
            level=logging.ERROR if self._count >= LOUD else logging.WARNING,
            text=f"no runners now, asking again in {wait:.0f} s; {self._count} failures in a row, "
            f"for {now - self._since:.0f} s; the last: {reason}",
        )

    def wait(self, until: float) -> None:
        """Try nothing before then, though nothing failed."""
        self.retry_at = max(self.retry_at, until)

    def works(self, launched_at: float) -> None:
        """End the chain, if this runner was launched after it began: it may be something else that fails."""
        if launched_at >= self._since:
            self._count = 0
