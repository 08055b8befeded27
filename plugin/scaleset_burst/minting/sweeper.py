"""Looks after mints that take too long: gives them up as ambiguous, or asks once more under another name."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from scaleset_burst.clock import Clock
from scaleset_burst.minting.dispatcher import Dispatcher
from scaleset_burst.minting.gate import BurstGate
from scaleset_burst.minting.lane import Attempt, Lane

__all__ = ["Sweeper"]

LATE = 3.0
"""A mint that takes this many times the usual time, and a second more, is asked for once more, if hedging is on."""


class Sweeper:
    """Runs while there are calls or requests to look after."""

    def __init__(
        self, dispatcher: Dispatcher, gate: BurstGate, *, clock: Clock, attempt_timeout: float, hedge: bool
    ) -> None:
        self._dispatcher = dispatcher
        self._gate = gate
        self._clock = clock
        self._attempt_timeout = attempt_timeout
        self._hedge = hedge
        self._lanes: set[Lane] = set()
        self._task: asyncio.Task[None] | None = None

    def watch(self, lane: Lane) -> None:
        """Look after a lane from now on."""
        self._lanes.add(lane)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="sweep mints")

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        pause = min(1.0, self._attempt_timeout / 10)
        while any(lane.calls or lane.attempts for lane in self._lanes):
            await self._clock.sleep(pause)
            now = self._clock.monotonic()
            # At the last look before the limit, so that none outlives it.
            for attempt in self._dispatcher.overdue(now, self._attempt_timeout - pause):
                self._dispatcher.abandon(attempt)
            usual = self._gate.usual_latency()
            if self._hedge and usual is not None:
                for attempt in self._dispatcher.overdue(now, LATE * usual + 1.0):
                    self._ask_again(attempt)
        self._task = None

    def _ask_again(self, attempt: Attempt) -> None:
        late = [slot for slot in attempt.slots if slot.wanted and not slot.hedged]
        for slot in late:
            slot.hedged = True
        attempt.lane.push_back(late)
        self._dispatcher.pump(attempt.lane)
