"""Resolves unresolved mints: look, decide, remove; a few at a time, never in the way of a mint."""

from __future__ import annotations

import asyncio
import logging
import random as random_module
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from heapq import heappop, heappush
from typing import Any, Protocol

from scaleset_burst.journal import Change, State
from scaleset_burst.limits import Admission
from scaleset_burst.limits.budget import DEFAULT_PAUSE
from scaleset_burst.minting.call import Slot, taken
from scaleset_burst.minting.given import Given
from scaleset_burst.minting.names import Names, became
from scaleset_burst.minting.turns import Turns
from scaleset_burst.minting.unresolved import (
    Answering,
    Step,
    UnresolvedMint,
    after_absence,
    after_failure,
    after_list,
    after_lookup,
    after_refusal,
    due,
    joined,
)
from scaleset_client.clock import Clock, woken
from scaleset_client.failures import is_gone
from scaleset_client.types import Runner
from scaleset_hookspecs import FailureReason, JitConfig, RunnerRef, ScaleSetRef
from scaleset_hookspecs.errors import RateLimited, Rejected, ServiceError

__all__ = ["Cache", "Resolver", "RunnerService"]

logger = logging.getLogger(__name__)

PARALLEL = 8
"""A look-up begins only while fewer look-ups and removals are in flight, beside the mints."""

REMOVALS = 32
"""The same for removals, which come in hundreds after a host has died; with the mints they stay below the 100 requests
at once that GitHub documents (protocol 10.1)."""

LIST_FROM = 24
"""From this many unresolved mints due at once, one list of all runners shows most of those that are registered."""

LIST_SECONDS = 15.0
"""Runners are listed at most this often."""

ASKED_FOR = 5.0
"""Seconds before a name is looked for again that a call under way asks for."""


class RunnerService(Protocol):
    """What the resolver needs of the service."""

    async def find_runner(self, name: str) -> Runner | None:
        """Find a runner by name."""

    async def list_runners(self) -> tuple[Runner, ...]:
        """List all runners of the scope."""

    async def remove_runner(self, runner_id: int) -> bool:
        """Remove a registration; `False` if it was absent."""


class Cache(Protocol):
    """What minting asks the cache, and what it tells it."""

    async def re_resolve(self, scale_set: ScaleSetRef, *, dead_id: int) -> int:
        """Return the id that a scale set has now, since the service does not know the one we had."""

    def on_minted(self, config: JitConfig) -> None:
        """Hear of a runner that is registered now."""

    def on_runner_gone(self, runner: RunnerRef) -> None:
        """Hear of a registration that the service removed for us."""


class Resolver:
    """Owns the unresolved mints of one scope until each is settled, and then closed in the journal.

    Attributes:
        given: Runners that somebody was given: none of them is removed.
        removed: Registrations removed so far.
        settled: Unresolved mints settled so far.
    """

    def __init__(
        self,
        service: RunnerService,
        names: Names,
        admission: Admission,
        turns: Turns,
        cache: Cache,
        *,
        clock: Clock,
        random: random_module.Random,
    ) -> None:
        self._service = service
        self._names = names
        self._admission = admission
        self._turns = turns
        self._cache = cache
        self._clock = clock
        self._random = random
        self.given = Given()
        self._mints: dict[str, UnresolvedMint] = {}
        self._queue: list[tuple[float, str]] = []
        self._taken: set[str] = set()
        """Names that are due, and wait for their turn or are being looked for or removed."""
        self._removals: deque[str] = deque()
        self._lookups: deque[str] = deque()
        self._listing = False
        self._list_at = float("-inf")
        self._answering = Answering()
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._drained = False
        self.removed = 0
        self.settled = 0

    def __len__(self) -> int:
        """Return how many unresolved mints are not settled yet."""
        return len(self._mints)

    def add(self, mints: Iterable[UnresolvedMint]) -> None:
        """Take charge of unresolved mints; a known id is removed at once, a name is looked for when it is due."""
        for mint in mints:
            if (known := self._mints.get(mint.name)) is not None:
                self._known(replace(known, found=True))
            self._keep(mint if known is None else joined(known, mint))
        if self._mints and self._task is None and not self._drained:
            self._task = asyncio.create_task(self._run(), name="resolver")
        self._wake.set()

    def undo(self, config: JitConfig, slot: Slot | None = None) -> None:
        """Take charge of a config that nobody has, or will have: its registration is removed.

        Args:
            config: The config.
            slot: Waits for its name, to be minted under it again.
        """
        self.given.drop(config.runner_id)
        self._names.note([became(config, State.AMBIGUOUS)])
        set_id, runner_id = config.scale_set.id or 0, config.runner_id
        if slot is not None:
            slot.resolving = True
        self.add([UnresolvedMint(name=config.runner_name, scale_set_id=set_id, runner_id=runner_id, slot=slot)])

    def forget(self, names: Iterable[str]) -> None:
        """Leave names to somebody else who resolves them; what holds a place counts as registered."""
        for name in names:
            if (mint := self._mints.pop(name, None)) is not None:
                self._known(replace(mint, found=True))
                if mint.slot is not None:
                    why = f"another host resolves {name} now; ask again later"
                    mint.slot.call.refuse(mint.slot, FailureReason.UNAVAILABLE, why)

    async def drain(self, seconds: float) -> tuple[UnresolvedMint, ...]:
        """Settle what can be settled within `seconds`, then end; return the rest.

        What is returned, and what goes astray later, stays in the journal, and is resolved by the next start.
        """
        until = self._clock.monotonic() + seconds
        while any(due(mint, until) for mint in self._mints.values()) and self._clock.monotonic() < until:
            await self._clock.sleep(0.05)
        self._drained = True
        if self._task is not None:
            ending = {self._task, *self._tasks}
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            self._task = None
        return tuple(self._mints.values())

    # What is due

    async def _run(self) -> None:
        while self._mints:
            now = self._clock.monotonic()
            self._collect(now)
            await self._sleep_until(self._start(now))
        self._task = None

    def _collect(self, now: float) -> None:
        """Take what is due from the queue; a name whose time was changed stands in it more than once."""
        while self._queue and self._queue[0][0] <= now:
            _, name = heappop(self._queue)
            mint = self._mints.get(name)
            if mint is not None and name not in self._taken and due(mint, now):
                self._line_up(mint)

    def _line_up(self, mint: UnresolvedMint) -> None:
        self._taken.add(mint.name)
        (self._lookups if mint.runner_id is None else self._removals).append(mint.name)

    def _start(self, now: float) -> float:
        """Start as much as may be under way; return when there is more to do if nothing happens before."""
        next_due = self._queue[0][0] if self._queue else float("inf")
        if now < self._answering.waits_until:
            return self._answering.waits_until if self._removals or self._lookups else next_due
        most = 1 if self._answering.unavailable else REMOVALS
        while len(self._tasks) < most and (work := self._next(now)) is not None:
            task = asyncio.create_task(work, name="resolve")
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        return next_due

    def _next(self, now: float) -> Coroutine[Any, Any, None] | None:
        if self._removals:
            return self._guarded(self._removals.popleft(), self._remove)
        if self._listing or not self._lookups or len(self._tasks) >= PARALLEL:
            return None
        if len(self._lookups) >= LIST_FROM and now >= self._list_at:
            self._listing = True
            return self._list()
        return self._guarded(self._lookups.popleft(), self._look_up)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()

    async def _sleep_until(self, when: float) -> None:
        self._wake.clear()
        await woken(self._wake, max(0.01, min(when - self._clock.monotonic(), 3600.0)), self._clock)

    # What is done about one

    async def _guarded(
        self, name: str, work: Callable[[UnresolvedMint], Coroutine[Any, Any, UnresolvedMint | None]]
    ) -> None:
        """Do what is due about a name, unless it was settled or forgotten while it waited for its turn."""
        mint = self._mints.get(name)
        try:
            after = None if mint is None else await work(mint)
        except Exception:  # a fault of ours: the others, and this one later, are resolved all the same
            logger.exception("resolving %s failed", name)
            now = self._clock.monotonic()
            after = None if mint is None else after_failure(mint, now, 0.0, self._random.random)
        self._taken.discard(name)
        current = self._mints.get(name)
        if after is not None and current is mint:
            self._keep(after)
        elif current is not None and current is not mint:
            self._keep(current)  # it joined meanwhile

    async def _look_up(self, mint: UnresolvedMint) -> UnresolvedMint | None:
        asked_at = self._clock.monotonic()
        try:
            runner = await self._service.find_runner(mint.name)
        except ServiceError as error:
            if not is_gone(error):
                logger.info("cannot look for %s yet: %s", mint.name, error)
                return self._failed(mint, error, asked_at)
            runner = None
        self._answering.answered(self._clock.monotonic())
        if runner is not None and runner.name.lower() != mint.name.lower():
            logger.warning("looking for %s, the service answered with %s: not believed", mint.name, runner.name)
            return after_failure(mint, asked_at, 0.0, self._random.random)
        if runner is not None and self.given.has(runner.id, None):
            logger.error("%s is the runner %d, which somebody was given: left alone", runner.name, runner.id)
            return self._decide(Step.TAKEN, replace(mint, found=True))
        if not mint.awaited and self.given.is_asked(mint.name):  # what is found may be the next one of that name
            return replace(mint, next_at=asked_at + ASKED_FOR)
        return self._decide(*after_lookup(mint, runner, asked_at, answering_since=self._answering.since))

    def _decide(self, step: Step, mint: UnresolvedMint) -> UnresolvedMint | None:
        """Give a place back as soon as a look has shown the runner; return the unresolved mint if it is not settled."""
        if mint.found:
            mint = self._known(mint)
        if step not in {Step.CLOSED, Step.TAKEN}:
            return mint
        self._settle(mint, step)
        return None

    async def _remove(self, mint: UnresolvedMint) -> UnresolvedMint | None:
        assert mint.runner_id is not None  # noqa: S101  # only looks that found it, or mints that told it, get here
        asked_at = self._clock.monotonic()
        try:
            gone = await self._service.remove_runner(mint.runner_id)
        except Rejected as error:  # it has a job, or we may not
            self._answering.answered(self._clock.monotonic())
            logger.warning("cannot remove the unused runner %s: %s; it stays in the journal", mint.name, error)
            return after_refusal(mint, self._clock.monotonic(), self._random.random)
        except ServiceError as error:
            return self._failed(mint, error, asked_at)
        now = self._clock.monotonic()
        self._answering.answered(now)
        if not gone:
            return after_absence(mint, now, self._random.random)
        self._cache.on_runner_gone(RunnerRef(id=mint.runner_id, name=mint.name))
        self.removed += 1
        self._settle(mint, Step.CLOSED)
        return None

    def _failed(self, mint: UnresolvedMint, error: ServiceError, asked_at: float) -> UnresolvedMint:
        now = self._clock.monotonic()
        told = error.retry_after or (DEFAULT_PAUSE if isinstance(error, RateLimited) else 0.0)
        self._answering.failed(asked_at, now, told, self._random.random)
        return after_failure(mint, now, told, self._random.random)

    async def _list(self) -> None:
        """Find those that a list of all runners shows; what it does not show, looks by name have to settle."""
        try:
            shown = {runner.name.lower(): runner for runner in await self._service.list_runners()}
        except ServiceError as error:
            logger.info("cannot list runners, so each is looked for by name: %s", error)
            return
        finally:
            self._listing = False
            self._list_at = self._clock.monotonic() + LIST_SECONDS
        now = self._clock.monotonic()
        waiting, self._lookups = self._lookups, deque()
        self._taken.difference_update(waiting)
        for mint in [self._mints[name] for name in waiting if name in self._mints]:
            runner = shown.get(mint.name.lower())
            known = runner is not None and not self.given.has(runner.id, None)
            known = known and (mint.awaited or not self.given.is_asked(mint.name))
            after = self._decide(*after_lookup(mint, runner, now)) if known else after_list(mint, now)
            if after is None:
                continue
            self._mints[mint.name] = after
            if due(after, now):
                self._line_up(after)
            else:
                self._keep(after)

    # What becomes of it

    def _keep(self, mint: UnresolvedMint) -> None:
        self._mints[mint.name] = mint
        heappush(self._queue, (mint.next_at, mint.name))

    def _known(self, mint: UnresolvedMint) -> UnresolvedMint:
        """Note whether it is registered, once: its place within the limit can be used again, or counts as used."""
        if mint.held_until is not None:
            self._admission.budget.resolved(self._clock.monotonic(), mint.held_until, registered=mint.found)
            self._turns.changed.set()
        return replace(mint, held_until=None)

    def _settle(self, mint: UnresolvedMint, step: Step) -> None:
        self.settled += 1
        self._known(mint)
        current = self._mints.get(mint.name)
        if current is not None and current.slot is not mint.slot:
            return  # somebody waits for the name since: the next look decides
        self._mints.pop(mint.name, None)
        slot = mint.slot if mint.awaited else None
        if slot is not None:
            slot.resolving = False
        if slot is not None and step is Step.CLOSED:  # the name is free, and stays open: it is asked for again
            slot.call.queue.push_back([slot])
            self._turns.changed_for(slot.call.queue)
            return
        if slot is not None:
            slot.unanswered = False
            slot.call.refuse(slot, FailureReason.NAME_TAKEN, taken(mint.name))
        self._names.note([Change(name=mint.name, state=State.CLOSED, runner_id=mint.runner_id)])
