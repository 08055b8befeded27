"""Resolves strays off the critical path: look, decide, remove; a few at a time, never in the way of a mint."""

from __future__ import annotations

import asyncio
import logging
import random as random_module
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from scaleset_burst.clock import Clock
from scaleset_burst.github.types import Runner
from scaleset_burst.minting.strays import Step, Stray, after_conflict, after_failure, after_look, due
from scaleset_hookspecs import RunnerRef
from scaleset_hookspecs.errors import Conflict, Rejected, ServiceError

__all__ = ["Resolver", "RunnerService"]

logger = logging.getLogger(__name__)

PARALLEL = 8
"""Look-ups and removals in flight at most, beside the mints."""

LIST_FROM = 24
"""From this many strays due at once, one list of all runners is cheaper than a look-up each."""


class RunnerService(Protocol):
    """What the resolver needs of the service."""

    async def find_runner(self, name: str) -> Runner | None:
        """Find a runner by name."""

    async def list_runners(self) -> tuple[Runner, ...]:
        """List all runners of the scope."""

    async def remove_runner(self, runner_id: int) -> bool:
        """Remove a registration; `False` if it was absent."""


class Resolver:
    """Owns the strays of one scope until each is settled; `on_settled` hears of every one that is.

    Attributes:
        on_removed: Hears of each registration that the service removed for us.
        removed: Registrations removed so far.
        settled: Strays settled so far.
    """

    def __init__(
        self,
        service: RunnerService,
        *,
        clock: Clock,
        random: random_module.Random,
        on_settled: Callable[[Stray], None],
    ) -> None:
        self._service = service
        self._clock = clock
        self._random = random
        self._on_settled = on_settled
        self._strays: dict[str, Stray] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._drained = False
        self.on_removed: Callable[[RunnerRef], None] = lambda _: None
        self.removed = 0
        self.settled = 0

    def __len__(self) -> int:
        """Return how many strays are not settled yet."""
        return len(self._strays)

    def add(self, strays: Iterable[Stray]) -> None:
        """Take charge of strays; a known id is removed at once, a name is looked for when it is due."""
        for stray in strays:
            self._strays[stray.name] = stray
        if self._strays and self._task is None and not self._drained:
            self._task = asyncio.create_task(self._run(), name="resolver")
        self._wake.set()

    def forget(self, names: Iterable[str]) -> None:
        """Leave names to somebody else who resolves them."""
        for name in names:
            self._strays.pop(name, None)

    async def drain(self, seconds: float) -> tuple[Stray, ...]:
        """Settle what can be settled within `seconds`, then end; return the rest.

        What is returned, and what goes astray later, stays in the journal, and is resolved by the next start.
        """
        until = self._clock.monotonic() + seconds
        while any(due(stray, until) for stray in self._strays.values()) and self._clock.monotonic() < until:
            await self._clock.sleep(0.05)
        self._drained = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        return tuple(self._strays.values())

    async def _run(self) -> None:
        while self._strays:
            now = self._clock.monotonic()
            ready = [stray for stray in self._strays.values() if due(stray, now)]
            if ready:
                await self._round(ready)
            else:
                await self._sleep_until(min(stray.next_at for stray in self._strays.values()))
        self._task = None

    async def _sleep_until(self, when: float) -> None:
        self._wake.clear()
        sleeper = asyncio.ensure_future(self._clock.sleep(max(0.01, when - self._clock.monotonic())))
        waker = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait({sleeper, waker}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeper.cancel()
            waker.cancel()

    async def _round(self, ready: Sequence[Stray]) -> None:
        known = [stray for stray in ready if stray.runner_id is not None]
        unknown = [stray for stray in ready if stray.runner_id is None]
        found: dict[str, Runner] | None = None
        if len(unknown) >= LIST_FROM:
            found = await self._list()
            if found is None:
                self._postpone(unknown, None)
                unknown = []
        gate = asyncio.Semaphore(PARALLEL)

        async def guarded(stray: Stray) -> None:
            async with gate:
                try:
                    await self._resolve(stray, found)
                except Exception:  # a fault of ours: the others, and this one later, are resolved all the same
                    logger.exception("resolving %s failed", stray.name)
                    self._postpone([stray], None)

        await asyncio.gather(*(guarded(stray) for stray in [*known, *unknown]))

    async def _list(self) -> dict[str, Runner] | None:
        try:
            return {runner.name.lower(): runner for runner in await self._service.list_runners()}
        except ServiceError as error:
            logger.warning("cannot list runners to resolve strays: %s", error)
            return None

    def _postpone(self, strays: Sequence[Stray], retry_after: float | None) -> None:
        now = self._clock.monotonic()
        for stray in strays:
            if stray.name in self._strays:
                self._strays[stray.name] = after_failure(stray, now, retry_after, self._random.random)

    async def _resolve(self, stray: Stray, found: dict[str, Runner] | None) -> None:
        step, stray = await self._look(stray, found) if stray.runner_id is None else (Step.REMOVE, stray)
        if step is Step.REMOVE:
            step, stray = await self._remove(stray)
        if step is Step.CLOSED:
            self._settle(stray)
        elif stray.name in self._strays:
            self._strays[stray.name] = stray

    async def _look(self, stray: Stray, found: dict[str, Runner] | None) -> tuple[Step, Stray]:
        try:
            runner = await self._service.find_runner(stray.name) if found is None else found.get(stray.name.lower())
        except ServiceError as error:
            logger.info("cannot look for %s yet: %s", stray.name, error)
            later = after_failure(stray, self._clock.monotonic(), error.retry_after, self._random.random)
            return Step.AGAIN, later
        return after_look(stray, runner, self._clock.monotonic())

    async def _remove(self, stray: Stray) -> tuple[Step, Stray]:
        assert stray.runner_id is not None  # noqa: S101  # only looks that found it, or mints that told it, get here
        now = self._clock.monotonic()
        try:
            if await self._service.remove_runner(stray.runner_id):
                self.on_removed(RunnerRef(id=stray.runner_id, name=stray.name))
        except Conflict:
            return after_conflict(stray, now)
        except Rejected as error:
            logger.warning("cannot remove the unused runner %s: %s; it stays in the journal", stray.name, error)
            return Step.AGAIN, replace(stray, looks=stray.looks + 1, next_at=now + 60.0)
        except ServiceError as error:
            return Step.AGAIN, after_failure(stray, now, error.retry_after, self._random.random)
        self.removed += 1
        self._settle(stray)
        return Step.AGAIN, stray

    def _settle(self, stray: Stray) -> None:
        self._strays.pop(stray.name, None)
        self.settled += 1
        self._on_settled(stray)
