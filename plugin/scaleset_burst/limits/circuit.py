"""When mints of a scale set fail, or those of all: stop, say so, try one request now and then. Pure decisions."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scaleset_client.retrying import doubling

__all__ = ["Circuit"]


@dataclass(slots=True)
class Circuit:
    """Opens after failures in a row that last; then one probe at a time, less often each time.

    Attributes:
        threshold: Failures in a row, at least.
        patience: Seconds they must have lasted, so that one bad wave does not open it.
        opened_at: Since when it is open; `None` while it is closed.
        probe_at: When the next probe may go.
        worked_at: When the service last answered.
        closed_at: When a success last closed it.
    """

    threshold: int = 10
    patience: float = 5.0
    first_wait: float = 5.0
    longest_wait: float = 60.0
    failures: int = 0
    failing_since: float | None = None
    opened_at: float | None = None
    probe_at: float = 0.0
    probing: bool = False
    probe_sent_at: float = 0.0
    waits: int = 0
    worked_at: float = float("-inf")
    closed_at: float = float("-inf")

    @property
    def is_open(self) -> bool:
        """Whether the service counts as down."""
        return self.opened_at is not None

    def opens_at(self, now: float) -> float:
        """Return when the next request may go: now, when the next probe is due, or never while one is under way."""
        if not self.is_open:
            return now
        return math.inf if self.probing else self.probe_at

    def sent(self, now: float) -> None:
        """Note that a request leaves; while open it is the probe."""
        if self.is_open:
            self.probing = True
            self.probe_sent_at = now

    def succeeded(self, now: float) -> None:
        """Note any answer of a working service."""
        self.worked_at = now
        if self.opened_at is not None:
            self.closed_at = now
        self.failures = 0
        self.failing_since = None
        self.opened_at = None
        self.probing = False
        self.waits = 0

    def failed(self, now: float, sent_at: float, *, at_once: bool = False) -> bool:
        """Note a sign that the service is down; `True` if this one opened the circuit, or was the probe.

        With `at_once` it opens whatever the count: the others failed already.

        What was sent before the service last answered tells nothing of it since: hung requests of a busy time end
        one after another long after it, when nothing else may be sent that could succeed in between.
        """
        if self.is_open:
            if not self.probing or sent_at < self.probe_sent_at:
                return False
            self.probing = False
            self._wait(now)
            return True
        if sent_at < self.worked_at:
            return False
        self.failures += 1
        self.failing_since = now if self.failing_since is None else self.failing_since
        lasts = self.failures >= self.threshold and now - self.failing_since >= self.patience
        if not lasts and not at_once:
            return False
        self.opened_at = now
        self._wait(now)
        return True

    def retry_by(self, others: Circuit, now: float) -> None:
        """Let the next probe go now if others found the service working since the last one."""
        tried_at = max(self.opened_at or 0.0, self.probe_sent_at)
        if others.closed_at > tried_at and not self.probing:
            self.probe_at = min(self.probe_at, now)

    def seconds_left(self, now: float) -> float:
        """Return how long until the next probe."""
        return max(0.0, self.probe_at - now)

    def _wait(self, now: float) -> None:
        self.waits += 1
        self.probe_at = now + doubling(self.first_wait, self.longest_wait, self.waits)
