"""What calls hear while they wait: when the limits let them go on, and that their deadline has passed."""

from __future__ import annotations

import asyncio
import logging

from scaleset_burst.limits.admission import Admission
from scaleset_burst.minting.call import Call
from scaleset_burst.minting.queue import Queues
from scaleset_client.clock import Clock

__all__ = ["Waits"]

logger = logging.getLogger(__name__)

TOLD = 0.25
"""Seconds between two looks at all calls that wait."""


class Waits:
    """Ends calls at their deadline, or as soon as it cannot be kept; tells the others how long it takes."""

    def __init__(self, admission: Admission, queues: Queues, *, clock: Clock) -> None:
        self._admission = admission
        self._queues = queues
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    async def watch_deadline(self, call: Call) -> None:
        """Fail what is missing once the call's deadline has passed."""
        assert call.deadline is not None  # noqa: S101  # only started for calls that have one
        await self._clock.sleep(max(0.0, call.deadline - self._clock.monotonic()))
        call.expire(self._clock.monotonic())

    def entered(self, call: Call) -> None:
        """Look after a call from now on: if nothing can be sent, it is told at once."""
        self._tell([call])
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="tell what waits")

    def stop(self) -> None:
        """Tell nobody any more."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while any(queue.calls for queue in self._queues):
            if self._admission.opens_at(self._clock.monotonic()) is not None:  # else nobody waits: no call is looked at
                self._tell(self._queues.calls())
            await self._clock.sleep(TOLD)
        self._task = None

    def _tell(self, calls: list[Call]) -> None:
        now, etas = self._clock.monotonic(), dict[int, float]()
        opens_at = self._admission.opens_at(now)
        if opens_at is None or opens_at <= now:
            return
        for call in calls:
            if call.deadline is not None and opens_at > call.deadline:
                call.expire_unsent(opens_at - now)
            elif call.remaining:
                if call.remaining not in etas:
                    etas[call.remaining] = self._admission.eta(now, call.remaining)
                self._tell_one(call, etas[call.remaining])

    def _tell_one(self, call: Call, eta: float) -> None:
        if call.told_eta is not None and abs(call.told_eta - eta) < 1.0:
            return
        call.told_eta = eta
        seconds = max(0.0, eta - self._clock.monotonic())
        logger.info(
            "%d runners of %s wait for the limits: ready in about %.0f s",
            call.remaining,
            call.queue.ref.name,
            seconds,
        )
        if call.settings.on_wait is not None:
            try:
                call.settings.on_wait(seconds, call.remaining)
            except Exception:
                logger.exception("on_wait raised; the burst goes on")
