"""How many mints may be in flight, learnt from refusals and time-outs alone. Pure decisions, no clock of its own.

Why latency is not asked, and what the law was measured against: docs/design/adaptive-concurrency.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Limiter", "Sent"]

EARNED = 100
"""Accepted mints that pay for trying one more: at a constant capacity about 1 % of the mints are refused."""

SAVED = 3
"""Tries saved up at most, so that a burst can find a capacity that has grown within two round trips."""

FACTOR = 8
"""By how much a try that succeeded is larger next time."""

PATIENCE = 20
"""A pause that the service imposed is risked again after so many times its length."""


class Sent(NamedTuple):
    """What the limiter knew when it let a mint go.

    Attributes:
        number: How many were sent before it.
        in_flight: Mints in flight, itself included.
        accepted: Mints that had been accepted by then.
    """

    number: int
    in_flight: int
    accepted: int


@dataclass(slots=True)
class Limiter:
    """Begins with what the connections carry; falls by what is refused; tries more when that has been paid for.

    1. A refusal takes one off: what is in flight without it is what the service bears. If nothing was accepted
       alongside, the service was down and not full, and the limit returns with the first mint it accepts. One
       refusal while the limit was not reached is an accident.
    2. An attempt that ran out of time, while fewer mints were accepted than three quarters of those in flight
       with it, halves the limit; once for all that were sent under it.
    3. Each `EARNED` mints accepted pay for one try. They are used when a burst first fills the limit, or when nothing
       was refused for as long as it takes to save them. Half a wave that was hardly refused makes the next try
       `FACTOR` times as large.

    Attributes:
        most: The limit never grows beyond.
        tries_from: Nothing is tried before this monotonic time: the service answered the last try by a pause.
    """

    most: int
    current: int = 0
    tries_from: float = float("-inf")
    _sent: int = 0
    _accepted: int = 0
    _unspent: int = 0
    _drained: bool = True
    _peak: int = 0
    _forgiven: bool = False
    _before: int = 0
    _refused_at: int = 0
    _step: int = 0
    _since: int = 0
    _good: int = 0
    _bad: int = 0

    def __post_init__(self) -> None:
        """Begin with as many as there may be: most services bear them, and the others say so within one wave."""
        self.current = self.current or self.most

    @property
    def limit(self) -> int:
        """Mints in flight at most, from 1."""
        return min(self.most, self.current)

    def sent(self, now: float, in_flight: int) -> Sent:
        """Note a mint that leaves, with which `in_flight` are in flight."""
        self._sent += 1
        if in_flight == 1:
            self._peak, self._forgiven = 0, False
        self._peak = max(self._peak, in_flight)
        if in_flight >= self.current or in_flight >= self.most:
            if not self._step and self.limit < self.most:
                self._try(now, in_flight)
            self._drained = False
        return Sent(self._sent, in_flight, self._accepted)

    def accepted(self, sent: Sent, in_flight: int) -> None:
        """Learn from a mint that was carried out, beside which `in_flight` still are in flight."""
        self._accepted += 1
        self._unspent += 1
        if self._before:
            if sent.number > self._refused_at:
                self.current = max(self.current, self._before)
            self._before = 0
        if not self._drained:
            self._drained = in_flight * 2 < self.limit
        if self._step and sent.number > self._since:
            self._good += 1
            if self._good * 2 >= self.limit:
                self._raise(self._step * FACTOR)

    def refused(self, sent: Sent, in_flight: int, *, pause: float = 0.0, now: float = 0.0) -> None:
        """Learn from a mint that was too much, beside which `in_flight` are in flight; it may bring a pause."""
        if pause:
            self.tries_from = max(self.tries_from, now + PATIENCE * pause)
        if in_flight == 0:
            return
        accident = self._peak < self.limit and not self._forgiven
        self._forgiven = True
        if accident:
            return
        self._before = self._before or self.current
        self._refused_at = self._sent
        self.current = max(1, min(self.limit, self._peak) - 1)
        self._drained |= in_flight * 2 < self.limit
        if self._step and sent.number > self._since:
            self._bad += 1
            if self._bad * 4 >= self._step:
                self._step = 0

    def timed_out(self, sent: Sent) -> None:
        """Learn from a mint that nobody answered in time."""
        answered = self._accepted - sent.accepted
        if sent.number > self._since and sent.in_flight * 2 > self.limit and answered * 4 < sent.in_flight * 3:
            self.current = max(1, self.limit // 2)
            self._step, self._since = 0, self._sent

    def _try(self, now: float, in_flight: int) -> None:
        tries = min(SAVED, self._unspent // EARNED)
        quiet = self._sent - self._refused_at > SAVED * EARNED
        if tries and now >= self.tries_from and (self._drained or quiet):
            self._unspent = 0
            self._raise(tries)
            # Those that fill the limit are judged with the tries: they left at the same time.
            self._since = self._sent - in_flight

    def _raise(self, step: int) -> None:
        self.current = min(self.most, self.limit + step)
        self._step = step if self.current < self.most else 0
        self._since, self._good, self._bad = self._sent, 0, 0
