"""Runners: the look-ups by id and by name, and what each of them teaches."""

from cachetools import LRUCache

from scaleset_burst.github.types import Runner
from scaleset_burst.metadata.answers import runner_info
from scaleset_burst.metadata.entries import Entry
from scaleset_burst.metadata.flights import Flight
from scaleset_burst.metadata.memory import Look, Memory
from scaleset_burst.metadata.mints import Mints
from scaleset_burst.metadata.service import MetadataService
from scaleset_hookspecs import RunnerInfo, RunnerRef

__all__ = ["Runners"]

TOUCHED = 20_000
"""Ids and names kept with the time of their last event; only those matter that a look under way may show as before."""


class Runners:
    """What is remembered of runners, by id; names lead to ids, because ids are never given twice and names may be."""

    def __init__(
        self,
        service: MetadataService,
        memory: Memory[RunnerInfo, Runner],
        mints: Mints,
        *,
        keep: bool,
        max_entries: int,
    ) -> None:
        self.memory = memory
        self.mints = mints
        self._service = service
        self._keep = keep
        self._ids: LRUCache[str, int] = LRUCache(max_entries)
        self._touched: LRUCache[int | str, float] = LRUCache(TOUCHED)

    def entry(self, runner: RunnerRef) -> Entry[RunnerInfo] | None:
        """Return what is remembered of a runner; its value is `None` if it is confirmed to be gone."""
        runner_id = self.id_of(runner)
        entry = None if runner_id is None else self.memory.get(runner_id)
        if entry is not None and entry.value is None and runner.id is None:
            return None  # the id is gone, but somebody may have registered the name again
        return entry

    def minted(self, name: str, runner_id: int, scale_set_id: int | None, now: float) -> None:
        """Note that the service has just registered a runner of ours.

        It is remembered when somebody first asks about it: of a burst hardly any are asked about.
        """
        self.mints.minted(name, runner_id, now, scale_set_id)
        self.memory.flights.overtake(name)
        self.memory.flights.overtake(runner_id)

    def id_of(self, runner: RunnerRef) -> int | None:
        """Return the runner's id, if it is known."""
        self._recall(runner)
        if runner.id is not None:
            return runner.id
        return None if runner.name is None else self._ids.get(runner.name)

    def touched_since(self, runner: RunnerRef, since: float) -> bool:
        """Return whether an event told of the runner later than that, so that what was asked then may be outdated."""
        self._recall(runner)
        keys = (runner.id, runner.name)
        return any(self._touched.get(key, since) > since for key in keys if key is not None)

    def touch(self, runner: RunnerRef, now: float) -> bool:
        """Forget a runner because an event told of it; return whether it was known."""
        for key in (self.id_of(runner), runner.name):
            if key is not None:
                self._touched[key] = now
        return self.drop(runner)

    def launch(self, runner: RunnerRef) -> Flight[Look[Runner]]:
        """Look a runner up, or join the look-up under way."""
        return self.memory.launch(_key(runner), lambda: self._fetch(runner), lambda look: self._commit(runner, look))

    def refresh(self, runner: RunnerRef) -> None:
        """Renew a runner behind an answer."""
        self.memory.refresh(_key(runner), lambda: self._fetch(runner), lambda look: self._commit(runner, look))

    def keep(self, info: RunnerInfo, *, said_at: float, source: str) -> None:
        """Remember a runner, if runners are remembered at all."""
        named = self._ids.get(info.name)
        other = None if named is None else self.memory.get(named)
        if other is None or other.said_at <= said_at:
            self._ids[info.name] = info.id
        if self._keep:
            self.memory.put(info.id, info, said_at=said_at, source=source)

    def bury(self, runner_id: int, *, said_at: float) -> None:
        """Remember that an id is gone for good."""
        if self._keep:
            self.memory.put(runner_id, None, said_at=said_at, source="event")

    def drop(self, runner: RunnerRef) -> bool:
        """Forget a runner under each of its keys, and rely on no look-up under way; return whether it was known."""
        runner_id = self.id_of(runner)
        names = {runner.name} if runner.name is not None else set()
        dropped = False
        if runner_id is not None:
            entry = self.memory.get(runner_id)
            if entry is not None and entry.value is not None:
                names.add(entry.value.name)
            dropped = self.memory.drop(runner_id)
        if runner.id is None and runner.name is not None and runner_id is None:
            # The way from the name to the id was pushed out: look at the entries themselves.
            name = runner.name
            dropped = self.memory.drop_where(lambda info: info is not None and info.name == name) > 0
        for name in names:
            self.memory.flights.overtake(name)
            self._ids.pop(name, None)
        return dropped

    def drop_all(self) -> int:
        """Forget every runner; return how many were remembered."""
        unasked = self.mints.recall_none()
        return self.memory.drop_all() + (unasked if self._keep else 0)

    def _recall(self, runner: RunnerRef) -> None:
        for mint in self.mints.recall(runner):
            self._touched[mint.runner_id] = self._touched[mint.name] = mint.at
            info = RunnerInfo(id=mint.runner_id, name=mint.name, scale_set_id=mint.scale_set_id)
            self.keep(info, said_at=mint.at, source="mint")

    async def _fetch(self, runner: RunnerRef) -> Runner | None:
        if runner.id is not None:
            return await self._service.get_runner(runner.id)
        assert runner.name is not None  # noqa: S101  # checked before
        return await self._service.find_runner(runner.name)

    def _commit(self, runner: RunnerRef, look: Look[Runner]) -> None:
        if look.found is None:
            self.drop(runner)
            return
        found = RunnerRef(name=look.found.name, id=look.found.id)
        self.mints.seen(found)
        if not self.touched_since(found, look.asked_at):
            self.keep(runner_info(look.found), said_at=look.asked_at, source="service")


def _key(runner: RunnerRef) -> int | str:
    """Return what the look-up asks for; an id and a name never meet, since their types differ."""
    if runner.id is not None:
        return runner.id
    assert runner.name is not None  # noqa: S101  # checked before
    return runner.name
