"""What is known of scale sets, runner groups, runners and statistics: answers with their certainty."""

import random as random_module
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from scaleset_burst.clock import Clock
from scaleset_burst.github.types import Runner, RunnerGroup, ScaleSet
from scaleset_burst.metadata.groups import Groups
from scaleset_burst.metadata.kinds import Kind, KindCounters, lifetimes
from scaleset_burst.metadata.memory import Memory
from scaleset_burst.metadata.mints import Mints
from scaleset_burst.metadata.resolving import Resolver
from scaleset_burst.metadata.runneranswers import RunnerAnswers
from scaleset_burst.metadata.runnerevents import RunnerEvents
from scaleset_burst.metadata.runners import Runners
from scaleset_burst.metadata.scalesets import ScaleSets, key_of
from scaleset_burst.metadata.secondlevel import Level
from scaleset_burst.metadata.service import MetadataService, SecondLevel
from scaleset_burst.metadata.settingsanswers import SettingsAnswers
from scaleset_burst.settings.model import CacheSettings
from scaleset_hookspecs import (
    Answer,
    JitConfig,
    JobCompleted,
    JobStarted,
    RunnerInfo,
    RunnerRef,
    ScaleSetRef,
    ScaleSetSettings,
    Statistics,
)

__all__ = ["Metadata"]


class Metadata:
    """The cache of one scope. Belongs to one loop; each step between two awaits is whole."""

    def __init__(
        self,
        service: MetadataService,
        settings: CacheSettings,
        *,
        clock: Clock,
        random: random_module.Random,
        second_level: SecondLevel | None = None,
        born: float | None = None,
    ) -> None:
        """Make an empty cache.

        Args:
            service: What is asked.
            settings: Lifetimes and bounds.
            clock: Where times come from.
            random: Where jitter comes from.
            second_level: A memory shared with other hosts of the scope.
            born: When the process began, in monotonic seconds, if another one may have minted before it.
        """
        self._clock = clock
        lives = lifetimes(settings)

        def memory(kind: Kind) -> Memory[Any, Any]:
            return Memory(
                kind,
                lifetime=lives[kind],
                stale_limit=settings.stale_limit,
                max_entries=settings.max_entries,
                clock=clock,
                random=random,
            )

        names: Memory[int, ScaleSet] = memory(Kind.SCALE_SET_NAME)
        of_settings: Memory[ScaleSetSettings, ScaleSet] = memory(Kind.SCALE_SET)
        groups: Memory[int, RunnerGroup] = memory(Kind.RUNNER_GROUP)
        of_runners: Memory[RunnerInfo, Runner] = memory(Kind.RUNNER)
        statistics: Memory[Statistics, Statistics] = memory(Kind.STATISTICS)
        self._level = level = Level(second_level, clock)
        self._memories: Mapping[Kind, Memory[Any, Any]] = MappingProxyType(
            {each.kind: each for each in (of_settings, names, groups, of_runners, statistics)}
        )
        self._sets = ScaleSets(
            service,
            Groups(service, groups, level, clock),
            level,
            names=names,
            settings=of_settings,
            statistics=statistics if settings.cache_statistics else None,
        )
        self._runners = Runners(
            service,
            of_runners,
            Mints(settings.runner_grace, born),
            keep=settings.cache_runner_info,
            max_entries=settings.max_entries,
        )
        self._settings_answers = SettingsAnswers(self._sets, clock)
        self._runner_answers = RunnerAnswers(self._runners, clock)
        self._resolver = Resolver(self._sets, clock)
        self._events = RunnerEvents(self._runners, clock)
        self.peek_settings = self._settings_answers.peek
        """Answer for settings at once; `None` if the service has to be asked: then await `scale_set_settings`."""

    # Questions

    async def scale_set_settings(self, ref: ScaleSetRef) -> Answer[ScaleSetSettings]:
        """Return the settings of a scale set; a failed look-up is an answer (`STALE` or `UNKNOWN`).

        Raises:
            Rejected: The credentials are refused.
        """
        return await self._settings_answers.ask(ref)

    async def scale_set_id(self, ref: ScaleSetRef) -> int:
        """Return the id to mint with; the group `default` costs no request, nor does an id that the host knows.

        Raises:
            NotFound: The service has no such scale set, or no such runner group.
            Rejected: The credentials are refused.
            Unavailable: The service cannot be asked, and nothing is remembered.
        """
        return await self._resolver.scale_set_id(ref)

    async def re_resolve(self, ref: ScaleSetRef, *, dead_id: int) -> int:
        """Return the id under the name now that the service answered 404 to `dead_id`; one look-up per dead id.

        Raises:
            NotFound: The name leads nowhere, or still to the dead id.
            Rejected: The credentials are refused.
            Unavailable: The service cannot be asked.
        """
        return await self._resolver.re_resolve(ref, dead_id=dead_id)

    async def runner_info(self, ref: ScaleSetRef, runner: RunnerRef) -> Answer[RunnerInfo]:
        """Say whether a runner is registered; never `ABSENT` for one that exists or may still appear.

        Raises:
            Rejected: The credentials are refused.
            UsageError: The runner has neither a name nor an id.
        """
        del ref  # ids and names of runners are unique in the whole scope (protocol 8.4)
        return await self._runner_answers.ask(runner)

    # Events

    def on_statistics(self, ref: ScaleSetRef, statistics: Statistics) -> None:
        """Keep the counters of a message, if they are to be kept and the scale set's id is known."""
        scale_set_id = self._id_of(ref)
        if self._sets.statistics is not None and scale_set_id is not None:
            self._sets.statistics.put(scale_set_id, statistics, said_at=self._clock.monotonic(), source="event")

    def on_job_started(self, ref: ScaleSetRef, event: JobStarted) -> None:
        """Mark the runner busy."""
        self._events.started(event.runner, self._id_of(ref))

    def on_job_completed(self, ref: ScaleSetRef, event: JobCompleted) -> None:
        """Forget the runner, if there was one: the next question asks the service."""
        del ref
        if event.runner is not None:
            self._events.completed(event.runner)

    def on_runner_removed(self, ref: ScaleSetRef, runner: RunnerRef) -> None:
        """Note what the host says: removed, or seen to be gone. Not believed of a runner that may still appear."""
        del ref
        self._events.removed(runner)

    def on_runner_gone(self, runner: RunnerRef) -> None:
        """Note that the service confirmed to us that a runner is gone."""
        self._events.gone(runner)

    def on_minted(self, config: JitConfig) -> None:
        """Note our own mint; of the config only the name and the ids are kept."""
        self._events.minted(config)

    # Upkeep

    def invalidate(self, kind: Kind | None = None, key: object | None = None) -> int:
        """Forget by kind and key, by kind, or everything; return how many entries went.

        Args:
            kind: All kinds if `None`.
            key: All of the kind if `None`; else a `ScaleSetRef` or an id of a scale set, the name of a runner group,
                or a `RunnerRef`, an id or a name of a runner.
        """
        if kind is None:
            return sum(self.invalidate(each) for each in self._memories)
        memory = self._memories[kind]
        if kind is Kind.RUNNER:
            return self._runners.drop_all() if key is None else int(self._runners.drop(_runner_ref(key)))
        self._sets.overtake_all()
        if isinstance(key, ScaleSetRef):
            key = key_of(key) if kind is Kind.SCALE_SET_NAME else self._id_of(key)
            if key is None:
                return 0  # its id is not known, so nothing is kept under it
        keys = [key] if key is not None else memory.keys_where(lambda _: True)
        if kind in {Kind.SCALE_SET_NAME, Kind.RUNNER_GROUP}:
            for each in keys:
                self._level.forget(kind, "/".join(each) if isinstance(each, tuple) else str(each))
        return int(memory.drop(key)) if key is not None else memory.drop_all()

    def invalid_elsewhere(self, kind: Kind, key: str) -> None:
        """Forget what another host of the scope found to be no longer true.

        Args:
            kind: The kind.
            key: As the second level spells it: of a scale set its group, a slash and its name.
        """
        self._sets.overtake_all()
        place: object = key
        if kind is Kind.SCALE_SET_NAME:
            group, _, name = key.partition("/")
            ref = ScaleSetRef(name=name, runner_group=group)
            place = key_of(ref)
            self._memories[Kind.SCALE_SET].drop(self._id_of(ref))
        self._memories[kind].drop(place)

    def doubt(self) -> None:
        """Call no scale set and no runner group fresh: other hosts of the scope may have said so unheard."""
        self._sets.overtake_all()
        for kind in (Kind.SCALE_SET, Kind.SCALE_SET_NAME, Kind.RUNNER_GROUP):
            self._memories[kind].doubt_all()

    @property
    def counters(self) -> Mapping[Kind, KindCounters]:
        """What happened so far, by kind."""
        return MappingProxyType({kind: memory.counters for kind, memory in self._memories.items()})

    async def aclose(self) -> None:
        """Cancel the look-ups under way; whoever waits for one is told that the service is unavailable."""
        for memory in self._memories.values():
            await memory.flights.aclose()

    def _id_of(self, ref: ScaleSetRef) -> int | None:
        question = self._sets.question(ref)
        if isinstance(question, int):
            return question
        entry = self._sets.names.get(question)
        return None if entry is None else entry.value


def _runner_ref(key: object) -> RunnerRef:
    if isinstance(key, RunnerRef):
        return key
    return RunnerRef(id=key) if isinstance(key, int) else RunnerRef(name=str(key))
