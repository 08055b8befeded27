"""Which id a runner group has. The group `default` has the id 1 and is never looked up (protocol section 1)."""

from scaleset_burst.cache.readthrough import Facts, Lookup, LookupResult, NotAsked, Question, absent, just_said
from scaleset_burst.cache.service import MetadataService
from scaleset_burst.cache.shared import Dated, SharedLookups
from scaleset_client.types import RunnerGroup
from scaleset_hookspecs import Answer, NotFound, Unavailable

__all__ = ["DEFAULT_GROUP_ID", "Groups"]

DEFAULT_GROUP_ID = 1


class Groups:
    """Runner groups by name."""

    def __init__(self, service: MetadataService, facts: Facts[int, RunnerGroup], shared: SharedLookups) -> None:
        self.facts = facts
        self._service = service
        self._shared = shared

    async def id_of(self, name: str) -> tuple[int, bool]:
        """Return the group's id, and whether it was remembered rather than just asked for.

        Raises:
            NotFound: The service has no such group.
            Rejected: The credentials are refused.
            NotAsked: The service cannot be asked, and nothing is remembered.
        """
        if name.lower() == "default":
            return DEFAULT_GROUP_ID, False
        try:
            group_id, just_asked = await self.facts.value(lambda: _GroupQuestion(self, name), f"runner group {name!r}")
        except NotFound as error:
            raise NotFound(f"there is no runner group called {name!r}", status=200) from error
        except Unavailable as error:
            raise NotAsked(error.message, status=error.status, retry_after=error.retry_after) from error
        return group_id, not just_asked

    async def fetch(self, name: str) -> RunnerGroup | Dated[RunnerGroup] | None:
        """Ask the shared cache, then the service."""
        return await self._shared.group(name, self.facts.lifetime, lambda: self._service.get_runner_group(name))

    def learn(self, name: str, result: LookupResult[RunnerGroup]) -> None:
        """Keep what a look-up said."""
        if result.found is None:
            self.facts.drop(name)
        else:
            self.facts.put(name, result.found.id, said_at=result.asked_at)


class _GroupQuestion(Question[int, RunnerGroup]):
    """The id of a runner group."""

    def __init__(self, groups: Groups, name: str) -> None:
        self.counted = self.asked = groups.facts
        self.key = self._name = name
        self.kept = groups.facts.get(name)
        self._groups = groups

    def lookup(self) -> Lookup[RunnerGroup]:
        name = self._name
        return Lookup(name, lambda: self._groups.fetch(name), lambda result: self._groups.learn(name, result))

    def told(self, result: LookupResult[RunnerGroup], now: float) -> Answer[int] | None:
        if result.found is None:
            return absent("", age=now - result.asked_at)
        return just_said(result.found.id, result.asked_at, self.asked.lifetime, now)
