"""How many mints may be in flight: learnt from latency and refusals, without a knob. Pure decisions."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import sqrt

__all__ = ["Limiter"]

START = 64
"""First guess: a burst of 300 then takes five waves, and one bad wave corrects it."""

CUT = 0.7
SLACK = 0.02
"""Seconds of added latency that mean nothing: our own scheduling makes as much."""

INFLATED = 2.0
"""Latency this many times the base says that requests queue."""


@dataclass(slots=True)
class Limiter:
    """Gradient control with multiplicative cuts: grows by its square root each wave while latency stays at its base.

    Attributes:
        most: The limit never grows beyond.
        base: The lowest latency of recent waves, in seconds.
    """

    most: int
    current: float = 0.0
    base: deque[float] = field(default_factory=lambda: deque(maxlen=20))
    _wave: list[float] = field(default_factory=list)
    _wave_from: float = 0.0

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
        return sorted(self.base)[len(self.base) // 2] if self.base else None

    def refused(self, now: float, sent_at: float) -> None:
        """Learn from a refusal: cut once for each wave."""
        if sent_at < self._wave_from:
            return
        self.current = max(1.0, min(self.current, float(self.limit)) * CUT)
        self._wave = []
        self._wave_from = now

    def answered(self, now: float, sent_at: float, latency: float, in_flight: int) -> None:
        """Learn from an answer; a wave is judged when as many answers as the limit have come."""
        if sent_at < self._wave_from:
            return
        self._wave.append(latency)
        if len(self._wave) < self.limit:
            return
        typical = sorted(self._wave)[len(self._wave) // 2]
        self._wave = []
        self._wave_from = now
        base = min([typical, *self.base])
        self.base.append(typical)
        if typical > base * INFLATED + SLACK:
            self.current = max(1.0, self.current * max(0.5, (base * INFLATED + SLACK) / typical))
        elif in_flight + 1 >= self.limit // 2:
            self.current = min(float(self.most), self.current + sqrt(self.current))
