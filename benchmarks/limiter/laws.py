"""Control laws to compare: each says how many requests may be in flight, and learns from answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt
from typing import Protocol

__all__ = ["AIMD", "Fixed", "Gradient", "Law"]


class Law(Protocol):
    """What the plugin's limiter offers."""

    @property
    def limit(self) -> int:
        """Requests in flight at most."""

    def refused(self, now: float, in_flight: int) -> None:
        """Learn from a refusal."""

    def answered(self, now: float, sent_at: float, latency: float, in_flight: int) -> None:
        """Learn from an answer."""


@dataclass(slots=True)
class Fixed:
    """A number somebody chose."""

    limit: int

    def refused(self, now: float, in_flight: int) -> None:
        """Learn nothing."""

    def answered(self, now: float, sent_at: float, latency: float, in_flight: int) -> None:
        """Learn nothing."""


@dataclass(slots=True)
class AIMD:
    """TCP's classic: one more each wave, half at a refusal, once a wave."""

    most: int
    current: float = 64.0
    _wave_from: float = float("-inf")
    _answers: int = 0

    @property
    def limit(self) -> int:
        """Requests in flight at most."""
        return max(1, min(self.most, int(self.current)))

    def refused(self, now: float, in_flight: int) -> None:
        """Halve."""
        del in_flight
        if now - self._wave_from > 0.05:
            self.current = max(1.0, self.limit / 2)
            self._wave_from = now

    def answered(self, now: float, sent_at: float, latency: float, in_flight: int) -> None:
        """Add one for each wave."""
        del now, sent_at, latency, in_flight
        self.current = min(float(self.most), self.current + 1.0 / max(1.0, self.current))


@dataclass(slots=True)
class Gradient:
    """Vegas-like: the ratio of the lowest latency to the latest sets the limit, plus the root of it to queue."""

    most: int
    current: float = 64.0
    _lowest: float = float("inf")
    _wave: list[float] = field(default_factory=list)
    _cut_at: float = float("-inf")

    @property
    def limit(self) -> int:
        """Requests in flight at most."""
        return max(1, min(self.most, int(self.current)))

    def refused(self, now: float, in_flight: int) -> None:
        """Cut by a tenth, as latency tells nothing about a service that refuses."""
        del in_flight
        if now - self._cut_at > 0.05:
            self.current = max(1.0, self.current * 0.9)
            self._cut_at = now

    def answered(self, now: float, sent_at: float, latency: float, in_flight: int) -> None:
        """Move to the gradient once a wave."""
        del now, sent_at, in_flight
        self._wave.append(latency)
        if len(self._wave) < self.limit:
            return
        typical = sum(self._wave) / len(self._wave)
        self._lowest = min(self._lowest, typical)
        gradient = max(0.5, min(1.0, self._lowest / typical))
        self.current = min(float(self.most), max(1.0, self.current * gradient + sqrt(self.current)))
        self._wave.clear()
