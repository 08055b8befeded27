"""Scale sets: settings, ids and counters, the look-ups by name and by id, and what each of them teaches."""

from collections.abc import Awaitable
from dataclasses import replace
from typing import TypeAlias, cast

from cachetools import LRUCache

from scaleset_burst.cache.entries import NEVER, Entry
from scaleset_burst.cache.groups import Groups
from scaleset_burst.cache.kinds import Kind
from scaleset_burst.cache.readthrough import Facts, Lookup, LookupResult, Question, absent, just_said
from scaleset_burst.cache.service import MetadataService
from scaleset_burst.cache.shared import Dated, SharedLookups
from scaleset_client.clock import Clock
from scaleset_client.types import ScaleSet
from scaleset_hookspecs import Answer, NotFound, Rejected, ScaleSetRef, ScaleSetSettings, Statistics

__all__ = ["Key", "ScaleSets", "key_of"]

Key: TypeAlias = tuple[str, str]
"""Runner group and name, as the host writes them. Spellings are kept apart: whether case counts is not known."""


def key_of(ref: ScaleSetRef) -> Key:
    """Return the key of a scale set's name; the group `default` has one spelling."""
    group = ref.runner_group
    return ("default" if group.lower() == "default" else group, ref.name)


class ReplacedIds:
    """Which ids of scale sets are dead, and which live id took their place under the same name.

    Ids are never given twice, so what is dead stays dead. Bounded: the least recently used is forgotten.
    """

    def __init__(self, maxsize: int = 1000) -> None:
        self._replaced: LRUCache[int, int | None] = LRUCache(maxsize)

    def died(self, dead_id: int) -> None:
        """Note that the service no longer knows an id."""
        self._replaced.setdefault(dead_id, None)

    def replaced(self, dead_id: int, live_id: int) -> None:
        """Note the id that stands under the dead one's name."""
        if live_id != dead_id:
            self._replaced[dead_id] = live_id
            self._replaced.pop(live_id, None)  # the service just named it: it lives, whatever was thought of it

    def is_dead(self, scale_set_id: int) -> bool:
        """Return whether the service said that it does not know this id."""
        return scale_set_id in self._replaced

    def living(self, scale_set_id: int) -> int:
        """Return the id to use for one that a caller may have kept too long."""
        for _ in range(len(self._replaced)):
            live_id = self._replaced.get(scale_set_id)
            if live_id is None:
                break
            scale_set_id = live_id
        return scale_set_id


class ScaleSets:
    """Three kinds of facts that one look-up fills together: ids by name, settings by id, counters by id."""

    def __init__(
        self,
        service: MetadataService,
        groups: Groups,
        shared: SharedLookups,
        clock: Clock,
        *,
        names: Facts[int, ScaleSet],
        settings: Facts[ScaleSetSettings, ScaleSet],
        statistics: Facts[Statistics, Statistics] | None,
    ) -> None:
        self.names = names
        self.settings = settings
        self.statistics = statistics
        self.replaced_ids = ReplacedIds()
        self._service = service
        self._groups = groups
        self._shared = shared
        self._clock = clock

    # Questions

    def peek(self, ref: ScaleSetRef) -> Answer[ScaleSetSettings] | None:
        """Answer for settings at once; `None` if the service has to be asked: then await `answer`."""
        try:
            answer = self.settings.peek(_SettingsQuestion(self, ref, self._clock.monotonic()))
        except Rejected:
            return None  # `answer` raises it: what decides about a hook must not raise
        return None if answer is None else answer[0]

    async def answer(self, ref: ScaleSetRef) -> Answer[ScaleSetSettings]:
        """Answer for settings.

        Raises:
            Rejected: The credentials are refused.
        """
        answer, _ = await self.settings.ask(lambda: _SettingsQuestion(self, ref, self._clock.monotonic()))
        return answer

    async def id_of(self, ref: ScaleSetRef) -> int:
        """Return the id to mint with. A stale one is good enough: a dead one is answered with 404 and replaced.

        Raises:
            NotFound: The service has no such scale set, or no such runner group.
            Rejected: The credentials are refused.
            Unavailable: The service cannot be asked, and nothing is remembered.
        """
        key = self.question(ref)
        return key if isinstance(key, int) else await self._id_under(key)

    async def re_resolve(self, ref: ScaleSetRef, *, dead_id: int) -> int:
        """Return the id that stands under the name now that the service answered 404 to `dead_id`.

        Any number of callers cost one look-up for each dead id.

        Raises:
            NotFound: The name leads nowhere, or still to the dead id.
            Rejected: The credentials are refused.
            Unavailable: The service cannot be asked.
        """
        key = key_of(ref)
        live = self.replaced_ids.living(dead_id)
        if live != dead_id and not self.replaced_ids.is_dead(live):
            return live
        if not self.replaced_ids.is_dead(dead_id):
            self.bury(dead_id)
            self.names.invalidate(key)  # a look-up under way began before the 404
        known = self.names.get(key)
        # A name that is still known has been looked up since, and leads elsewhere.
        found = known.value if known is not None and known.value is not None else await self._id_under(key)
        if found == dead_id:
            self.bury(dead_id)
            raise NotFound(
                f"the scale set {ref.name!r} is listed with the id {dead_id}, which the service does not know",
                status=404,
            )
        self.replaced_ids.replaced(dead_id, found)
        return found

    def question(self, ref: ScaleSetRef) -> Key | int:
        """Return what to ask for: the id that the caller has, unless it is known to be dead; else the name."""
        if ref.id is not None:
            scale_set_id = self.replaced_ids.living(ref.id)
            if not self.replaced_ids.is_dead(scale_set_id):
                return scale_set_id
        return key_of(ref)

    # Events

    def bury(self, dead_id: int) -> None:
        """Forget everything about an id that the service no longer knows."""
        self.replaced_ids.died(dead_id)
        self.settings.drop(dead_id)
        for key in self.names.keys_where(lambda kept: kept == dead_id):
            self.names.drop(key)
            self._shared.forget(Kind.SCALE_SET_NAME, "/".join(cast("Key", key)))
        if self.statistics is not None:
            self.statistics.drop(dead_id)

    def invalidate_all(self) -> None:
        """Rely on no look-up under way: one of either sort teaches more than its own key."""
        self.names.invalidate_all()
        self.settings.invalidate_all()

    # Look-ups

    def by_name(self, key: Key) -> Lookup[ScaleSet]:
        """Return how to look a name up."""
        return Lookup(key, lambda: self._fetch_by_name(key), lambda result: self._learn_by_name(key, result))

    def by_id(self, scale_set_id: int) -> Lookup[ScaleSet]:
        """Return how to read a scale set."""
        return Lookup(
            scale_set_id,
            lambda: self._fetch_by_id(scale_set_id),
            lambda result: self._learn_by_id(scale_set_id, result),
        )

    async def _id_under(self, key: Key) -> int:
        found, _ = await self.names.value(
            lambda: _IdQuestion(self, key), f"scale set {key[1]!r} in the group {key[0]!r}"
        )
        return found

    def _fetch_by_id(self, scale_set_id: int) -> Awaitable[ScaleSet | None]:
        return self._service.get_scale_set(scale_set_id)

    async def _fetch_by_name(self, key: Key) -> ScaleSet | Dated[ScaleSet] | None:
        return await self._shared.scale_set(
            key,
            self.names.lifetime,
            lambda: self._ask_for_name(key),
            lambda found: not self.replaced_ids.is_dead(found.id),
        )

    async def _ask_for_name(self, key: Key) -> ScaleSet | None:
        known = self.names.get(key)
        found = await self._ask_group_for_name(key)
        if found is not None or known is None or known.value is None or self.replaced_ids.is_dead(known.value):
            return found
        return await self._still_named(key, known.value)

    async def _still_named(self, key: Key, known_id: int) -> ScaleSet | None:
        """Ask for the scale set that had the name by its id: one list that misses it is no proof that it is gone."""
        found = (await self.settings.look_up(self.by_id(known_id))).found
        group_id, _ = await self._groups.id_of(key[0])
        if found is None or (found.name.lower(), found.runner_group_id) != (key[1].lower(), group_id):
            return None
        return found if found.runner_group_name else replace(found, runner_group_name=key[0])

    async def _ask_group_for_name(self, key: Key) -> ScaleSet | None:
        group, name = key
        group_id, remembered = await self._groups.id_of(group)
        if not remembered:
            return await self._in_group(group, name, group_id)
        refused: NotFound | None = None
        try:
            found = await self._in_group(group, name, group_id)
        except NotFound as error:
            found, refused = None, error
        if found is not None:
            return found
        # A remembered group may be dead: look it up once more before believing that it is empty.
        self._groups.facts.drop(group)
        again, _ = await self._groups.id_of(group)
        if again != group_id:
            return await self._in_group(group, name, again)
        if refused is not None:
            raise refused
        return None

    async def _in_group(self, group: str, name: str, group_id: int) -> ScaleSet | None:
        found = await self._service.get_scale_set_by_name(name, group_id)
        if found is not None and not found.runner_group_name:
            return replace(found, runner_group_id=group_id, runner_group_name=group)
        return found

    def _learn_by_name(self, key: Key, result: LookupResult[ScaleSet]) -> None:
        if result.found is None:
            entry = self.names.get(key)
            self.names.drop(key)
            if entry is not None and entry.value is not None:
                # Not buried: it may live on under another name, or in another group.
                self.settings.drop(entry.value)
            return
        self.names.put(key, result.found.id, said_at=result.asked_at)
        self._learn(result.found, result.asked_at)

    def _learn_by_id(self, scale_set_id: int, result: LookupResult[ScaleSet]) -> None:
        if result.found is None:
            self.bury(scale_set_id)
        else:
            self._learn(result.found, result.asked_at)

    def _learn(self, found: ScaleSet, asked_at: float) -> None:
        self.settings.put(found.id, _settings(found), said_at=asked_at)
        if self.statistics is None:
            return
        # That it said none is kept, too, or every question would ask again for what it does not say.
        if found.statistics is not None or self.statistics.get(found.id) is None:
            self.statistics.put(found.id, found.statistics, said_at=asked_at)


class _IdQuestion(Question[int, ScaleSet]):
    """The id of a scale set, by its name."""

    def __init__(self, sets: ScaleSets, key: Key) -> None:
        self.counted = self.asked = sets.names
        self.key = self._name = key
        self.kept = sets.names.get(key)
        self._sets = sets

    def lookup(self) -> Lookup[ScaleSet]:
        return self._sets.by_name(self._name)

    def told(self, result: LookupResult[ScaleSet], now: float) -> Answer[int] | None:
        if result.found is None:
            return absent(result.reason or "", age=now - result.asked_at)
        return just_said(result.found.id, result.asked_at, self.asked.lifetime, now)


class _SettingsQuestion(Question[ScaleSetSettings, ScaleSet]):
    """The settings of a scale set, by name or by id, with its counters if they are kept."""

    __slots__ = ("_id", "_name", "_ref", "_sets")

    def __init__(self, sets: ScaleSets, ref: ScaleSetRef, now: float) -> None:
        self._sets = sets
        self._ref = ref
        self._id: int | None = None
        self._name: Key = key_of(ref)
        self.counted = sets.settings
        self.key = sets.question(ref)
        self.kept = None
        if isinstance(self.key, int):
            self._id, self.asked = self.key, sets.settings
            self.kept = self._completed(sets.settings.get(self.key), now)
            return
        self.asked = sets.names
        name = sets.names.get(self.key)
        if name is not None and name.value is not None:
            entry = sets.settings.get(name.value)
            self.kept = self._completed(None if entry is None else _no_fresher(entry, name), now)

    def lookup(self) -> Lookup[ScaleSet]:
        return self._sets.by_name(self._name) if self._id is None else self._sets.by_id(self._id)

    def _completed(self, entry: Entry[ScaleSetSettings] | None, now: float) -> Entry[ScaleSetSettings] | None:
        """Return the entry with the counters, if they are kept; without counters it is not all that is asked for."""
        facts = self._sets.statistics
        if facts is None or entry is None or entry.value is None:
            return entry
        counted = facts.get(entry.value.id)
        if counted is None:
            return replace(entry, complete_until=NEVER)
        fresh = counted.value if now < counted.fresh_until else None
        return replace(
            entry,
            value=_with_statistics(entry.value, fresh),
            refresh_at=min(entry.refresh_at, counted.refresh_at),
            complete_until=min(entry.complete_until, counted.fresh_until),
        )

    def told(self, result: LookupResult[ScaleSet], now: float) -> Answer[ScaleSetSettings] | None:
        found, ref = result.found, self._ref
        if found is None:
            if self._id is not None:
                return None  # buried with the look-up: the next round asks for the name
            reason = f"the service has no scale set {ref.name!r} in the runner group {ref.runner_group!r}"
            return absent(result.reason or reason, age=now - result.asked_at)
        if ref.id is not None and ref.id != found.id:
            self._sets.replaced_ids.replaced(ref.id, found.id)
        value = _with_statistics(_settings(found), self._statistics(found, result.asked_at, now))
        return just_said(value, result.asked_at, self._sets.settings.lifetime, now)

    def _statistics(self, found: ScaleSet, asked_at: float, now: float) -> Statistics | None:
        """Return the counters that go with a look-up: those of a message that came meanwhile are younger."""
        facts = self._sets.statistics
        if facts is None:
            return None
        kept = facts.get(found.id)
        if kept is not None and kept.said_at > asked_at:
            return kept.value if now < kept.fresh_until else None
        return None if now - asked_at > facts.lifetime > 0 else found.statistics


def _no_fresher(entry: Entry[ScaleSetSettings], name: Entry[int]) -> Entry[ScaleSetSettings]:
    """Return the entry as it counts for a question by name: an answer is no fresher than the name that led to it."""
    if name.fresh_until >= entry.fresh_until and name.refresh_at >= entry.refresh_at:
        return entry
    until = min(entry.fresh_until, name.fresh_until)
    return replace(entry, fresh_until=until, complete_until=until, refresh_at=min(entry.refresh_at, name.refresh_at))


def _settings(scale_set: ScaleSet) -> ScaleSetSettings:
    """Return the settings without statistics: these have a lifetime of their own."""
    return ScaleSetSettings(
        id=scale_set.id,
        name=scale_set.name,
        runner_group_id=scale_set.runner_group_id,
        runner_group_name=scale_set.runner_group_name,
        labels=scale_set.labels,
        disable_update=scale_set.disable_update,
        created_at=scale_set.created_at,
    )


def _with_statistics(settings: ScaleSetSettings, statistics: Statistics | None) -> ScaleSetSettings:
    return settings if statistics is None else replace(settings, statistics=statistics)
