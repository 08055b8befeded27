"""Which id a runner group has. The group `default` has the id 1 and is never looked up (protocol section 1)."""

from scaleset_burst.clock import Clock
from scaleset_burst.github.types import RunnerGroup
from scaleset_burst.metadata.answers import raise_rest
from scaleset_burst.metadata.decisions import Decision
from scaleset_burst.metadata.memory import Elsewhere, Look, Memory
from scaleset_burst.metadata.secondlevel import Dated, Level
from scaleset_burst.metadata.service import MetadataService
from scaleset_hookspecs import NotFound, Unavailable

__all__ = ["DEFAULT_GROUP_ID", "Groups"]

DEFAULT_GROUP_ID = 1


class Groups:
    """Runner groups by name."""

    def __init__(self, service: MetadataService, memory: Memory[int, RunnerGroup], level: Level, clock: Clock) -> None:
        self.memory = memory
        self._service = service
        self._level = level
        self._clock = clock

    async def id_of(self, name: str) -> tuple[int, bool]:
        """Return the group's id, and whether it was remembered rather than just asked for.

        Raises:
            NotFound: The service has no such group.
            Rejected: The credentials are refused.
            Elsewhere: The service cannot be asked, and nothing is remembered.
        """
        if name.lower() == "default":
            return DEFAULT_GROUP_ID, False
        entry = self.memory.get(name)
        decision = self.memory.decide(entry, name, self._clock.monotonic())
        if entry is not None and entry.value is not None and decision is not Decision.FETCH:
            if decision is Decision.BACKOFF:
                raise_rest(self.memory.rests.of(name), self._clock.monotonic(), rejected_only=True)
                self.memory.tally.stale += 1
            else:
                self.memory.tally.hits += 1
            if decision is Decision.SERVE_AND_REFRESH:
                self._refresh(name)
            return entry.value, True
        return await self._asked(name, None if entry is None else entry.value)

    def drop(self, name: str) -> None:
        """Forget a group whose id turned out to be dead."""
        self.memory.drop(name)

    async def _asked(self, name: str, stale: int | None) -> tuple[int, bool]:
        memory = self.memory
        try:
            raise_if_resting(memory, name, self._clock.monotonic())
            flight = memory.launch(name, lambda: self._fetch(name), lambda look: self._commit(name, look))
            look = await memory.flights.join(flight)
        except Unavailable as error:
            if stale is not None:
                memory.tally.stale += 1
                return stale, True
            memory.tally.misses += 1
            wait = memory.rests.of(name).until - self._clock.monotonic()
            raise Elsewhere(error.message, status=error.status, retry_after=max(0.0, wait)) from error
        memory.tally.misses += 1
        if look.found is None:
            raise NotFound(f"there is no runner group called {name!r}", status=200)
        return look.found.id, False

    def _refresh(self, name: str) -> None:
        self.memory.refresh(name, lambda: self._fetch(name), lambda look: self._commit(name, look))

    async def _fetch(self, name: str) -> RunnerGroup | Dated[RunnerGroup] | None:
        return await self._level.group(name, self.memory.lifetime, lambda: self._service.get_runner_group(name))

    def _commit(self, name: str, look: Look[RunnerGroup]) -> None:
        if look.found is None:
            self.memory.drop(name)
        else:
            self.memory.put(name, look.found.id, said_at=look.asked_at)


def raise_if_resting(memory: Memory[int, RunnerGroup], name: str, now: float) -> None:
    """Raise what went wrong last if the key rests.

    Raises:
        Rejected: The service refused for good.
        Unavailable: It failed a moment ago.
    """
    rest = memory.rests.of(name)
    if now < rest.until:
        raise_rest(rest, now, rejected_only=False)
