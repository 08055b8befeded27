"""Scale sets: the look-ups by name and by id, and what each of them teaches."""

from collections.abc import Awaitable
from dataclasses import replace
from typing import TypeAlias, cast

from scaleset_burst.github.types import ScaleSet
from scaleset_burst.metadata.answers import scale_set_settings
from scaleset_burst.metadata.flights import Flight
from scaleset_burst.metadata.groups import Groups
from scaleset_burst.metadata.kinds import Kind
from scaleset_burst.metadata.memory import Look, Memory
from scaleset_burst.metadata.secondlevel import Dated, Level
from scaleset_burst.metadata.service import MetadataService
from scaleset_burst.metadata.successions import Successions
from scaleset_hookspecs import NotFound, ScaleSetRef, ScaleSetSettings, Statistics

__all__ = ["Key", "ScaleSets", "key_of"]

Key: TypeAlias = tuple[str, str]
"""Runner group and name, as the host writes them. Spellings are kept apart: whether case counts is not known."""


def key_of(ref: ScaleSetRef) -> Key:
    """Return the key of a scale set's name; the group `default` has one spelling."""
    group = ref.runner_group
    return ("default" if group.lower() == "default" else group, ref.name)


class ScaleSets:
    """Three memories that one look-up fills together: ids by name, settings by id, statistics by id."""

    def __init__(
        self,
        service: MetadataService,
        groups: Groups,
        level: Level,
        *,
        names: Memory[int, ScaleSet],
        settings: Memory[ScaleSetSettings, ScaleSet],
        statistics: Memory[Statistics, Statistics] | None,
    ) -> None:
        self.names = names
        self.settings = settings
        self.statistics = statistics
        self.successions = Successions()
        self._service = service
        self._groups = groups
        self._level = level

    def question(self, ref: ScaleSetRef) -> Key | int:
        """Return what to ask for: the id that the caller has, unless it is known to be dead; else the name."""
        if ref.id is not None:
            scale_set_id = self.successions.living(ref.id)
            if not self.successions.is_dead(scale_set_id):
                return scale_set_id
        return key_of(ref)

    def launch_by_name(self, key: Key) -> Flight[Look[ScaleSet]]:
        """Look a name up, or join the look-up under way."""
        return self.names.launch(key, lambda: self._by_name(key), lambda look: self._commit_name(key, look))

    def refresh_by_name(self, key: Key) -> None:
        """Renew a name behind an answer."""
        self.names.refresh(key, lambda: self._by_name(key), lambda look: self._commit_name(key, look))

    def launch_by_id(self, scale_set_id: int) -> Flight[Look[ScaleSet]]:
        """Read a scale set, or join the look-up under way."""
        return self.settings.launch(
            scale_set_id, lambda: self._by_id(scale_set_id), lambda look: self._commit_id(scale_set_id, look)
        )

    def refresh_by_id(self, scale_set_id: int) -> None:
        """Renew settings behind an answer."""
        self.settings.refresh(
            scale_set_id, lambda: self._by_id(scale_set_id), lambda look: self._commit_id(scale_set_id, look)
        )

    def bury(self, dead_id: int) -> None:
        """Forget everything about an id that the service no longer knows."""
        self.successions.died(dead_id)
        self.settings.drop(dead_id)
        for key in self.names.keys_where(lambda kept: kept == dead_id):
            self.names.drop(key)
            self._level.forget(Kind.SCALE_SET_NAME, "/".join(cast("Key", key)))
        if self.statistics is not None:
            self.statistics.drop(dead_id)

    def overtake_all(self) -> None:
        """Rely on no look-up under way: one of either sort teaches more than its own key."""
        self.names.flights.overtake_all()
        self.settings.flights.overtake_all()

    def _by_id(self, scale_set_id: int) -> Awaitable[ScaleSet | None]:
        return self._service.get_scale_set(scale_set_id)

    async def _by_name(self, key: Key) -> ScaleSet | Dated[ScaleSet] | None:
        group, name = key

        async def ask() -> ScaleSet | None:
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
            self._groups.drop(group)
            again, _ = await self._groups.id_of(group)
            if again != group_id:
                return await self._in_group(group, name, again)
            if refused is not None:
                raise refused
            return None

        return await self._level.scale_set(
            key, self.names.lifetime, ask, lambda found: not self.successions.is_dead(found.id)
        )

    async def _in_group(self, group: str, name: str, group_id: int) -> ScaleSet | None:
        found = await self._service.get_scale_set_by_name(name, group_id)
        if found is not None and not found.runner_group_name:
            return replace(found, runner_group_id=group_id, runner_group_name=group)
        return found

    def _commit_name(self, key: Key, look: Look[ScaleSet]) -> None:
        if look.found is None:
            entry = self.names.get(key)
            self.names.drop(key)
            if entry is not None and entry.value is not None:
                # Not buried: it may live on under another name, or in another group.
                self.settings.drop(entry.value)
            return
        self.names.put(key, look.found.id, said_at=look.asked_at)
        self._learn(look.found, look.asked_at)

    def _commit_id(self, scale_set_id: int, look: Look[ScaleSet]) -> None:
        if look.found is None:
            self.bury(scale_set_id)
        else:
            self._learn(look.found, look.asked_at)

    def _learn(self, found: ScaleSet, asked_at: float) -> None:
        self.settings.put(found.id, scale_set_settings(found), said_at=asked_at)
        if self.statistics is None:
            return
        # That it said none is kept, too, or every question would ask again for what it does not say.
        if found.statistics is not None or self.statistics.get(found.id) is None:
            self.statistics.put(found.id, found.statistics, said_at=asked_at)
