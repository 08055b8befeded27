"""What a burst took, measured inside the host and written as one JSON line whenever a burst is over."""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["Report"]

logger = logging.getLogger(__name__)


class Report:
    """Counts runners from the moment the demand was known; the numbers add up over bursts.

    Args:
        path: File the lines are appended to; nothing is written if `None`.
        now: Monotonic seconds.
    """

    def __init__(self, path: Path | None, now: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._now = now
        self._began: float | None = None
        self._first: float | None = None
        self._last: float | None = None
        self.ready = 0
        self.failures = 0

    def demand_known(self) -> None:
        """Start the clock, the first time."""
        self._began = self._now() if self._began is None else self._began

    def runner_ready(self) -> None:
        """Count a runner whose launch was accepted."""
        self._last = self._now()
        self._first = self._last if self._first is None else self._first
        self.ready += 1

    def failed(self, count: int) -> None:
        """Count those that were asked for and did not come."""
        self.failures += count

    def values(self) -> dict[str, int | float | None]:
        """Return the numbers so far; seconds since the demand was known."""
        return {
            "runners_ready": self.ready,
            "failures": self.failures,
            "seconds": self._since(self._last),
            "first_runner_seconds": self._since(self._first),
        }

    def write(self) -> None:
        """Append the numbers so far; a disk that is full is no reason to lose the runners."""
        if self._path is None:
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(self.values()) + "\n")
        except OSError as error:
            logger.warning("the report is lost: %s", error)

    def _since(self, moment: float | None) -> float | None:
        return None if moment is None or self._began is None else round(moment - self._began, 4)
