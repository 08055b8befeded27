"""One engine per configured host: wires the rooms together, owns their life."""

from __future__ import annotations

import asyncio
import logging
import os
import random as random_module
import secrets
from collections.abc import Awaitable, Coroutine
from pathlib import Path
from typing import Any

from scaleset_burst.clock import Clock, SystemClock
from scaleset_burst.github import ScaleSetClient
from scaleset_burst.journal import JournalNames, open_journal
from scaleset_burst.metadata import Metadata
from scaleset_burst.minting import Lane, Minter
from scaleset_burst.minting.demand import check_count
from scaleset_burst.minting.strays import adopted
from scaleset_burst.settings import Settings
from scaleset_burst.wiring import build_client, build_gate
from scaleset_hookspecs import (
    Answer,
    JitConfig,
    JobCompleted,
    JobStarted,
    MaybeAwaitable,
    OnReady,
    Outcome,
    ProvisionSettings,
    RunnerInfo,
    RunnerRef,
    ScaleSetRef,
    ScaleSetSettings,
    ServiceError,
    Statistics,
    Unavailable,
)

__all__ = ["Engine"]

logger = logging.getLogger(__name__)

STOP_SECONDS = 10.0
"""Time to finish or undo what is in flight when the host stops."""

ADOPT_SECONDS = 30.0
"""How often processes that died are looked for."""

RECONCILE_SECONDS = 60.0
"""The roster is compared with the service's list at most this often."""


class Engine:
    """Answers for one scope. Everything here happens on the host's one loop; nothing is shared between engines."""

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
        self.client = client or build_client(settings, clock=self._clock, random=self._random)
        self.metadata = Metadata(self.client, settings.cache, clock=self._clock, random=self._random)
        self._names: JournalNames | None = None
        self._minter: Minter | None = None
        self._background: set[asyncio.Task[Any]] = set()
        self._reconciling = False
        self._stopped = False

    @property
    def scope(self) -> str:
        """The enterprise, organisation or repository, as the limits know it."""
        return self.client.scope

    @property
    def minter(self) -> Minter:
        """The minting room; opened with the first use, so that a host which only asks needs no journal."""
        if self._minter is None:
            self._open()
        assert self._minter is not None and self._names is not None  # noqa: S101, PT018  # opened above
        return self._minter

    # Life

    async def start(self) -> None:
        """Connect, open connections ahead, and resolve what a dead process left behind, beside the first burst.

        Raises:
            Rejected: The credentials are refused. A service that is merely down is logged: it may come back.
        """
        self._open()
        try:
            await self.client.connect()
            await self.client.warm(self.settings.connections.warm)
        except Unavailable as error:
            logger.warning("%s cannot be reached yet, the first burst will try again: %s", self.scope, error)
        await self._adopt()
        self._spawn(self._keep_adopting(), "adopt")

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Send nothing more, finish or undo what is in flight, close everything; the journal keeps the rest."""
        if self._stopped:
            return
        self._stopped = True
        for task in self._background:
            task.cancel()
        if self._minter is not None:
            await self._minter.stop(seconds)
        if self._names is not None:
            await self._names.close()
        await self.metadata.aclose()
        await self.client.aclose()

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
        check_count(scale_set, count, settings)
        lane = await self._lane(scale_set, settings)
        outcomes = await self.minter.provision(lane, count, settings, on_ready)
        if any(getattr(outcome, "reason", None) == "already_provided" for outcome in outcomes):
            self._reconcile(lane)
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
        self.metadata.on_statistics(scale_set, statistics)
        coming = statistics.assigned_jobs - statistics.registered_runners
        if coming > 0:
            want = min(coming, self.settings.connections.max)
            if want > self.client.counters.connections_opened:
                self._spawn(self.client.warm(want), "warm")

    def demand_changed(self, scale_set: ScaleSetRef, desired: int) -> None:
        """Cancel what has not been sent beyond the demand."""
        lane = self.minter.lane(_key(scale_set))
        if lane is not None:
            lane.lower_demand(max(0, desired))

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

    def _open(self) -> None:
        if self._minter is not None:
            return
        settings = self.settings
        journal = open_journal(
            settings.journal.directory,
            self.scope,
            environ=os.environ,
            home=Path.home(),
            warn=logger.warning,
            now=self._clock.time,
        )
        self._names = JournalNames(journal)
        self._minter = Minter(
            self.client,
            self._names,
            build_gate(settings, random=self._random),
            clock=self._clock,
            random=self._random,
            random_bits=secrets.randbits,
            attempt_timeout=settings.batch.attempt_timeout,
            max_attempts=settings.batch.max_attempts,
            hedge=settings.batch.hedge,
            merge_window=settings.batch.merge_window,
            re_resolve=self._re_resolve,
            on_minted=self.metadata.on_minted,
        )

    async def _keep_adopting(self) -> None:
        """Look again now and then: another process of this machine may die while we live."""
        while True:
            await self._clock.sleep(ADOPT_SECONDS)
            await self._adopt()

    async def _adopt(self) -> None:
        """Take over what dead processes left open; it is resolved beside the first burst."""
        assert self._names is not None  # noqa: S101  # opened by `start`
        now = self._clock.monotonic()
        orphans = await self._names.adopt()
        if not orphans:
            return
        delivered = sum(orphan.delivered for orphan in orphans)
        logger.info(
            "resolving %d names of a process that died, %d of them delivered and never reported as launched",
            len(orphans),
            delivered,
        )
        self.minter.resolver.add(adopted(orphans, now, self.settings.journal.launch_grace))

    async def _lane(self, scale_set: ScaleSetRef, settings: ProvisionSettings) -> Lane:
        scale_set_id = await self.metadata.scale_set_id(scale_set)
        lane = self.minter.lane(_key(scale_set))
        own = self.settings.for_scale_set(scale_set.name)
        prefix = settings.name_prefix or own.name_prefix
        folder = settings.work_folder or own.work_folder
        if lane is None:
            limit = own.max_concurrency if isinstance(own.max_concurrency, int) else None
            return self.minter.add_lane(_key(scale_set), Lane(scale_set, scale_set_id, prefix, folder, limit))
        if not lane.calls:
            lane.scale_set_id = scale_set_id
        lane.name_prefix, lane.work_folder = prefix, folder
        return lane

    async def _re_resolve(self, lane: Lane) -> int:
        return await self.metadata.re_resolve(lane.ref, dead_id=lane.scale_set_id)

    def _forget(self, scale_set: ScaleSetRef, runner: RunnerRef) -> None:
        lane = self.minter.lane(_key(scale_set))
        if lane is not None:
            lane.roster.drop(runner.name, runner.id)

    def _reconcile(self, lane: Lane) -> None:
        """Compare the roster with the service's list, at most once a minute: hosts forget to report ends."""
        now = self._clock.monotonic()
        last = lane.roster.reconciled_at
        if self._reconciling or (last is not None and now - last < RECONCILE_SECONDS):
            return
        self._reconciling = True
        self._spawn(self._reconcile_lane(lane), "reconcile")

    async def _reconcile_lane(self, lane: Lane) -> None:
        try:
            names = [runner.name for runner in await self.client.list_runners()]
            lane.roster.reconcile(names, self._clock.monotonic(), self.settings.cache.runner_grace)
        except ServiceError as error:
            logger.info("cannot compare the roster of %s with the service: %s", lane.ref.name, error)
        finally:
            self._reconciling = False

    def _spawn(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        task = asyncio.create_task(self._guard(work, name), name=name)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _guard(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        try:
            await work
        except ServiceError as error:
            logger.warning("%s failed, the next occasion tries again: %s", name, error)
        except Exception:
            logger.exception("%s failed", name)


def _key(scale_set: ScaleSetRef) -> tuple[str, str]:
    return scale_set.runner_group.lower(), scale_set.name.lower()
