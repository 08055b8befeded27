"""What is known of scale sets, runner groups, runners and statistics: answers with their certainty."""

import random as random_module
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from scaleset_burst.cache.groups import Groups
from scaleset_burst.cache.kinds import Kind, KindCounters, lifetimes
from scaleset_burst.cache.mints import Mints
from scaleset_burst.cache.readthrough import Facts, LookupResult
from scaleset_burst.cache.runners import Runners
from scaleset_burst.cache.scalesets import ScaleSets, key_of
from scaleset_burst.cache.service import MetadataService, SharedCache
from scaleset_burst.cache.shared import SharedLookups
from scaleset_burst.settings.model import CacheSettings
from scaleset_client.clock import Clock
from scaleset_client.singleflight import SingleFlight
from scaleset_hookspecs import (
    Answer,
    JobCompleted,
    JobStarted,
    RunnerInfo,
    RunnerRef,
    ScaleSetRef,
    ScaleSetSettings,
    Statistics,
    Unavailable,
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
        shared: SharedCache | None = None,
        born: float | None = None,
    ) -> None:
        """Make an empty cache.

        Args:
            service: What is asked.
            settings: Lifetimes and bounds.
            clock: Where times come from.
            random: Where jitter comes from.
            shared: A cache that the hosts of the scope share.
            born: When the process began, in monotonic seconds, if another one may have minted before it.
        """
        self._clock = clock
        lives = lifetimes(settings)

        self._flights: SingleFlight[LookupResult[Any]] = SingleFlight(_closed)

        def facts(kind: Kind) -> Facts[Any, Any]:
            return Facts(
                kind,
                self._flights,
                lifetime=lives[kind],
                stale_limit=settings.stale_limit,
                max_entries=settings.max_entries,
                clock=clock,
                random=random,
            )

        self._facts: Mapping[Kind, Facts[Any, Any]] = MappingProxyType({kind: facts(kind) for kind in Kind})
        self._shared = SharedLookups(shared, clock)
        self._sets = ScaleSets(
            service,
            Groups(service, self._facts[Kind.RUNNER_GROUP], self._shared),
            self._shared,
            clock,
            names=self._facts[Kind.SCALE_SET_NAME],
            settings=self._facts[Kind.SCALE_SET],
            statistics=self._facts[Kind.STATISTICS] if settings.cache_statistics else None,
        )
        self._runners = Runners(
            service,
            self._facts[Kind.RUNNER],
            Mints(settings.runner_grace, born),
            clock,
            keep=settings.cache_runner_info,
            max_entries=settings.max_entries,
        )
        self.peek_settings = self._sets.peek
        """Answer for settings at once; `None` if the service has to be asked: then await `scale_set_settings`."""
        self.on_minted = self._runners.minted
        """Note our own mint; of the config only the name and the ids are kept."""
        self.on_runner_gone = self._runners.gone
        """Note that the service confirmed to us that a runner is gone."""

    # Questions

    async def scale_set_settings(self, ref: ScaleSetRef) -> Answer[ScaleSetSettings]:
        """Return the settings of a scale set; a failed look-up is an answer (`STALE` or `UNKNOWN`).

        Raises:
            Rejected: The credentials are refused.
        """
        return await self._sets.answer(ref)

    async def scale_set_id(self, ref: ScaleSetRef) -> int:
        """Return the id to mint with; the group `default` costs no request, nor does an id that the host knows.

        Raises:
            NotFound: The service has no such scale set, or no such runner group.
            Rejected: The credentials are refused.
            Unavailable: The service cannot be asked, and nothing is remembered.
        """
        return await self._sets.id_of(ref)

    async def re_resolve(self, ref: ScaleSetRef, *, dead_id: int) -> int:
        """Return the id under the name now that the service answered 404 to `dead_id`; one look-up per dead id.

        Raises:
            NotFound: The name leads nowhere, or still to the dead id.
            Rejected: The credentials are refused.
            Unavailable: The service cannot be asked.
        """
        return await self._sets.re_resolve(ref, dead_id=dead_id)

    async def runner_info(self, ref: ScaleSetRef, runner: RunnerRef) -> Answer[RunnerInfo]:
        """Say whether a runner is registered; never `ABSENT` for one that exists or may still appear.

        Raises:
            Rejected: The credentials are refused.
            UsageError: The runner has neither a name nor an id.
        """
        del ref  # ids and names of runners are unique in the whole scope (protocol 8.4)
        return await self._runners.answer(runner)

    # Events

    def on_statistics(self, ref: ScaleSetRef, statistics: Statistics) -> None:
        """Keep the counters of a message, if they are to be kept and the scale set's id is known."""
        scale_set_id = self._id_of(ref)
        if self._sets.statistics is not None and scale_set_id is not None:
            self._sets.statistics.put(scale_set_id, statistics, said_at=self._clock.monotonic(), source="event")

    def on_job_started(self, ref: ScaleSetRef, event: JobStarted) -> None:
        """Mark the runner busy."""
        self._runners.started(event.runner, self._id_of(ref))

    def on_job_completed(self, ref: ScaleSetRef, event: JobCompleted) -> None:
        """Forget the runner, if there was one: the next question asks the service."""
        del ref
        if event.runner is not None:
            self._runners.completed(event.runner)

    def on_runner_removed(self, ref: ScaleSetRef, runner: RunnerRef) -> None:
        """Note what the host says: removed, or seen to be gone. Not believed of a runner that may still appear."""
        del ref
        self._runners.removed(runner)

    # Housekeeping

    def invalidate(self, kind: Kind | None = None, key: object | None = None) -> int:
        """Forget by kind and key, by kind, or everything; return how many entries went.

        Args:
            kind: All kinds if `None`.
            key: All of the kind if `None`; else a `ScaleSetRef` or an id of a scale set, the name of a runner group,
                or a `RunnerRef`, an id or a name of a runner.
        """
        if kind is None:
            return sum(self.invalidate(each) for each in self._facts)
        facts = self._facts[kind]
        if kind is Kind.RUNNER:
            return self._runners.drop_all() if key is None else int(self._runners.drop(_runner_ref(key)))
        self._sets.invalidate_all()
        if isinstance(key, ScaleSetRef):
            key = key_of(key) if kind is Kind.SCALE_SET_NAME else self._id_of(key)
            if key is None:
                return 0  # its id is not known, so nothing is kept under it
        keys = [key] if key is not None else facts.keys_where(lambda _: True)
        if kind in {Kind.SCALE_SET_NAME, Kind.RUNNER_GROUP}:
            for each in keys:
                self._shared.forget(kind, "/".join(each) if isinstance(each, tuple) else str(each))
        return int(facts.drop(key)) if key is not None else facts.drop_all()

    def invalid_elsewhere(self, kind: Kind, key: str) -> None:
        """Forget what another host of the scope found to be no longer true.

        Args:
            kind: The kind.
            key: As the shared cache spells it: of a scale set its group, a slash and its name.
        """
        self._sets.invalidate_all()
        place: object = key
        if kind is Kind.SCALE_SET_NAME:
            group, _, name = key.partition("/")
            ref = ScaleSetRef(name=name, runner_group=group)
            place = key_of(ref)
            self._facts[Kind.SCALE_SET].drop(self._id_of(ref))
        self._facts[kind].drop(place)

    def invalidate_all(self) -> None:
        """Call no scale set and no runner group fresh: other hosts of the scope may have said so unheard."""
        self._sets.invalidate_all()
        for kind in (Kind.SCALE_SET, Kind.SCALE_SET_NAME, Kind.RUNNER_GROUP):
            self._facts[kind].expire_all()

    @property
    def counters(self) -> Mapping[Kind, KindCounters]:
        """What happened so far, by kind."""
        return MappingProxyType({kind: facts.counters for kind, facts in self._facts.items()})

    async def aclose(self) -> None:
        """Cancel the look-ups under way; whoever waits for one is told that the service is unavailable."""
        await self._flights.aclose()

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


def _closed() -> Unavailable:
    return Unavailable("the metadata cache is closed: the host is stopping")
