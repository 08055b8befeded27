"""One engine per configured host: wires the rooms together, owns their life."""

from __future__ import annotations

import asyncio
import logging
import math
import random as random_module
import sqlite3
from collections.abc import Awaitable
from contextlib import AsyncExitStack, nullcontext
from typing import TYPE_CHECKING

from scaleset_burst.background import Background
from scaleset_burst.cache import Metadata
from scaleset_burst.journal import JournalNames
from scaleset_burst.minting import BurstReport, Minter, MintQueue
from scaleset_burst.minting.demand import check_count
from scaleset_burst.reconciler import Reconciler
from scaleset_burst.settings import Settings
from scaleset_burst.telemetry import EngineSnapshot, observe
from scaleset_burst.wiring import build_admission, build_client, build_journal, build_sharing, build_traces
from scaleset_client import ScaleSetClient
from scaleset_client.clock import Clock, SystemClock, within
from scaleset_hookspecs import (
    Answer,
    FailureReason,
    JitConfig,
    JobCompleted,
    JobStarted,
    MaybeAwaitable,
    MintFailure,
    OnReady,
    Outcome,
    ProvisionSettings,
    RunnerInfo,
    RunnerRef,
    ScaleSetRef,
    ScaleSetSettings,
    Statistics,
    Unavailable,
)

if TYPE_CHECKING:
    from scaleset_burst.traces import Burst

__all__ = ["Engine"]

logger = logging.getLogger(__name__)

RECALL_SECONDS = 5.0
"""Seconds between two tries to recall the limits."""

STOP_SECONDS = 10.0
"""Time to finish or undo what is in flight when the host stops."""


class _Cache:
    """The cache as minting knows it; a mint counts against its runner group, too."""

    def __init__(self, metadata: Metadata, reconciler: Reconciler) -> None:
        self._metadata = metadata
        self._reconciler = reconciler
        self.re_resolve = metadata.re_resolve
        self.on_runner_gone = metadata.on_runner_gone

    def on_minted(self, config: JitConfig) -> None:
        self._metadata.on_minted(config)
        self._reconciler.minted(config.scale_set)


class Engine:
    """Answers for one scope. Everything here happens on the host's one loop; nothing is shared between engines.

    Attributes:
        settings: What it was made with.
        client: The connection to the service.
        metadata: The cache.
        admission: The limits of the scope.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        random: random_module.Random | None = None,
        client: ScaleSetClient | None = None,
    ) -> None:
        self.settings = settings
        self._clock = clock or SystemClock()
        self._random = random or random_module.Random()  # noqa: S311  # for jitter, not for secrets
        self._traces = build_traces(settings, clock=self._clock)
        self.client = client or build_client(settings, clock=self._clock, random=self._random, traces=self._traces)
        self._sharing = build_sharing(settings, self.client.scope, clock=self._clock)
        shared = self._sharing
        self.metadata = Metadata(
            self.client,
            settings.cache,
            clock=self._clock,
            random=self._random,
            shared=None if shared is None else shared.cache,
            born=self._clock.monotonic(),
        )
        self.admission = build_admission(
            settings, random=self._random, budget=None if shared is None else shared.budget
        )
        self._background = Background()
        self._reconciler = Reconciler(
            self.client, settings, self.admission, clock=self._clock, background=self._background
        )
        self._names: JournalNames | None = None
        self._minter: Minter | None = None
        self._recalling: asyncio.Future[None] | None = None
        self._stopped = False

    @property
    def scope(self) -> str:
        """The enterprise, organisation or repository, as the limits know it."""
        return self.client.scope

    @property
    def minter(self) -> Minter:
        """The minting room; opened with the first use, so that a host which only asks needs no journal."""
        return self._rooms()[0]

    @property
    def last_report(self) -> BurstReport | None:
        """Where the seconds of the last burst went, for each of its configs; `None` before the first one ended."""
        return None if self._minter is None else self._minter.last_report

    def snapshot(self) -> EngineSnapshot:
        """Return what the engine shows of itself now; any thread may ask."""
        open_rooms = (self._minter, self._names) if self._minter is not None and self._names is not None else None
        hosts = None if self._sharing is None else self._sharing.hosts
        return observe(self.client, self.metadata, self.admission, open_rooms, hosts, self._clock.monotonic())

    # Life

    async def start(self) -> None:
        """Connect, open connections ahead, and resolve what a dead process left behind, beside the first burst.

        Raises:
            Rejected: The credentials are refused. A service that is merely down is logged: it may come back.
        """
        minter, names = await self._open()
        try:
            await self.client.connect()
            await self.client.warm(self.settings.connections.warm)
        except Unavailable as error:
            logger.warning("%s cannot be reached yet, the first burst will try again: %s", self.scope, error)
        # A disk that hangs must not keep the host from starting; what is adopted later is resolved later.
        await self._background.begin(self._reconciler.adopt(names, minter), "adopt", patience=names.patience)
        self._background.spawn(self._reconciler.keep_adopting(names, minter), "keep adopting")

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Send nothing more, finish or undo what is in flight, close everything; the journal keeps the rest."""
        if self._stopped:
            return
        self._stopped = True
        self._background.cancel()
        async with AsyncExitStack() as rest:  # whatever fails on the way, or is cancelled by the host, the rest closes
            if self._traces is not None:
                rest.push_async_callback(self._traces.close)
            rest.push_async_callback(self.client.aclose)
            rest.push_async_callback(self.metadata.aclose)
            if self._names is not None:
                rest.push_async_callback(self._names.close)
            if self._sharing is not None:
                rest.push_async_callback(self._sharing.stop)
            if self._minter is not None:
                await self._minter.stop(seconds)

    # Requests

    async def provision(
        self, scale_set: ScaleSetRef, count: int, settings: ProvisionSettings, on_ready: OnReady | None
    ) -> tuple[Outcome, ...]:
        """Mint `count` configs for the scale set; one outcome each, in request order.

        Raises:
            UsageError: The count is below 1 or over the maximum.
            Rejected: None of them can ever work.
            Unavailable: The service cannot be reached and nothing was minted.
        """
        if self._traces is None:
            return await self._provision(scale_set, count, settings, on_ready)
        with self._traces.burst(scale_set, count) as burst:
            outcomes = await self._provision(scale_set, count, settings, on_ready, burst)
            burst.became(outcomes)
        return outcomes

    async def _provision(
        self,
        scale_set: ScaleSetRef,
        count: int,
        settings: ProvisionSettings,
        on_ready: OnReady | None,
        burst: Burst | None = None,
    ) -> tuple[Outcome, ...]:
        check_count(scale_set, count, settings)
        if self._stopped:
            raise Unavailable("the host is stopping; nothing more is minted")
        started = self._clock.monotonic()
        queue = await within(settings.deadline, self._queue(scale_set, burst), self._clock)
        if queue is None:
            message = f"the scale set was not found within the {settings.deadline:g} s the host gave"
            return (MintFailure(reason=FailureReason.DEADLINE, message=message),) * count
        outcomes = await self.minter.provision(queue, count, settings, on_ready, since=started)
        if any(getattr(outcome, "reason", None) == "already_provided" for outcome in outcomes):
            self._reconciler.reconcile(queue)
        return outcomes

    def scale_set_settings(self, scale_set: ScaleSetRef) -> MaybeAwaitable[Answer[ScaleSetSettings]]:
        """Answer from the cache; a plain value when it is warm."""
        warm = self.metadata.peek_settings(scale_set)
        return warm if warm is not None else self.metadata.scale_set_settings(scale_set)

    def runner_info(self, scale_set: ScaleSetRef, runner: RunnerRef) -> Awaitable[Answer[RunnerInfo]]:
        """Answer from the cache, with certainty and age."""
        return self.metadata.runner_info(scale_set, runner)

    # What the host tells

    def runner_launched(self, scale_set: ScaleSetRef, config: JitConfig) -> None:
        """Close a config in the journal: a machine uses it."""
        del scale_set
        if self._names is not None:
            self._names.launched(config.runner_name, config.runner_id)

    def statistics_seen(self, scale_set: ScaleSetRef, statistics: Statistics) -> None:
        """Keep the cache true, and open connections when work is coming."""
        if self._minter is not None:
            self._minter.ledger.serves(scale_set.name)
        self.metadata.on_statistics(scale_set, statistics)
        self._reconciler.statistics(scale_set, statistics)
        coming = statistics.assigned_jobs - statistics.registered_runners
        if coming > 0:
            want = min(coming, self.settings.connections.max)
            if want > self.client.connections_open:
                self._background.spawn(self.client.warm(want), "warm")

    def demand_changed(self, scale_set: ScaleSetRef, desired: int) -> None:
        """Cancel what has not been sent beyond the demand."""
        if (queue := self._known_queue(scale_set)) is not None:
            queue.lower_demand(max(0, desired))

    def job_started(self, scale_set: ScaleSetRef, event: JobStarted) -> None:
        """Mark the runner busy."""
        self.metadata.on_job_started(scale_set, event)

    def job_completed(self, scale_set: ScaleSetRef, event: JobCompleted) -> None:
        """Forget the runner: an ephemeral one ends with its job."""
        self.metadata.on_job_completed(scale_set, event)
        if event.runner is not None:
            self._forget(scale_set, event.runner)

    def runner_removed(self, scale_set: ScaleSetRef, runner: RunnerRef) -> None:
        """Forget the runner."""
        self.metadata.on_runner_removed(scale_set, runner)
        self._forget(scale_set, runner)

    # Rooms

    def _rooms(self) -> tuple[Minter, JournalNames]:
        if self._minter is None or self._names is None:
            journal = build_journal(self.settings, self.scope, clock=self._clock)
            self._names = JournalNames(journal) if self._sharing is None else self._sharing.names(journal)
            self._minter = self._minting(self._names)
        return self._minter, self._names

    async def _open(self) -> tuple[Minter, JournalNames]:
        """Open the rooms and, once, recall what the limits already hold."""
        minter, names = self._rooms()
        self._recalling = self._recalling or asyncio.ensure_future(self._begin(minter, names))
        await asyncio.shield(self._recalling)
        return minter, names

    async def _begin(self, minter: Minter, names: JournalNames) -> None:
        recalling = self._recall(names, self._clock.monotonic())
        await self._background.begin(recalling, "recall the limits", patience=names.patience)
        if self._sharing is not None:
            await self._sharing.start(self.admission, minter, self.metadata, self._reconciler)

    async def _recall(self, names: JournalNames, began: float) -> None:
        """Recall what was registered before we began, and a pause; a disk that cannot say is asked until it does."""
        budget, until = self.admission.budget, math.inf
        while True:
            try:
                registered, pause = await names.registered(budget.window), await names.pause_left()
            except (OSError, sqlite3.Error) as error:
                level = logging.WARNING if until == math.inf else logging.DEBUG  # once is enough
                logger.log(level, "the journal cannot say yet what was registered before: %s", error)
                await self._clock.sleep(RECALL_SECONDS)
                until = began  # by the next try we may have registered some ourselves
                continue
            now = self._clock.monotonic()
            budget.recall(now, [(age, count) for age, count in registered if now - age <= until])
            budget.resume_pause(now, pause)
            return

    def _minting(self, names: JournalNames) -> Minter:
        cache = _Cache(self.metadata, self._reconciler)
        batch, clock = self.settings.batch, self._clock
        return Minter(self.client, names, self.admission, cache, batch=batch, clock=clock, random=self._random)

    async def _queue(self, scale_set: ScaleSetRef, burst: Burst | None) -> MintQueue:
        await self._open()
        with nullcontext() if burst is None else burst.current():  # not around what outlives the burst
            scale_set_id = await self.metadata.scale_set_id(scale_set)
        queue = self.minter.queues.get(_key(scale_set))
        if queue is None:
            own = self.settings.for_scale_set(scale_set.name)
            limit = own.max_concurrency if isinstance(own.max_concurrency, int) else None
            queue = MintQueue(scale_set, scale_set_id, own.name_prefix, own.work_folder, limit)
            return self.minter.add_queue(_key(scale_set), queue)
        self.minter.forget(queue.aim(queue.scale_set_id if queue.calls else scale_set_id))
        return queue

    def _forget(self, scale_set: ScaleSetRef, runner: RunnerRef) -> None:
        if (queue := self._known_queue(scale_set)) is not None:
            queue.fleet.drop(runner.name, runner.id)

    def _known_queue(self, scale_set: ScaleSetRef) -> MintQueue | None:
        """Return the scale set's queue if anything was minted for it; hearing news opens no journal."""
        return None if self._minter is None else self._minter.queues.get(_key(scale_set))


def _key(scale_set: ScaleSetRef) -> tuple[str, str]:
    return scale_set.runner_group.lower(), scale_set.name.lower()
