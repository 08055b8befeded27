"""Hands out minted configs: written down first, then given to the caller, each exactly once."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from dataclasses import dataclass

from scaleset_burst.journal import Change, State, UnrecordedNames
from scaleset_burst.minting.call import Call, Slot
from scaleset_burst.minting.ledger import BurstLedger
from scaleset_burst.minting.names import Names, became
from scaleset_burst.minting.queue import Attempt
from scaleset_burst.minting.report import ConfigTiming
from scaleset_burst.minting.resolver import Resolver
from scaleset_burst.minting.turns import Turns
from scaleset_client.clock import Clock
from scaleset_hookspecs.types import FailureReason, JitConfig, MintFailure

__all__ = ["Arrival", "Deliverer"]

logger = logging.getLogger(__name__)

GATHER = 0.02
"""Seconds between two transactions at least, while more answers are expected: a wave's share one. An answer after a
pause does not wait, and neither does the last one."""


@dataclass(slots=True, eq=False)
class Arrival:
    """A minted config on its way to its slot.

    Attributes:
        attempt: The request that brought it.
        answered_at: When, in monotonic seconds.
        blocked: Seconds of the slot's waiting during which the limits were closed.
    """

    slot: Slot
    config: JitConfig
    attempt: Attempt
    answered_at: float
    blocked: float

    def timing(self, delivered_at: float) -> ConfigTiming:
        """Return where the seconds until its delivery went."""
        slot, attempt = self.slot, self.attempt
        return ConfigTiming.from_times(
            queued=slot.queued_at,
            first_sent=attempt.sent_at if slot.first_sent_at is None else slot.first_sent_at,
            budget_wait=self.blocked,
            sent=attempt.sent_at,
            answered=self.answered_at,
            delivered=delivered_at,
            token=attempt.trace.token,
            connect=attempt.trace.connect,
        )


class Deliverer:
    """Groups arrivals into waves: while one transaction is written, the next arrivals gather.

    A call's first config does not wait for its wave: it is written down on the spot and handed out. The resolver undoes
    a config that nobody can be given any more.
    """

    def __init__(self, names: Names, resolver: Resolver, ledger: BurstLedger, turns: Turns, *, clock: Clock) -> None:
        self._names = names
        self._resolver = resolver
        self._ledger = ledger
        self._turns = turns
        self._clock = clock
        self._written_at = float("-inf")
        self._gathering: list[Arrival] = []
        self._task: asyncio.Task[None] | None = None
        self._waiting: asyncio.Task[None] | None = None
        self._more = False
        self._callbacks: dict[asyncio.Task[None], Arrival] = {}
        self._turns_of: dict[Call, deque[Arrival]] = {}
        """What waits until a call's host has taken what it was given, for calls that limit their deliveries."""

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way."""
        return self._task is None and not self._callbacks

    def add(self, arrival: Arrival, *, more: bool) -> None:
        """Take a config for delivery with the next wave, or now if it is the first.

        Args:
            arrival: The config, and whose it is.
            more: Others are in flight; with the last one its wave is complete.
        """
        self._more = more
        call = arrival.slot.call
        if call.settings.deliveries is not None and call.on_ready is not None:
            self._names.note([became(arrival.config, State.MINTED)])
            self._turns_of.setdefault(call, deque()).append(arrival)
            self._next_of(call)
            return
        if self._is_first(arrival) and self._names.record_now(_change(arrival)):
            self._written_at = self._clock.monotonic()
            self._hand_out(arrival)
            return
        self._gathering.append(arrival)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="deliver")
        elif not more and self._waiting is not None:
            self._waiting.cancel()

    def drop(self, call: Call) -> None:
        """Undo what waits for its turn: the caller has gone, or will be told that its host is stopping."""
        for arrival in self._turns_of.pop(call, ()):
            call.refuse(arrival.slot, FailureReason.STOPPED, "the host is stopping")
            self._resolver.undo(arrival.config)

    def _next_of(self, call: Call) -> None:
        """Let a call that limits its deliveries have as many more as it may."""
        waiting = self._turns_of.get(call)
        while waiting and call.delivering < (call.settings.deliveries or 0):
            call.delivering += 1
            self._gathering.append(waiting.popleft())
        if not waiting:
            self._turns_of.pop(call, None)
        if self._gathering and self._task is None:
            self._task = asyncio.create_task(self._run(), name="deliver")

    def _ended(self, arrival: Arrival) -> None:
        """Note that the host has taken a config, or never will."""
        call = arrival.slot.call
        if call.delivering:
            call.delivering -= 1
            self._next_of(call)

    def _is_first(self, arrival: Arrival) -> bool:
        """Whether a host waits for its call's first config, and a wave could be written now."""
        call = arrival.slot.call
        paused = self._task is None and self._clock.monotonic() >= self._written_at + GATHER
        return paused and call.on_ready is not None and call.remaining == len(call.slots)

    async def finish(self, seconds: float) -> None:
        """Wait until everything that arrived has been handed out.

        What `on_ready` still works on after `seconds` counts as delivered: the host has it, and may be launching it.
        """
        until = self._clock.monotonic() + seconds
        while not self.idle and self._clock.monotonic() < until:
            await self._clock.sleep(0.02)
        for call in tuple(self._turns_of):
            self.drop(call)
        for arrival in list(self._callbacks.values()):
            self._settle(arrival)

    async def _run(self) -> None:
        try:
            while self._gathering:
                await self._gather()
                self._written_at = self._clock.monotonic()
                wave, self._gathering = self._gathering, []
                unrecorded: frozenset[str] = frozenset()
                try:
                    await self._names.record([_change(arrival) for arrival in wave])
                except UnrecordedNames as error:
                    unrecorded = error.names
                except Exception:
                    # A journal that cannot write must not lose a config: the caller gets it, the crash guard is gone.
                    logger.exception("the journal could not write; delivering without it")
                for arrival in wave:
                    if arrival.config.runner_name in unrecorded:
                        self._unrecorded(arrival)
                    else:
                        self._hand_out(arrival)
        finally:
            self._task = None

    async def _gather(self) -> None:
        """Wait until a wave can be written, or is complete."""
        early = self._written_at + GATHER - self._clock.monotonic()
        if early <= 0 or not self._more or self._gathering[0].slot.call.settings.deliveries is not None:
            return
        self._waiting = asyncio.ensure_future(self._clock.sleep(early))
        try:
            await asyncio.wait({self._waiting})
        finally:
            self._waiting.cancel()
            self._waiting = None

    def _hand_out(self, arrival: Arrival) -> None:
        slot, config = arrival.slot, arrival.config
        if slot.call.abandoned or slot.call.error is not None:
            self._resolver.undo(config)
            self._ended(arrival)
            return
        if slot.call.on_ready is None:
            self._settle(arrival)
            return
        try:
            answer = slot.call.on_ready(config)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # the host's callback may raise anything
            self._failed(arrival, error)
            return
        if answer is not None and inspect.isawaitable(answer):
            task = asyncio.ensure_future(self._await_callback(arrival, answer))
            self._callbacks[task] = arrival
            task.add_done_callback(self._callbacks.pop)
        else:
            self._settle(arrival)

    async def _await_callback(self, arrival: Arrival, answer: object) -> None:
        try:
            await answer  # type: ignore[misc]  # inspect.isawaitable said so
        except (Exception, asyncio.CancelledError) as error:  # as above; only its config fails
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # the loop ends, and it is us who were cancelled
            self._failed(arrival, error)
        else:
            self._settle(arrival)

    def _settle(self, arrival: Arrival) -> None:
        call = arrival.slot.call
        if call.settle(arrival.slot, arrival.config) or (call.abandoned and call.on_ready is not None):
            now, config, queue = self._clock.monotonic(), arrival.config, arrival.attempt.queue
            queue.fleet.add(config.runner_name, config.runner_id, now)
            self._ledger.delivered(queue, arrival.timing(now))
        elif call.on_ready is None:
            self._resolver.undo(arrival.config)
        self._ended(arrival)

    def _failed(self, arrival: Arrival, error: BaseException) -> None:
        message = f"on_ready raised {type(error).__name__} for {arrival.config.runner_name}; its registration is undone"
        logger.warning("%s", message)
        arrival.slot.call.settle(arrival.slot, MintFailure(reason=FailureReason.DELIVERY, message=message))
        self._resolver.undo(arrival.config)
        self._ended(arrival)

    def _unrecorded(self, arrival: Arrival) -> None:
        """Undo a config that could not be handed out, and let its slot have another one."""
        arrival.slot.claimed = False
        self._ended(arrival)
        arrival.slot.call.expire(self._clock.monotonic())
        if arrival.slot.name:
            self._resolver.undo(arrival.config, arrival.slot)
            return
        self._resolver.undo(arrival.config)
        arrival.attempt.queue.push_back([arrival.slot])
        self._turns.changed_for(arrival.attempt.queue)


def _change(arrival: Arrival) -> Change:
    given = arrival.slot.call.on_ready is not None
    return became(arrival.config, State.DELIVERED if given else State.MINTED)
