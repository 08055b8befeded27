"""How many mints may be in flight: learnt from refusals and latency, without a knob. Pure decisions.

The law, and why it was chosen over others by measurement: docs/design/adaptive-concurrency.md.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

__all__ = ["Limiter"]

START = 64
"""First guess: a burst of 300 then takes five waves, and one wave corrects it."""

HOLD = 14
"""Waves without a bad sign before a limit that was cut grows again."""

INFLATED = 2.0
SLACK = 0.02
"""Latency beyond `INFLATED` times its base and these seconds says that requests queue; less is our own scheduling."""

CUTS = 3
"""Waves cut for their latency after which it must have fallen; else the service itself has become slower."""

REMEMBERED = 20
"""Waves whose latency the base is taken from."""


@dataclass(slots=True)
class Limiter:
    """Lowers the limit to what was accepted, at once; raises it by steps that grow, wave by wave.

    1. A refusal says exactly how much is too much: the limit becomes what is still in flight.
    2. A wave that took much longer than its base queued somewhere: the limit shrinks in that proportion. If three
       cuts make it hardly faster, the service itself has become slower: the base follows, the limit goes back.
    3. A wave without a bad sign, that used at least half of the limit, lets it grow: by half until the first bad
       sign; afterwards, once `HOLD` waves were good, by 1, 3, 9, … so that a capacity that comes back is found in a
       few waves and a capacity that does not costs a few refusals.

    Attributes:
        most: The limit never grows beyond.
    """

    most: int
    current: float = 0.0
    _base: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _latencies: list[float] = field(default_factory=list)
    _wave_from: float = float("-inf")
    _peak: int = 0
    _step: float = 0.0
    _hold: int = 0
    _cuts: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with the first guess."""
        self.current = self.current or float(min(self.most, START))

    @property
    def limit(self) -> int:
        """Mints in flight at most, from 1."""
        return max(1, min(self.most, int(self.current)))

    @property
    def usual_latency(self) -> float | None:
        """The usual latency of a mint in seconds, once known."""
        return sorted(self._base)[len(self._base) // 2] if self._base else None

    def refused(self, now: float, in_flight: int) -> None:
        """Learn from a refusal: what is in flight without it is what the service takes."""
        self.current = max(1.0, min(self.current, float(in_flight)))
        self._forget(now)
        self._step = 1.0
        self._hold = HOLD
        self._cuts.clear()

    def answered(self, now: float, sent_at: float, latency: float, in_flight: int) -> None:
        """Learn from a mint that was answered; a wave is judged when it is as large as the limit."""
        if sent_at < self._wave_from:
            return
        self._peak = max(self._peak, in_flight + 1)
        self._latencies.append(latency)
        if len(self._latencies) >= self.limit:
            ordered = sorted(self._latencies)
            self._latencies.clear()
            self._judge(ordered[len(ordered) // 2], ordered[len(ordered) // 10], now)
            self._peak = 0

    def _forget(self, now: float) -> None:
        """Begin a wave anew: what is in flight was sent under a limit that no longer holds."""
        self._latencies.clear()
        self._wave_from = now
        self._peak = 0

    def _judge(self, typical: float, quick: float, now: float) -> None:
        # The quickest tenth of even an overloaded wave did not queue for long.
        self._base.append(quick)
        base = min(self._base)
        if typical > base * INFLATED + SLACK:
            self._queued(typical, base)
            self._forget(now)
            return
        self._cuts.clear()
        if self._peak * 2 >= self.limit:
            self._grow()

    def _queued(self, typical: float, base: float) -> None:
        self._step, self._hold = 1.0, HOLD
        if len(self._cuts) >= CUTS and typical > self._cuts[0][1] * 0.7:
            # Much smaller waves were hardly faster, so it was not our requests that queued.
            self.current = self._cuts[0][0]
            self._base.clear()
            self._base.append(typical)
            self._cuts.clear()
            return
        self._cuts.append((self.current, typical))
        self.current = max(1.0, self.limit * max(0.25, base * INFLATED / typical))

    def _grow(self) -> None:
        if not self._step:
            self.current = min(float(self.most), self.current * 1.5)
        elif self._hold:
            self._hold -= 1
        else:
            self.current = min(float(self.most), self.current + self._step)
            self._step *= 3
