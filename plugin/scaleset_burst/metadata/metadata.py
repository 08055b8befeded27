"""What is known of scale sets, groups and runners: answers with certainty, kept true by events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from random import Random
from typing import Any, Protocol, TypeAlias

from scaleset_burst.clock import Clock
from scaleset_burst.github.types import Runner, RunnerGroup, ScaleSet
from scaleset_burst.metadata.shelf import Shelf, ShelfCounters
from scaleset_burst.metadata.sightings import Sightings
from scaleset_burst.settings import CacheSettings
from scaleset_hookspecs.errors import NotFound, Unavailable
from scaleset_hookspecs.types import (
    Answer,
    Certainty,
    JitConfig,
    JobCompleted,
    JobStarted,
    RunnerInfo,
    RunnerRef,
    ScaleSetRef,
    ScaleSetSettings,
    Statistics,
)

__all__ = ["Kind", "Metadata", "MetadataService"]

DEFAULT_GROUP_ID = 1
"""The group named `default` needs no look-up (protocol section 1)."""

Key: TypeAlias = tuple[str, str]


class Kind(StrEnum):
    """The kinds of things remembered."""

    SCALE_SET = "scale_set"
    RUNNER_GROUP = "runner_group"
    RUNNER = "runner"
    STATISTICS = "statistics"


class MetadataService(Protocol):
    """What this room needs of the service."""

    async def get_scale_set_by_name(self, name: str, runner_group_id: int = 1) -> ScaleSet | None:
        """Find a scale set."""

    async def get_runner_group(self, name: str) -> RunnerGroup:
        """Find a runner group."""

    async def get_runner(self, runner_id: int) -> Runner:
        """Read a runner."""

    async def find_runner(self, name: str) -> Runner | None:
        """Find a runner by name."""


class Metadata:
    """The cache of one scope. Belongs to one loop."""

    def __init__(self, service: MetadataService, settings: CacheSettings, *, clock: Clock, random: Random) -> None:
        self._service = service
        self._clock = clock

        def shelf(lifetime: float | None, *, keep: bool = True) -> Shelf[Any]:
            return Shelf(
                lifetime=settings.ttl if lifetime is None else lifetime,
                stale_limit=settings.stale_limit,
                size=settings.max_entries,
                clock=clock,
                chance=random,
                keep=keep,
            )

        self._scale_sets: Shelf[ScaleSetSettings] = shelf(settings.scale_set_ttl)
        self._groups: Shelf[int] = shelf(settings.runner_group_ttl)
        self._runners: Shelf[RunnerInfo] = shelf(settings.runner_ttl, keep=settings.cache_runner_info)
        self._statistics: Shelf[Statistics] = shelf(settings.statistics_ttl, keep=settings.cache_statistics)
        self._keep_statistics = settings.cache_statistics
        self._sightings = Sightings(settings.max_entries, settings.runner_grace)
        self._replaced: dict[tuple[Key, int], int] = {}
        self._shelves: Mapping[Kind, Shelf[Any]] = {
            Kind.SCALE_SET: self._scale_sets,
            Kind.RUNNER_GROUP: self._groups,
            Kind.RUNNER: self._runners,
            Kind.STATISTICS: self._statistics,
        }

    # Questions

    def peek_settings(self, ref: ScaleSetRef) -> Answer[ScaleSetSettings] | None:
        """Answer at once from a warm cache; `None`: ask `scale_set_settings`."""
        answer = self._scale_sets.peek(_key(ref))
        return self._with_statistics(ref, answer) if answer is not None and self._keep_statistics else answer

    async def scale_set_settings(self, ref: ScaleSetRef) -> Answer[ScaleSetSettings]:
        """Return the settings of a scale set, with certainty and age.

        Raises:
            Rejected: The service refuses us.
        """
        answer = await self._scale_sets.ask(_key(ref), lambda: self._fetch_scale_set(ref))
        return self._with_statistics(ref, answer) if self._keep_statistics else answer

    async def scale_set_id(self, ref: ScaleSetRef) -> int:
        """Return the id to mint with; stale knowledge is good enough, since a dead id heals by `re_resolve`.

        Raises:
            NotFound: The service says that there is no such scale set.
            Unavailable: Nobody knows, and the service cannot be asked.
        """
        if ref.id is not None and self._scale_sets.known(_key(ref)) is None:
            return ref.id
        answer = await self.scale_set_settings(ref)
        if answer.value is not None:
            return answer.value.id
        if answer.certainty is Certainty.ABSENT:
            raise NotFound(
                f"there is no scale set {ref.name!r} in the runner group {ref.runner_group!r}; "
                f"create it, or correct the name",
                status=404,
            )
        raise Unavailable(f"the scale set {ref.name!r} cannot be looked up: {answer.reason}")

    async def re_resolve(self, ref: ScaleSetRef, *, dead_id: int) -> int:
        """Resolve a name once more after the service said 404 to its id; once for each dead id.

        Raises:
            NotFound: The name leads nowhere, or to the same dead id.
        """
        key = _key(ref)
        if (key, dead_id) in self._replaced:
            return self._replaced[key, dead_id]
        remembered = self._scale_sets.known(key)
        if remembered is None or remembered.id == dead_id:
            self._scale_sets.evict(key)
        found = await self.scale_set_id(replace(ref, id=None))
        if found == dead_id:
            raise NotFound(
                f"the scale set {ref.name!r} (id {dead_id}) cannot be minted for: the service says 404", status=404
            )
        if len(self._replaced) > 1000:
            self._replaced.clear()
        self._replaced[key, dead_id] = found
        return found

    async def runner_info(self, ref: ScaleSetRef, runner: RunnerRef) -> Answer[RunnerInfo]:
        """Say whether a runner is registered; absent only if the service said so and it can be believed.

        Raises:
            Rejected: The service refuses us.
        """
        del ref
        key = self._runner_key(runner)
        if key is None:
            return Answer(certainty=Certainty.UNKNOWN, reason="neither a name nor an id was given")
        answer = await self._runners.ask(key, lambda: self._fetch_runner(runner))
        if answer.certainty is Certainty.ABSENT:
            doubt = self._sightings.doubt(runner, self._clock.monotonic())
            if doubt is not None:
                return Answer(certainty=Certainty.UNKNOWN, reason=doubt)
            self._sightings.forget(runner)
        elif answer.value is not None and answer.certainty is Certainty.FRESH:
            self._sightings.seen(answer.value.name)
        return answer

    # Events

    def on_statistics(self, ref: ScaleSetRef, statistics: Statistics) -> None:
        """Remember a message's counters, if the host wants them remembered."""
        self._statistics.put(_key(ref), statistics, source="event")

    def on_job_started(self, ref: ScaleSetRef, event: JobStarted) -> None:
        """A runner with a job is online and busy, whatever was remembered."""
        key = self._runner_key(event.runner)
        if key is None:
            return
        self._sightings.seen(key[1]) if key[0] == "name" else None
        if event.runner.name and event.runner.id is not None:
            info = RunnerInfo(
                id=event.runner.id, name=event.runner.name, scale_set_id=self._set_id(ref), status="online", busy=True
            )
            self._runners.put(key, info, source="event")
        else:
            self._runners.evict(key)

    def on_job_completed(self, ref: ScaleSetRef, event: JobCompleted) -> None:
        """A runner whose job is over goes away soon, or has gone: the next question asks the service."""
        del ref
        if event.runner is not None:
            self._forget(event.runner)

    def on_runner_removed(self, ref: ScaleSetRef, runner: RunnerRef) -> None:
        """The host removed a runner: the next question asks the service."""
        del ref
        self._forget(runner)

    def on_minted(self, config: JitConfig) -> None:
        """We minted a runner: it exists, even if no look-up shows it yet."""
        self._sightings.minted(config.runner_name, config.runner_id, self._clock.monotonic())
        self._runners.evict(("name", config.runner_name.lower()))

    def invalidate(self, kind: Kind | None = None, key: Key | None = None) -> int:
        """Forget one key of a kind, a kind, or everything; return how many entries that were."""
        if kind is not None and key is not None:
            return int(self._shelves[kind].evict(key))
        return sum(shelf.clear() for each, shelf in self._shelves.items() if kind in {None, each})

    @property
    def counters(self) -> Mapping[Kind, ShelfCounters]:
        """What happened so far, by kind."""
        return {kind: shelf.counters for kind, shelf in self._shelves.items()}

    async def aclose(self) -> None:
        """Cancel look-ups under way."""
        for shelf in self._shelves.values():
            await shelf.aclose()

    # Look-ups

    async def _group_id(self, name: str) -> int:
        if name.lower() == "default":
            return DEFAULT_GROUP_ID
        answer = await self._groups.ask((name.lower(), ""), lambda: self._fetch_group(name))
        if answer.value is None:
            raise Unavailable(f"the runner group {name!r} cannot be looked up: {answer.reason}")
        return answer.value

    async def _fetch_group(self, name: str) -> int:
        return (await self._service.get_runner_group(name)).id

    async def _fetch_scale_set(self, ref: ScaleSetRef) -> ScaleSetSettings | None:
        group_id = await self._group_id(ref.runner_group)
        found = await self._service.get_scale_set_by_name(ref.name, group_id)
        if found is None:
            return None
        if found.statistics is not None:
            self._statistics.put(_key(ref), found.statistics, source="service")
        return ScaleSetSettings(
            id=found.id,
            name=found.name,
            runner_group_id=found.runner_group_id or group_id,
            runner_group_name=found.runner_group_name or ref.runner_group,
            labels=found.labels,
            disable_update=found.disable_update,
            created_at=found.created_at,
        )

    async def _fetch_runner(self, runner: RunnerRef) -> RunnerInfo | None:
        found: Runner | None
        if runner.id is not None:
            try:
                found = await self._service.get_runner(runner.id)
            except NotFound:
                found = None
        else:
            found = await self._service.find_runner(runner.name or "")
        if found is None:
            return None
        return RunnerInfo(
            id=found.id, name=found.name, scale_set_id=found.scale_set_id, status=found.status, busy=found.busy
        )

    def _with_statistics(self, ref: ScaleSetRef, answer: Answer[ScaleSetSettings]) -> Answer[ScaleSetSettings]:
        statistics = self._statistics.peek(_key(ref))
        if answer.value is None or statistics is None:
            return answer
        return replace(answer, value=replace(answer.value, statistics=statistics.value))

    def _runner_key(self, runner: RunnerRef) -> Key | None:
        """Return one key for a runner however it is named, as far as we know both of its names."""
        sighting = self._sightings.find(runner)
        if sighting is not None:
            return "name", sighting.name.lower()
        if runner.name:
            return "name", runner.name.lower()
        return ("id", str(runner.id)) if runner.id is not None else None

    def _forget(self, runner: RunnerRef) -> None:
        key = self._runner_key(runner)
        if key is not None:
            self._runners.evict(key)
        if runner.id is not None:
            self._runners.evict(("id", str(runner.id)))
        self._sightings.forget(runner)

    def _set_id(self, ref: ScaleSetRef) -> int | None:
        known = self._scale_sets.known(_key(ref))
        return ref.id if known is None else known.id


def _key(ref: ScaleSetRef) -> Key:
    return ref.runner_group.lower(), ref.name.lower()
