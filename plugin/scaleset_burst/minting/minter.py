"""The front of the minting room: a demand in, its outcomes out, each exactly once."""

from __future__ import annotations

import asyncio
import logging
import random as random_module
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from scaleset_burst.journal import Change, State, UnrecordedNames
from scaleset_burst.limits.admission import Admission
from scaleset_burst.minting.call import Call
from scaleset_burst.minting.delivery import Arrival, Deliverer, Names, became
from scaleset_burst.minting.demand import needed
from scaleset_burst.minting.dispatcher import Dispatcher, MintService, Result
from scaleset_burst.minting.given import Given
from scaleset_burst.minting.hedging import Hedging
from scaleset_burst.minting.ledger import BurstLedger
from scaleset_burst.minting.names import draw_names
from scaleset_burst.minting.queue import Attempt, MintQueue
from scaleset_burst.minting.report import BurstReport, ConfigTiming
from scaleset_burst.minting.resolver import Resolver, RunnerService
from scaleset_burst.minting.settlement import REPEATED, Settlement
from scaleset_burst.minting.sweeper import Sweeper
from scaleset_burst.minting.unresolved import UnresolvedMint
from scaleset_burst.minting.waits import Waits
from scaleset_burst.settings import BatchSettings
from scaleset_client.clock import Clock
from scaleset_hookspecs.errors import ScalesetError, ServiceError, Unavailable
from scaleset_hookspecs.types import (
    FailureReason,
    JitConfig,
    MintFailure,
    OnReady,
    Outcome,
    ProvisionSettings,
    RunnerRef,
    ScaleSetRef,
)

__all__ = ["Cache", "Minter", "Service"]

logger = logging.getLogger(__name__)


MOST_SCALE_SETS = 1000
"""Scale sets remembered at once; a host that makes new ones for ever would else fill the memory."""


class Service(MintService, RunnerService, Protocol):
    """What minting needs of the service in all."""


class Cache(Protocol):
    """What minting asks the cache, and what it tells it."""

    async def re_resolve(self, scale_set: ScaleSetRef, *, dead_id: int) -> int:
        """Return the id that a scale set has now, since the service does not know the one we had."""

    def on_minted(self, config: JitConfig) -> None:
        """Hear of a runner that is registered now."""

    def on_runner_gone(self, runner: RunnerRef) -> None:
        """Hear of a registration that the service removed for us."""


class Minter:
    """Mints for every scale set of one scope, under limits that all of them share."""

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
        self._cache = cache
        self._clock = clock
        self._merge_window = batch.merge_window
        self._healing: set[asyncio.Task[None]] = set()
        self._queues: dict[tuple[str, str], MintQueue] = {}
        self.ledger = BurstLedger()
        self._stopping = False
        self._waits = Waits(admission, clock=clock, calls=self._calls)
        self._given = Given()
        self.resolver = Resolver(
            service,
            clock=clock,
            random=random,
            given=self._given,
            on_known=self._mint_known,
            on_settled=self._mint_settled,
            on_removed=cache.on_runner_gone,
        )
        self.deliverer = Deliverer(
            names,
            clock=clock,
            on_undeliverable=self._undeliverable,
            on_delivered=self._delivered,
            on_unrecorded=self._unrecorded,
        )
        self._settlement = Settlement(
            admission, self.ledger, self._given, clock=clock, random=random, max_attempts=batch.max_attempts
        )
        self.dispatcher = Dispatcher(
            service,
            admission,
            clock=clock,
            refill=self._reserve_names,
            on_result=self._answered,
            on_wait=self._waits.closed,
            hedging=Hedging() if batch.hedge else None,
        )
        self._sweeper = Sweeper(self.dispatcher, clock=clock, attempt_timeout=batch.attempt_timeout)

    @property
    def last_report(self) -> BurstReport | None:
        """The report of the last burst that ended."""
        return self.ledger.last

    @property
    def queues(self) -> Sequence[MintQueue]:
        """The scale sets minted for so far."""
        return tuple(self._queues.values())

    def queue(self, key: tuple[str, str]) -> MintQueue | None:
        """Return the queue of a scale set, if anything was minted for it."""
        return self._queues.get(key)

    def add_queue(self, key: tuple[str, str], queue: MintQueue) -> MintQueue:
        """Serve one more scale set; one that has nothing under way is forgotten if there are too many."""
        if len(self._queues) >= MOST_SCALE_SETS:
            idle = (other for other, old in self._queues.items() if not (old.calls or old.attempts))
            if (oldest := next(idle, None)) is not None:
                self.forget(self._queues.pop(oldest).empty())
        self._queues[key] = queue
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
        watch = asyncio.create_task(self._waits.watch_deadline(call)) if call.deadline is not None else None
        try:
            await call.ended.wait()
        except asyncio.CancelledError:
            call.abandon()
            self._undo(queue, call)
            raise
        finally:
            if watch is not None:
                watch.cancel()
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
        for config in configs:
            if config.runner_name in unrecorded:
                queue.fleet.drop(config.runner_name, None)
                self._undeliverable(config)
        try:
            others = iter(await self._mint_others(queue, call, len(unrecorded)))
        except asyncio.CancelledError:
            self._undo(queue, call)
            raise
        return tuple(next(others) if getattr(each, "runner_name", None) in unrecorded else each for each in result)

    async def _mint_others(self, queue: MintQueue, call: Call, count: int) -> tuple[Outcome, ...]:
        settings = replace(call.settings, desired=None)
        try:
            return await self.provision(queue, count, settings, None, since=call.started_at)
        except ServiceError as error:
            reason = FailureReason.UNAVAILABLE if isinstance(error, Unavailable) else FailureReason.REJECTED
            failure = MintFailure(reason=reason, message=str(error), retry_after=error.retry_after)
            return (failure,) * count

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
        queue.push(call.slots[:wanted])
        self._sweeper.watch(queue)
        self.dispatcher.pump(queue)
        self._waits.entered(call)

    def _leave(self, queue: MintQueue, call: Call) -> None:
        self.forget(queue.leave(call))
        if not queue.calls:
            report = self.ledger.end(queue, self._clock.monotonic(), mints=len(self.resolver))
            for line in report.lines() if logger.isEnabledFor(logging.INFO) else ():
                logger.info("%s", line)

    async def stop(self, seconds: float) -> None:
        """Send nothing more; finish or undo what is in flight within `seconds`; the journal keeps the rest."""
        self._stopping = True
        for queue in self._queues.values():
            queue.drop_waiting(len(queue.waiting), FailureReason.STOPPED, "the host is stopping")
        try:
            await self._wind_up(seconds)
        finally:  # also if the host has no more time: what is not closed here, the next start looks for
            for queue in self._queues.values():
                self.forget(queue.empty())

    async def _wind_up(self, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        try:
            await self.dispatcher.stop(seconds * 0.6)
            await self.deliverer.finish(max(0.0, until - self._clock.monotonic() - seconds * 0.2))
        finally:
            for slot in (slot for call in self._calls() for slot in call.slots if slot.wanted):
                slot.call.refuse(slot, FailureReason.STOPPED, "the host is stopping")
        self._waits.stop()
        await self._sweeper.stop()
        await self.resolver.drain(max(0.0, until - self._clock.monotonic()))

    async def _reserve_names(self, queue: MintQueue, prefix: str, count: int) -> None:
        scale_set_id = queue.scale_set_id
        names = draw_names(prefix, count, secrets.randbits)
        usable = True
        try:
            await self._names.reserve(scale_set_id, names)
        except UnrecordedNames:
            usable = False
        except Exception:
            # Without a journal a crash may leave ghosts; without a burst jobs wait. The burst goes on.
            logger.exception("the journal could not write down names; minting without it")
        # Whoever still lacks names asks again.
        self.forget(queue.keep(scale_set_id, prefix, names) if usable else names)

    # What becomes of a mint

    def _answered(self, attempt: Attempt, results: Sequence[Result], now: float) -> None:
        """Carry out what an answered request leaves to be done: the one place where all of it is decided."""
        settled = self._settlement.settle(attempt, results, now)
        if settled.changes:
            self._names.note(settled.changes)
        for arrival in settled.arrivals:
            self._cache.on_minted(arrival.config)
            self.deliverer.add(arrival, more=self.dispatcher.requests_in_flight > 0)
        for config in settled.undeliverable:
            self._cache.on_minted(config)
            self._undeliverable(config)
        if settled.unresolved:
            self.resolver.add(settled.unresolved)
        if settled.pause is not None:
            self._names.pause(settled.pause)
        if settled.gone is not None:
            task = asyncio.create_task(self._heal(attempt.queue, settled.gone), name="re-resolve scale set")
            self._healing.add(task)
            task.add_done_callback(self._healing.discard)

    async def _heal(self, queue: MintQueue, error: ServiceError) -> None:
        """Resolve a scale set that was deleted, and perhaps created again, under its name; once per dead id."""
        dead = queue.scale_set_id
        try:
            self.forget(queue.aim(await self._cache.re_resolve(queue.ref, dead_id=dead)))
        except ScalesetError as failure:
            queue.fail(failure)
        except Exception as failure:
            logger.exception("the scale set %s could not be resolved once more", queue.ref.name)
            queue.fail(Unavailable(f"resolving the scale set failed: {type(failure).__name__}"))
        else:
            if queue.scale_set_id != dead:
                queue.refusals = 0
            elif queue.refusals >= REPEATED:  # it is there, and yet it is not
                queue.fail(error)
        finally:
            queue.held = False
        self.dispatcher.pump(queue)

    def _calls(self) -> list[Call]:
        return [call for queue in self._queues.values() for call in queue.calls]

    def _delivered(self, arrival: Arrival, timing: ConfigTiming) -> None:
        config, queue = arrival.config, arrival.attempt.queue
        queue.fleet.add(config.runner_name, config.runner_id, self._clock.monotonic())
        self.ledger.delivered(queue, timing)

    def _unrecorded(self, arrival: Arrival) -> None:
        """Let a slot have another config instead of one that could not be handed out."""
        arrival.slot.claimed = False
        self._waits.expire(arrival.slot.call)
        arrival.attempt.queue.push_back([arrival.slot])
        self.dispatcher.pump(arrival.attempt.queue)

    def _undo(self, queue: MintQueue, call: Call) -> None:
        for config in call.undelivered():
            queue.fleet.drop(config.runner_name, None)
            self._undeliverable(config)

    def _undeliverable(self, config: JitConfig) -> None:
        self._given.drop(config.runner_id)
        self._names.note([became(config, State.AMBIGUOUS)])
        set_id, runner_id = config.scale_set.id or 0, config.runner_id
        mint = UnresolvedMint(name=config.runner_name, scale_set_id=set_id, runner_id=runner_id)
        self.resolver.add([mint])

    def _mint_known(self, mint: UnresolvedMint) -> None:
        if mint.held_until is not None:  # its place is free again, or used
            self._admission.budget.resolved(self._clock.monotonic(), mint.held_until, registered=mint.found)
        self.dispatcher.pump()

    def _mint_settled(self, mint: UnresolvedMint) -> None:
        self._names.note([Change(name=mint.name, state=State.CLOSED, runner_id=mint.runner_id)])
