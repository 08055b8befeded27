"""One kind of remembered fact: its entries, its look-ups under way, its rests and its counts."""

import random as random_module
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from scaleset_burst.clock import Clock
from scaleset_burst.github.failures import is_gone
from scaleset_burst.metadata.answers import unproven
from scaleset_burst.metadata.decisions import Decision, decide
from scaleset_burst.metadata.entries import Entry, make_entry
from scaleset_burst.metadata.flights import Flight, Flights
from scaleset_burst.metadata.kinds import Kind, KindCounters, Tally
from scaleset_burst.metadata.resting import Rests
from scaleset_burst.metadata.secondlevel import Dated
from scaleset_burst.metadata.store import Store
from scaleset_hookspecs import NotFound, ServiceError, Unavailable

__all__ = ["NEVER", "Elsewhere", "Look", "Memory"]

V = TypeVar("V")
F = TypeVar("F")

NEVER = float("-inf")


class Elsewhere(Unavailable):
    """A look-up that failed before its own request: another key failed, and rests for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look(Generic[F]):
    """A look-up that the service answered.

    Attributes:
        found: What it said; `None`: it said that there is none.
        asked_at: When it was asked, in monotonic seconds: what it said was true no earlier than then.
        number: The flight's number, to tell looks that began before a question from those that began after it.
        overtaken: Something happened meanwhile that the answer may not know of.
        reason: Why there is none, for people.
    """

    found: F | None
    asked_at: float
    number: int
    overtaken: bool
    reason: str | None = None

    def answers(self, asked: int) -> bool:
        """Return whether it settles a question; one that began before the question proves nothing absent.

        Args:
            asked: The number of the last flight when the question came.
        """
        return not self.overtaken and (self.found is not None or self.number > asked)


class Memory(Generic[V, F]):
    """Keeps values of one kind (V), made from what look-ups find (F)."""

    def __init__(
        self,
        kind: Kind,
        *,
        lifetime: float,
        stale_limit: float,
        max_entries: int,
        clock: Clock,
        random: random_module.Random,
    ) -> None:
        self.kind = kind
        self.lifetime = lifetime
        self.tally = Tally()
        self.flights: Flights[Look[F]] = Flights(kind.value)
        self.rests = Rests(max_entries, random)
        self._stale_limit = stale_limit
        self._store: Store[Hashable, V] = Store(max_entries, clock.monotonic)
        self._clock = clock
        self._random = random
        self.get = self._store.get

    @property
    def counters(self) -> KindCounters:
        """What happened so far; reading it changes nothing, so that any thread may."""
        return self.tally.counters(self._store.pushed_out)

    def __len__(self) -> int:
        return len(self._store)

    def decide(self, entry: Entry[V] | None, key: Hashable, now: float) -> Decision:
        """Decide about a question for this entry, were it looked up under this key."""
        rest_until = self.rests.of(key).until
        if entry is None:
            return decide(fresh_until=NEVER, refresh_at=NEVER, rest_until=rest_until, now=now)
        return decide(fresh_until=entry.fresh_until, refresh_at=entry.refresh_at, rest_until=rest_until, now=now)

    def put(self, key: Hashable, value: V | None, *, said_at: float, source: str = "service") -> None:
        """Keep a value, unless what is kept is newer, and not in doubt."""
        kept = self.get(key)
        if kept is not None and kept.said_at > said_at and self._clock.monotonic() < kept.fresh_until:
            return
        entry = make_entry(
            value,
            said_at=said_at,
            lifetime=self.lifetime,
            stale_limit=self._stale_limit,
            jitter=self._random.random(),
            source=source,
        )
        self._store.put(key, entry)

    def drop(self, key: Hashable) -> bool:
        """Forget a value, and rely on no look-up that is under way for it; return whether there was one."""
        self.flights.overtake(key)
        dropped = self._store.drop(key)
        self.tally.evictions += dropped
        return dropped

    def drop_where(self, matches: Callable[[V | None], bool]) -> int:
        """Forget the values that match; return how many."""
        return sum(self.drop(key) for key in self._store.keys_where(matches))

    def keys_where(self, matches: Callable[[V | None], bool]) -> list[Hashable]:
        """Return the keys of the values that match."""
        return self._store.keys_where(matches)

    def drop_all(self) -> int:
        """Forget everything; return how much it was."""
        self.flights.overtake_all()
        return sum(self.drop(key) for key in self._store.all_keys())

    def doubt_all(self) -> None:
        """Call nothing fresh any more: what made it untrue may have been missed."""
        self.flights.overtake_all()
        now = self._clock.monotonic()
        for key in self._store.all_keys():
            entry = self.get(key)
            if entry is not None and now < entry.fresh_until:
                self._store.put(key, replace(entry, refresh_at=now, fresh_until=now))

    def launch(
        self,
        key: Hashable,
        fetch: Callable[[], Awaitable[F | Dated[F] | None]],
        commit: Callable[[Look[F]], None],
    ) -> Flight[Look[F]]:
        """Ask the service, unless it is being asked for this key already.

        Args:
            key: What is asked for.
            fetch: Asks; `None`, or the service's own `NotFound`, if there is none.
            commit: Keeps what was found; not called if something overtook the look-up.
        """

        async def work(flight: Flight[Look[F]]) -> Look[F]:
            look = await self._look(key, fetch, flight)
            if not look.overtaken:
                commit(look)
            return look

        return self.flights.launch(key, work)

    def refresh(
        self, key: Hashable, fetch: Callable[[], Awaitable[F | Dated[F] | None]], commit: Callable[[Look[F]], None]
    ) -> None:
        """Renew behind an answer: start a look-up and wait for nothing; a closed cache answers without renewing."""
        if key not in self.flights and not self.flights.closed:
            _ = self.launch(key, fetch, commit)
            self.tally.refreshes += 1

    async def _look(
        self, key: Hashable, fetch: Callable[[], Awaitable[F | Dated[F] | None]], flight: Flight[Look[F]]
    ) -> Look[F]:
        asked_at = self._clock.monotonic()
        reason = None
        try:
            answer = await fetch()
        except Elsewhere:
            raise
        except ServiceError as error:
            if not is_gone(error):
                raise self._failed(key, error) from error
            answer, reason = None, str(error)
        self.rests.succeeded(key)
        found: F | None
        if isinstance(answer, Dated):
            found, asked_at = answer.value, answer.said_at
        else:
            found = answer
        return Look(found=found, asked_at=asked_at, number=flight.number, overtaken=flight.overtaken, reason=reason)

    def _failed(self, key: Hashable, error: ServiceError) -> ServiceError:
        failed = unproven(error) if isinstance(error, NotFound) else error
        self.tally.failures += 1
        self.rests.failed(key, failed, self._clock.monotonic())
        return failed
