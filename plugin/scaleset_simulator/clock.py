"""Time as an argument: what reads a clock or sleeps is given one of these."""

import asyncio
import time
from typing import Protocol

__all__ = ["Clock", "ScaledClock", "SystemClock"]


class Clock(Protocol):
    """Two clocks and a sleep; all in seconds."""

    def monotonic(self) -> float:
        """Return seconds that never go back, for durations."""

    def time(self) -> float:
        """Return Unix time, for what is written down or sent."""

    async def sleep(self, seconds: float) -> None:
        """Wait that long on this clock."""


class SystemClock:
    """The machine's own clocks."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def time(self) -> float:
        """Return Unix time."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait on the running event loop."""
        await asyncio.sleep(seconds)


class ScaledClock:
    """A clock that runs faster than the machine's, so that minutes of waiting fit into a test.

    Processes that share `origin` (Unix time) and `speed` agree on the time.
    """

    def __init__(self, speed: float, origin: float | None = None) -> None:
        self.speed = speed
        self.origin = time.time() if origin is None else origin
        self._start = time.monotonic() - (time.time() - self.origin)

    def monotonic(self) -> float:
        """Return simulated seconds since `origin`."""
        return (time.monotonic() - self._start) * self.speed

    def time(self) -> float:
        """Return simulated Unix time."""
        return self.origin + self.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait that many simulated seconds."""
        await asyncio.sleep(seconds / self.speed)
