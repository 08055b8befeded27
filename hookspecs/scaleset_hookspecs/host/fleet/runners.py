"""The runners of a fleet: found, added up, and taken when they are due, at a cost that does not grow with the fleet."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

from scaleset_hookspecs.host.fleet.runner import Runner
from scaleset_hookspecs.host.fleet.values import Life
from scaleset_hookspecs.types import RunnerRef

__all__ = ["Counts", "Runners"]

REMEMBERED = 4096
"""Names of runners that are gone, so that late news of them is known to be late."""


class Counts(NamedTuple):
    """What runners add up to."""

    alive: int = 0
    """Their machine may be alive."""
    places: int = 0
    """They fill a place that the demand asks for."""
    registered: int = 0
    """They may be alive, and registered as far as we know."""
    busy: int = 0
    seen: int = 0
    """Online or busy."""
    idle: int = 0
    """Online, and ready for a job."""
    unsure: int = 0
    """Launched and not seen yet, or ended and nobody knows yet why: they may serve nothing."""
    unwanted: int = 0


def _of(runner: Runner) -> Counts:
    life = runner.life
    registered = runner.registered is not False
    return Counts(
        alive=not runner.ended,
        places=runner.place,
        registered=registered and not runner.ended,
        busy=life is Life.BUSY,
        seen=life in {Life.BUSY, Life.ONLINE},
        idle=life is Life.ONLINE and registered and runner.place,
        unsure=life in {Life.LAUNCHED, Life.ENDED} and runner.place and not runner.jobs,
        unwanted=runner.unwanted,
    )


class Runners:
    """Every runner that is known by name, oldest first.

    Whoever changes one that did not come from `find`, `add` or `due` says so by `touch`.
    """

    def __init__(self) -> None:
        self._known: dict[str, Runner] = {}
        self._names: dict[int, str] = {}
        self._gone: dict[str, None] = {}
        self._touched: dict[str, Runner] = {}
        self._counted: dict[str, Counts] = {}
        self._counts = Counts()
        self._queue: list[tuple[float, int, str]] = []
        self._queued: dict[str, float] = {}
        self._order = itertools.count()

    def __iter__(self) -> Iterator[Runner]:
        return iter(self._known.values())

    def __len__(self) -> int:
        return len(self._known)

    @property
    def counts(self) -> Counts:
        """What they add up to."""
        self._settle()
        return self._counts

    @property
    def next_due(self) -> float:
        """When the next one is due."""
        self._settle()
        while self._queue and not self._is_current(self._queue[0]):
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else math.inf

    def find(self, ref: RunnerRef) -> Runner | None:
        """Return the runner with that name, or else with that id."""
        key = _key(ref)
        runner = self._known.get(key)
        if runner is None and ref.id is not None:
            runner = self._known.get(self._names.get(ref.id, key))
        if runner is not None:
            self.touch(runner)
        return runner

    def is_gone(self, ref: RunnerRef) -> bool:
        """Whether it was known, and is gone."""
        return _key(ref) in self._gone

    def add(self, runner: Runner) -> Runner:
        """Take up a runner."""
        self._known[_key(runner.ref)] = runner
        runner.key = _key(runner.ref)
        return self.touch(runner)

    def touch(self, runner: Runner) -> Runner:
        """Note that a runner changes."""
        self._touched[runner.key] = runner
        return runner

    def forget(self, runner: Runner) -> None:
        """Let a runner go."""
        del self._known[runner.key]
        self._touched[runner.key] = runner
        self._queued.pop(runner.key, None)
        self._names.pop(runner.ref.id or 0, None)
        self._gone[runner.key] = None
        if len(self._gone) > REMEMBERED:
            del self._gone[next(iter(self._gone))]

    def due(self, now: float) -> list[Runner]:
        """Return the runners that are due."""
        found = {}
        while self.next_due <= now:
            key = heapq.heappop(self._queue)[2]
            found[key] = self._known[key]
            self._queued.pop(key)
        self._touched.update(found)
        return list(found.values())

    def _is_current(self, entry: tuple[float, int, str]) -> bool:
        return self._queued.get(entry[2]) == entry[0]

    def _settle(self) -> None:
        for key, runner in self._touched.items():
            there = self._known.get(key) is runner
            before, after = self._counted.pop(key, Counts()), _of(runner) if there else Counts()
            self._counts = Counts(
                *(total - old + new for total, old, new in zip(self._counts, before, after, strict=True))
            )
            if there:
                self._counted[key] = after
                if runner.ref.id is not None:
                    self._names[runner.ref.id] = key
                if runner.due != self._queued.get(key):
                    self._queued[key] = runner.due
                    heapq.heappush(self._queue, (runner.due, next(self._order), key))
        self._touched.clear()


def _key(ref: RunnerRef) -> str:
    return ref.name or f"the runner with id {ref.id}"
