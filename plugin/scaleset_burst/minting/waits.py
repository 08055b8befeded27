"""What calls hear while they wait: when the limits let them go on, and that their deadline has passed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from scaleset_burst.limits.admission import Admission
from scaleset_burst.minting.call import Call
from scaleset_client.clock import Clock
from scaleset_hookspecs.types import FailureReason, MintFailure

__all__ = ["Waits"]

logger = logging.getLogger(__name__)


TOLD = 1.0
"""Seconds between two looks at all calls that wait; each event in between costs nothing but a note."""


class Waits:
    """Ends calls at their deadline, or as soon as it cannot be kept; tells the others how long it takes."""

    def __init__(self, admission: Admission, *, clock: Clock, calls: Callable[[], Iterable[Call]]) -> None:
        self._admission = admission
        self._clock = clock
        self._calls = calls
        self._opens_at = float("-inf")
        self._changed = False
        self._task: asyncio.Task[None] | None = None

    async def watch_deadline(self, call: Call) -> None:
        """Fail what is missing once the call's deadline has passed."""
        assert call.deadline is not None  # noqa: S101  # only started for calls that have one
        await self._clock.sleep(max(0.0, call.deadline - self._clock.monotonic()))
        _expire(call, FailureReason.DEADLINE, None)

    def expire(self, call: Call) -> None:
        """Fail what is missing, if the call's deadline has passed."""
        if call.deadline is not None and self._clock.monotonic() >= call.deadline:
            _expire(call, FailureReason.DEADLINE, None)

    def closed(self, opens_at: float) -> None:
        """Hear that nothing can be sent before `opens_at` (monotonic seconds); whoever waits is told soon."""
        self._opens_at = opens_at
        self._changed = True
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="tell what waits")

    def entered(self, call: Call) -> None:
        """Hear of a new call: if nothing can be sent, it is told at once."""
        if self._opens_at > self._clock.monotonic():
            self._look_up((call,))

    def stop(self) -> None:
        """Tell nobody any more."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while self._changed:
            self._changed = False
            self._look_up(self._calls())
            await self._clock.sleep(TOLD)
        self._task = None

    def _look_up(self, calls: Iterable[Call]) -> None:
        now, etas = self._clock.monotonic(), dict[int, float]()
        for call in calls:
            if call.deadline is not None and self._opens_at > call.deadline:
                _expire(call, FailureReason.RATE_LIMITED, self._opens_at - now)
            elif call.remaining:
                if call.remaining not in etas:
                    etas[call.remaining] = self._admission.eta(now, call.remaining)
                self._tell(call, etas[call.remaining])

    def _tell(self, call: Call, eta: float) -> None:
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


def _expire(call: Call, reason: FailureReason, retry_after: float | None) -> None:
    message = f"not minted within the {call.settings.deadline:g} s the host gave"
    for slot in call.slots:
        if slot.wanted and (reason is FailureReason.DEADLINE or slot.in_flight == 0):
            call.settle(slot, MintFailure(reason=reason, message=message, retry_after=retry_after))
