"""The front of the minting room: a demand in, its outcomes out, each exactly once."""

from __future__ import annotations

import asyncio
import logging
import random as random_module
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from scaleset_burst.journal import Change, LostNames, State
from scaleset_burst.minting.call import Call
from scaleset_burst.minting.delivery import Arrival, Deliverer, Names, became
from scaleset_burst.minting.demand import needed
from scaleset_burst.minting.dispatcher import Dispatcher, MintService
from scaleset_burst.minting.gate import BurstGate
from scaleset_burst.minting.given import Given
from scaleset_burst.minting.hedging import Hedging
from scaleset_burst.minting.lane import Lane
from scaleset_burst.minting.ledger import BurstLedger
from scaleset_burst.minting.names import draw_names
from scaleset_burst.minting.report import BurstReport, ConfigTiming
from scaleset_burst.minting.resolver import Resolver, RunnerService
from scaleset_burst.minting.settlement import Settlement
from scaleset_burst.minting.strays import Stray
from scaleset_burst.minting.sweeper import Sweeper
from scaleset_burst.minting.waits import Waits
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

__all__ = ["Minter", "Service"]

logger = logging.getLogger(__name__)


MOST_SCALE_SETS = 1000
"""Scale sets remembered at once; a host that makes new ones for ever would else fill the memory."""


class Service(MintService, RunnerService, Protocol):
    """What minting needs of the service in all."""


class Minter:
    """Mints for every scale set of one scope, under limits that all of them share."""

    def __init__(
        self,
        service: Service,
        names: Names,
        gate: BurstGate,
        *,
        clock: Clock,
        random: random_module.Random,
        random_bits: Callable[[int], int],
        attempt_timeout: float,
        max_attempts: int,
        hedge: bool,
        merge_window: float,
        re_resolve: Callable[[Lane], Awaitable[int]],
        on_minted: Callable[[JitConfig], None],
    ) -> None:
        self._names = names
        self._gate = gate
        self._clock = clock
        self._random_bits = random_bits
        self._merge_window = merge_window
        self._lanes: dict[tuple[str, str], Lane] = {}
        self.ledger = BurstLedger()
        self._stopping = False
        self._waits = Waits(gate, clock=clock, calls=self._calls)
        self._given = Given()
        self.resolver = Resolver(
            service,
            clock=clock,
            random=random,
            given=self._given,
            on_known=self._stray_known,
            on_settled=self._stray_settled,
        )
        self.deliverer = Deliverer(
            names, clock=clock, on_orphan=self._orphan, on_delivered=self._delivered, on_lost=self._lost
        )
        self._settlement = Settlement(
            gate=gate,
            clock=clock,
            random=random,
            max_attempts=max_attempts,
            names=names,
            resolver=self.resolver,
            given=self._given,
            deliverer=self.deliverer,
            ledger=self.ledger,
            re_resolve=re_resolve,
            on_minted=on_minted,
        )
        self.dispatcher = Dispatcher(
            service,
            gate,
            clock=clock,
            refill=self._reserve_names,
            on_result=self._settlement.settle,
            on_wait=self._waits.closed,
            hedging=Hedging() if hedge else None,
        )
        self._settlement.pump = self.dispatcher.pump
        self._sweeper = Sweeper(self.dispatcher, clock=clock, attempt_timeout=attempt_timeout)

    @property
    def last_report(self) -> BurstReport | None:
        """The report of the last burst that ended."""
        return self.ledger.last

    @property
    def lanes(self) -> Sequence[Lane]:
        """The scale sets minted for so far."""
        return tuple(self._lanes.values())

    def lane(self, key: tuple[str, str]) -> Lane | None:
        """Return the queue of a scale set, if anything was minted for it."""
        return self._lanes.get(key)

    def add_lane(self, key: tuple[str, str], lane: Lane) -> Lane:
        """Serve one more scale set; one that has nothing under way is forgotten if there are too many."""
        if len(self._lanes) >= MOST_SCALE_SETS:
            idle = (other for other, old in self._lanes.items() if not (old.calls or old.attempts))
            if (oldest := next(idle, None)) is not None:
                self.forget(self._lanes.pop(oldest).empty())
        self._lanes[key] = lane
        return lane

    def forget(self, names: Iterable[str]) -> None:
        """Close names that were written down and will never be sent."""
        self._names.note([Change(name=name, state=State.CLOSED) for name in names])

    async def provision(
        self,
        lane: Lane,
        count: int,
        settings: ProvisionSettings,
        on_ready: OnReady | None,
        *,
        since: float | None = None,
    ) -> tuple[Outcome, ...]:
        """Mint `count` configs, or as many of them as the demand still lacks; return an outcome for each.

        Args:
            lane: For this scale set.
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
        if (refusal := self._gate.refusal(now, lane)) is not None:
            raise refusal
        call = Call(lane, count, settings, on_ready, now if since is None else since)
        if settings.desired is not None:
            lane.lower_demand(settings.desired)
        wanted = needed(count, settings.desired, len(lane.roster), lane.under_way)
        for slot in call.slots[wanted:]:
            call.refuse(slot, FailureReason.ALREADY_PROVIDED, f"the demand for {settings.desired} is met already")
        try:
            if wanted:
                await self._mint(lane, call, wanted)
        finally:
            self.ledger.returned(lane, call)
        result = call.result()
        return result if on_ready is not None else await self._hand_over(lane, call, result)

    async def _mint(self, lane: Lane, call: Call, wanted: int) -> None:
        self._enter(lane, call, wanted)
        watch = asyncio.create_task(self._waits.watch_deadline(call)) if call.deadline is not None else None
        try:
            await call.ended.wait()
        except asyncio.CancelledError:
            call.abandon()
            self._undo(lane, call)
            raise
        finally:
            if watch is not None:
                watch.cancel()
            self._leave(lane, call)

    async def _hand_over(self, lane: Lane, call: Call, result: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
        """Write down that the caller gets its configs, before it does; mint others for those that it must not get."""
        configs = [outcome for outcome in result if isinstance(outcome, JitConfig)]
        lost: frozenset[str] = frozenset()
        try:
            await self._names.record([became(config, State.DELIVERED) for config in configs])
        except LostNames as error:
            lost = error.names
        except asyncio.CancelledError:
            self._undo(lane, call)
            raise
        except Exception:
            # The same as with `on_ready`: they are registered, so the caller gets them, journal or not.
            logger.exception("the journal could not write; handing over without it")
        if not lost:
            return result
        for config in configs:
            if config.runner_name in lost:
                lane.roster.drop(config.runner_name, None)
                self._orphan(config)
        try:
            others = iter(await self._mint_others(lane, call, len(lost)))
        except asyncio.CancelledError:
            self._undo(lane, call)
            raise
        return tuple(next(others) if getattr(each, "runner_name", None) in lost else each for each in result)

    async def _mint_others(self, lane: Lane, call: Call, count: int) -> tuple[Outcome, ...]:
        settings = replace(call.settings, desired=None)
        try:
            return await self.provision(lane, count, settings, None, since=call.started_at)
        except ServiceError as error:
            reason = FailureReason.UNAVAILABLE if isinstance(error, Unavailable) else FailureReason.REJECTED
            failure = MintFailure(reason=reason, message=str(error), retry_after=error.retry_after)
            return (failure,) * count

    def _enter(self, lane: Lane, call: Call, wanted: int) -> None:
        if not lane.calls:
            self.ledger.begin(lane, call.started_at)
            if self._gate.slicing.mode != "never":
                # Only slices gain from waiting: without them merged calls share one flight anyway.
                lane.opens_at = self._clock.monotonic() + self._merge_window
        blocked = self._gate.closed_seconds(self._clock.monotonic())
        for slot in call.slots[:wanted]:
            slot.blocked = blocked
        lane.enter(call)
        lane.push(call.slots[:wanted])
        self._sweeper.watch(lane)
        self.dispatcher.pump(lane)
        self._waits.entered(call)

    def _leave(self, lane: Lane, call: Call) -> None:
        self.forget(lane.leave(call))
        if not lane.calls:
            report = self.ledger.end(lane, self._clock.monotonic(), strays=len(self.resolver))
            for line in report.lines() if logger.isEnabledFor(logging.INFO) else ():
                logger.info("%s", line)

    async def stop(self, seconds: float) -> None:
        """Send nothing more; finish or undo what is in flight within `seconds`; the journal keeps the rest."""
        self._stopping = True
        for lane in self._lanes.values():
            lane.drop_waiting(len(lane.waiting), FailureReason.STOPPED, "the host is stopping")
        try:
            await self._wind_up(seconds)
        finally:  # also if the host has no more time: what is not closed here, the next start looks for
            for lane in self._lanes.values():
                self.forget(lane.empty())

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

    async def _reserve_names(self, lane: Lane, prefix: str, count: int) -> None:
        scale_set_id = lane.scale_set_id
        names = draw_names(prefix, count, self._random_bits)
        usable = True
        try:
            await self._names.reserve(scale_set_id, names)
        except LostNames:
            usable = False
        except Exception:
            # Without a journal a crash may leave ghosts; without a burst jobs wait. The burst goes on.
            logger.exception("the journal could not write down names; minting without it")
        # Whoever still lacks names asks again.
        self.forget(lane.keep(scale_set_id, prefix, names) if usable else names)

    def _calls(self) -> list[Call]:
        return [call for lane in self._lanes.values() for call in lane.calls]

    def _delivered(self, arrival: Arrival, timing: ConfigTiming) -> None:
        config, lane = arrival.config, arrival.attempt.lane
        lane.roster.add(config.runner_name, config.runner_id, self._clock.monotonic())
        self.ledger.delivered(lane, timing)

    def _lost(self, arrival: Arrival) -> None:
        """Let a slot have another config instead of one that could not be handed out."""
        arrival.slot.claimed = False
        self._waits.expire(arrival.slot.call)
        arrival.attempt.lane.push_back([arrival.slot])
        self.dispatcher.pump(arrival.attempt.lane)

    def _undo(self, lane: Lane, call: Call) -> None:
        for config in call.undelivered():
            lane.roster.drop(config.runner_name, None)
            self._orphan(config)

    def _orphan(self, config: JitConfig) -> None:
        self._given.drop(config.runner_id)
        self._names.note([became(config, State.AMBIGUOUS)])
        set_id, runner_id = config.scale_set.id or 0, config.runner_id
        stray = Stray(name=config.runner_name, scale_set_id=set_id, runner_id=runner_id)
        self.resolver.add([stray])

    def _stray_known(self, stray: Stray) -> None:
        self._gate.resolved(stray, self._clock.monotonic())
        self.dispatcher.pump()

    def _stray_settled(self, stray: Stray) -> None:
        self._names.note([Change(name=stray.name, state=State.CLOSED, runner_id=stray.runner_id)])
