"""The front of the minting room: a demand in, its outcomes out, each exactly once."""

from __future__ import annotations

import asyncio
import logging
import random as random_module
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from scaleset_burst.journal import Change, State, UnrecordedNames
from scaleset_burst.limits.admission import Admission
from scaleset_burst.minting.call import Call, taken
from scaleset_burst.minting.delivery import Deliverer
from scaleset_burst.minting.demand import needed
from scaleset_burst.minting.dispatcher import Dispatcher, MintService
from scaleset_burst.minting.hedging import Hedging
from scaleset_burst.minting.ledger import BurstLedger
from scaleset_burst.minting.names import Names, became
from scaleset_burst.minting.outcomes import Outcomes
from scaleset_burst.minting.queue import MintQueue, Queues
from scaleset_burst.minting.report import BurstReport
from scaleset_burst.minting.resolver import Cache, Resolver, RunnerService
from scaleset_burst.minting.settlement import Settlement
from scaleset_burst.minting.sweeper import Sweeper
from scaleset_burst.minting.turns import Turns
from scaleset_burst.minting.unresolved import unresolved
from scaleset_burst.minting.waits import Waits
from scaleset_burst.settings import BatchSettings
from scaleset_client.clock import Clock
from scaleset_hookspecs.errors import ServiceError, Unavailable
from scaleset_hookspecs.types import (
    FailureReason,
    JitConfig,
    MintFailure,
    OnReady,
    Outcome,
    ProvisionSettings,
)

__all__ = ["Cache", "Minter", "Service"]

logger = logging.getLogger(__name__)

RESERVATIONS = 3
"""Tries to have names written down where other hosts look; a second one will do as a rule."""


class Service(MintService, RunnerService, Protocol):
    """What minting needs of the service in all."""


class Minter:
    """Mints for every scale set of one scope, under limits that all of them share.

    What becomes of a mint flows one way: dispatcher, outcomes, then deliverer or resolver. What lets more be sent than
    before goes back through the turns.

    Attributes:
        queues: The scale sets minted for so far.
        resolver: Who settles unresolved mints.
        ledger: The account of bursts.
    """

    def __init__(
        self,
        service: Service,
        names: Names,
        admission: Admission,
        cache: Cache,
        *,
        batch: BatchSettings,
        clock: Clock,
        random: random_module.Random,
    ) -> None:
        self._names = names
        self._admission = admission
        self._clock = clock
        self._merge_window = batch.merge_window
        self._stopping = False
        self._turns = Turns()
        self.queues = Queues()
        self.ledger = BurstLedger()
        self._waits = Waits(admission, self.queues, clock=clock)
        self.resolver = Resolver(service, names, admission, self._turns, cache, clock=clock, random=random)
        self._deliverer = Deliverer(names, self.resolver, self.ledger, self._turns, clock=clock)
        settlement = Settlement(
            admission, self.ledger, self.resolver.given, clock=clock, random=random, max_attempts=batch.max_attempts
        )
        outcomes = Outcomes(settlement, self._deliverer, self.resolver, names, cache, self._turns)
        hedging = Hedging() if batch.hedge else None
        self._dispatcher = Dispatcher(service, names, admission, self._turns, outcomes, clock=clock, hedging=hedging)
        self._sweeper = Sweeper(self._dispatcher, clock=clock, attempt_timeout=batch.attempt_timeout)

    @property
    def last_report(self) -> BurstReport | None:
        """The report of the last burst that ended."""
        return self.ledger.last

    def room_changed(self) -> None:
        """Hear that the limits may let more be sent than before."""
        self._turns.changed.set()

    def add_queue(self, key: tuple[str, str], queue: MintQueue) -> MintQueue:
        """Serve one more scale set."""
        self.forget(self.queues.add(key, queue))
        return queue

    def forget(self, names: Iterable[str]) -> None:
        """Close names that were written down and will never be sent."""
        self._names.note([Change(name=name, state=State.CLOSED) for name in names])

    async def provision(
        self,
        queue: MintQueue,
        count: int,
        settings: ProvisionSettings,
        on_ready: OnReady | None,
        *,
        since: float | None = None,
    ) -> tuple[Outcome, ...]:
        """Mint `count` configs, or as many of them as the demand still lacks; return an outcome for each.

        Args:
            queue: For this scale set.
            count: How many, at least 1.
            settings: What the host wants of them.
            on_ready: Given each as it arrives.
            since: When the host asked (monotonic), if that was before now: the deadline counts from then.

        Raises:
            Rejected: None of them can ever work.
            Unavailable: The service is down and nothing was minted.
        """
        now = self._clock.monotonic()
        if self._stopping:
            raise Unavailable("the host is stopping; nothing more is minted")
        if (refusal := self._admission.refusal(now, queue)) is not None:
            raise refusal
        call = Call(queue, count, settings, on_ready, now if since is None else since)
        if settings.desired is not None:
            queue.lower_demand(settings.desired)
        wanted = needed(count, settings.desired, len(queue.fleet), queue.under_way)
        for slot in call.slots[wanted:]:
            call.refuse(slot, FailureReason.ALREADY_PROVIDED, f"the demand for {settings.desired} is met already")
        try:
            if wanted:
                await self._mint(queue, call, wanted)
        finally:
            self.ledger.returned(queue, call)
        result = call.result()
        return result if on_ready is not None else await self._hand_over(queue, call, result)

    async def _mint(self, queue: MintQueue, call: Call, wanted: int) -> None:
        self._enter(queue, call, wanted)
        reserving = asyncio.create_task(self._reserve(queue, call, wanted)) if call.settings.names else None
        watch = asyncio.create_task(self._waits.watch_deadline(call)) if call.deadline is not None else None
        try:
            await call.ended.wait()
        except asyncio.CancelledError:
            call.abandon()
            self._deliverer.drop(call)
            self._undo(queue, call)
            raise
        finally:
            for task in filter(None, (watch, reserving)):
                task.cancel()
            self._leave(queue, call)

    async def _hand_over(self, queue: MintQueue, call: Call, result: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
        """Write down that the caller gets its configs, before it does; mint others for those that it must not get."""
        configs = [outcome for outcome in result if isinstance(outcome, JitConfig)]
        unrecorded: frozenset[str] = frozenset()
        try:
            await self._names.record([became(config, State.DELIVERED) for config in configs])
        except UnrecordedNames as error:
            unrecorded = error.names
        except asyncio.CancelledError:
            self._undo(queue, call)
            raise
        except Exception:
            # The same as with `on_ready`: they are registered, so the caller gets them, journal or not.
            logger.exception("the journal could not write; handing over without it")
        if not unrecorded:
            return result
        again = tuple(config.runner_name for config in configs if config.runner_name in unrecorded)
        for config in configs:
            if config.runner_name in unrecorded:
                queue.fleet.drop(config.runner_name, None)
                self.resolver.undo(config)
        try:
            others = iter(await self._mint_others(queue, call, again))
        except asyncio.CancelledError:
            self._undo(queue, call)
            raise
        return tuple(next(others) if getattr(each, "runner_name", None) in unrecorded else each for each in result)

    async def _mint_others(self, queue: MintQueue, call: Call, unrecorded: tuple[str, ...]) -> tuple[Outcome, ...]:
        names = None if call.settings.names is None else unrecorded
        settings = replace(call.settings, desired=None, names=names)
        try:
            return await self.provision(queue, len(unrecorded), settings, None, since=call.started_at)
        except ServiceError as error:
            reason = FailureReason.UNAVAILABLE if isinstance(error, Unavailable) else FailureReason.REJECTED
            failure = MintFailure(reason=reason, message=str(error), retry_after=error.retry_after)
            return (failure,) * len(unrecorded)

    def _enter(self, queue: MintQueue, call: Call, wanted: int) -> None:
        if not queue.calls:
            self.ledger.begin(queue, call.started_at)
            if self._admission.slicing.mode != "never":
                # Only slices gain from waiting: without them merged calls share one flight anyway.
                queue.opens_at = self._clock.monotonic() + self._merge_window
        blocked = self._admission.closed_seconds(self._clock.monotonic())
        for slot in call.slots[:wanted]:
            slot.blocked = blocked
        queue.enter(call)
        if not call.settings.names:
            queue.push(call.slots[:wanted])
        self._sweeper.watch(queue)
        self._dispatcher.pump(queue)
        self._waits.entered(call)

    async def _reserve(self, queue: MintQueue, call: Call, wanted: int) -> None:
        """Have the names that the host chose written down, and queue their slots; names in use are refused."""
        call.asked = names = self.resolver.given.ask(slot.name for slot in call.slots[:wanted] if slot.name)
        free, slots = set(names), call.slots[:wanted]
        for slot in slots:
            if slot.name not in free:
                call.refuse(slot, FailureReason.NAME_TAKEN, taken(slot.name or ""))
        for _ in range(RESERVATIONS):
            try:
                await self._names.reserve(queue.scale_set_id, names)
            except UnrecordedNames:
                continue
            except Exception:
                logger.exception("the journal could not write down names; minting without it")
            queue.push([slot for slot in slots if slot.wanted])
            self._turns.changed_for(queue)
            return
        for slot in slots:
            call.refuse(slot, FailureReason.UNAVAILABLE, "its name could not be written down where other hosts look")

    def _leave(self, queue: MintQueue, call: Call) -> None:
        self.forget(queue.leave(call))
        if call.settings.names:
            self._leave_names(queue, call)
        if not queue.calls:
            report = self.ledger.end(queue, self._clock.monotonic(), mints=len(self.resolver))
            first, *table = report.lines() if logger.isEnabledFor(logging.INFO) else [""]
            logger.info("%s", first)
            for line in table:
                logger.debug("%s", line)

    def _leave_names(self, queue: MintQueue, call: Call) -> None:
        unused, doubtful = call.open_names()
        self.forget(unused)
        now, wall = self._clock.monotonic(), self._clock.time()
        mints = [unresolved(slot, slot.name or "", queue.scale_set_id, now, wall) for slot in doubtful]
        self.resolver.add(mints)
        self.resolver.given.asked.difference_update(name.lower() for name in call.asked)

    async def stop(self, seconds: float) -> None:
        """Send nothing more; finish or undo what is in flight within `seconds`; the journal keeps the rest."""
        self._stopping = True
        for queue in self.queues:
            queue.drop_waiting(len(queue.waiting), FailureReason.STOPPED, "the host is stopping")
        try:
            await self._wind_up(seconds)
        finally:  # also if the host has no more time: what is not closed here, the next start looks for
            for queue in self.queues:
                self.forget(queue.empty())

    async def _wind_up(self, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        try:
            await self._dispatcher.stop(seconds * 0.6)
            await self._deliverer.finish(max(0.0, until - self._clock.monotonic() - seconds * 0.2))
        finally:
            for slot in (slot for call in self.queues.calls() for slot in call.slots if slot.wanted):
                slot.call.refuse(slot, FailureReason.STOPPED, "the host is stopping")
        self._waits.stop()
        await self._sweeper.stop()
        await self.resolver.drain(max(0.0, until - self._clock.monotonic()))

    def _undo(self, queue: MintQueue, call: Call) -> None:
        for config in call.undelivered():
            queue.fleet.drop(config.runner_name, None)
            self.resolver.undo(config)
