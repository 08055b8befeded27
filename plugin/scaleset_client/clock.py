"""Time as an argument: what reads a clock or sleeps is given one of these."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

__all__ = ["Clock", "SystemClock", "within", "woken"]


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


async def within(seconds: float | None, work: Coroutine[Any, Any, T], clock: Clock) -> T | None:
    """Return what the work returns, or `None` if the time is over first; then the work is cancelled."""
    if seconds is None:
        return await work
    task = asyncio.ensure_future(work)
    alarm = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({task, alarm}, return_when=asyncio.FIRST_COMPLETED)
        return await task if task.done() else None
    finally:
        task.cancel()
        alarm.cancel()


async def woken(event: asyncio.Event, seconds: float, clock: Clock) -> None:
    """Wait that long, or until the event is set if that is sooner."""
    sleeper = asyncio.ensure_future(clock.sleep(seconds))
    waker = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({sleeper, waker}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        sleeper.cancel()
        waker.cancel()
