"""What is compared now and then, off the critical path: names of dead processes, fleets, how full a group is."""

import asyncio
import logging
import sqlite3
from typing import Protocol

from scaleset_burst.background import Background
from scaleset_burst.journal import JournalNames, LeftoverName
from scaleset_burst.limits import Admission
from scaleset_burst.limits.groupcapacity import GroupCapacity
from scaleset_burst.minting import Minter, MintQueue
from scaleset_burst.minting.unresolved import adopted
from scaleset_burst.settings import Settings
from scaleset_client.clock import Clock
from scaleset_client.types import Runner
from scaleset_hookspecs import ScaleSetRef, ServiceError, Statistics

__all__ = ["Reconciler"]

logger = logging.getLogger(__name__)

ADOPT_SECONDS = 30.0
"""How often processes that died are looked for."""

RECONCILE_SECONDS = 60.0
"""The fleet is compared with the service's list at most this often."""


MISSED_SECONDS = RECONCILE_SECONDS / 2
"""A runner whose name two looks have missed, this far apart at least, leaves the fleet."""

PARALLEL = 8
"""Runners of a fleet looked for by name at the same time."""


class RunnerLookups(Protocol):
    """The look-ups that are needed here."""

    async def list_runners(self) -> tuple[Runner, ...]:
        """List all runners of the scope."""

    async def find_runner(self, name: str) -> Runner | None:
        """Find a runner by name."""


class Reconciler:
    """Keeps one engine's memory of names and runners in step with the service."""

    def __init__(
        self, service: RunnerLookups, settings: Settings, admission: Admission, *, clock: Clock, background: Background
    ) -> None:
        self._service = service
        self._admission = admission
        self._shared = settings.sharing is not None
        self._clock = clock
        self._background = background
        self._launch_grace = settings.journal.launch_grace
        self._runner_grace = settings.cache.runner_grace
        self._capacity = GroupCapacity(settings.budget.group_capacity)
        self._reconciling = False

    async def adopt(self, names: JournalNames, minter: Minter) -> None:
        """Take over what dead processes left open; it is resolved beside the first burst."""
        try:
            leftovers = await names.adopt()
        except (OSError, sqlite3.Error) as error:
            logger.warning("the journal could not say what dead processes left, the next look will: %s", error)
            return
        except Exception:
            logger.exception("the journal could not say what dead processes left; the next look will")
            return
        if leftovers:
            self.resolve(leftovers, minter)

    def resolve(self, leftovers: tuple[LeftoverName, ...], minter: Minter) -> None:
        """Resolve what another process left behind."""
        now = self._clock.monotonic()
        logger.info(
            "resolving %d names of a process that died; %d of them may have been handed out, and are removed only if "
            "offline %g s from now",
            len(leftovers),
            sum(not each.unused for each in leftovers),
            self._launch_grace,
        )
        held_until = self._admission.held_until(now)
        hold = 0 if self._shared else self._admission.holdable
        mints = adopted(leftovers, now, self._launch_grace, hold=hold, held_until=held_until)
        self._admission.hold([mint.held_until for mint in mints if mint.held_until is not None])
        minter.resolver.add(mints)

    async def keep_adopting(self, names: JournalNames, minter: Minter) -> None:
        """Look again now and then: another process of this machine may die while we live."""
        while True:
            await self._clock.sleep(ADOPT_SECONDS)
            await self.adopt(names, minter)

    def reconcile(self, queue: MintQueue) -> None:
        """Compare the fleet with the service's list, at most once a minute: hosts forget to report ends."""
        now = self._clock.monotonic()
        last = queue.fleet.reconciled_at
        if self._reconciling or (last is not None and now - last < RECONCILE_SECONDS):
            return
        self._reconciling = True
        self._background.spawn(self._reconcile(queue), "reconcile")

    def statistics(self, scale_set: ScaleSetRef, statistics: Statistics) -> None:
        """Watch how full the scale set's runner group is."""
        self._say(self._capacity.counted(scale_set, statistics.registered_runners))

    def minted(self, scale_set: ScaleSetRef) -> None:
        """Count a registration of ours, until the service's next count."""
        self._say(self._capacity.minted(scale_set))

    async def _reconcile(self, queue: MintQueue) -> None:
        """Drop what has ended: what a list does not show is looked for by name, a few at a time."""
        fleet, turns = queue.fleet, asyncio.Semaphore(PARALLEL)

        async def look_up(name: str) -> None:
            async with turns:
                there = await self._service.find_runner(name) is not None
            fleet.looked_up(name, self._clock.monotonic(), MISSED_SECONDS, there=there)

        try:
            listed = [runner.name for runner in await self._service.list_runners()]
            async with asyncio.TaskGroup() as lookups:
                for name in fleet.unlisted(listed, self._clock.monotonic(), self._runner_grace):
                    lookups.create_task(look_up(name))
        except* ServiceError as errors:
            error = errors.exceptions[0]
            logger.info("cannot compare the fleet of %s with the service: %s", queue.ref.name, error)
        finally:
            self._reconciling = False

    def _say(self, warning: str | None) -> None:
        if warning is not None:
            logger.warning("%s", warning)
