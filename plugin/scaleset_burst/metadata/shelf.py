"""One kind of thing remembered: bounded, one request for any number of askers, failures never kept as answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, replace
from random import Random
from typing import Generic, TypeVar

from cachetools import LRUCache

from scaleset_burst.clock import Clock
from scaleset_burst.metadata.entry import Entry, Setback, Step, decide, setback
from scaleset_hookspecs.errors import Rejected, Unavailable
from scaleset_hookspecs.types import Answer, Certainty

__all__ = ["Shelf", "ShelfCounters"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShelfCounters:
    """What happened on one shelf."""

    hits: int = 0
    misses: int = 0
    stale: int = 0
    refreshes: int = 0
    evictions: int = 0
    failures: int = 0


class _Bounded(LRUCache[Hashable, T]):
    """An LRU cache that counts what it drops."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.dropped = 0

    def popitem(self) -> tuple[Hashable, T]:
        """Drop the least recently used."""
        self.dropped += 1
        return super().popitem()


class Shelf(Generic[T]):
    """The entries of one kind. Belongs to one loop; all state changes happen there in single steps."""

    def __init__(
        self, *, lifetime: float, stale_limit: float, size: int, clock: Clock, chance: Random, keep: bool = True
    ) -> None:
        """Make an empty shelf.

        Args:
            lifetime: Seconds for which an entry is fresh.
            stale_limit: Seconds past its lifetime for which it is served, marked stale, while the service fails.
            size: Entries at most; the least recently used goes first.
            clock: Time.
            chance: Jitter.
            keep: Whether anything is remembered at all.
        """
        self._lifetime = lifetime
        self._stale_limit = stale_limit
        self._keep = keep
        self._clock = clock
        self._chance = chance
        self._entries: _Bounded[Entry[T]] = _Bounded(size)
        self._trouble: _Bounded[Setback] = _Bounded(size)
        self._flights: dict[Hashable, asyncio.Task[T | None]] = {}
        self._generation: dict[Hashable, int] = {}
        self._counters = ShelfCounters()

    @property
    def counters(self) -> ShelfCounters:
        """What happened so far."""
        return replace(self._counters, evictions=self._counters.evictions + self._entries.dropped)

    def peek(self, key: Hashable) -> Answer[T] | None:
        """Return a fresh answer at once; `None` if there is none, or if it should be renewed soon."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        now = self._clock.monotonic()
        if now >= entry.renew_from:
            return None
        self._count(hits=1)
        return Answer(certainty=Certainty.FRESH, value=entry.value, age=now - entry.since, source="cache")

    async def ask(self, key: Hashable, fetch: Callable[[], Awaitable[T | None]]) -> Answer[T]:
        """Answer from memory or from the service.

        Args:
            key: What is asked for.
            fetch: Asks the service; returns `None` if it says that there is none.

        Raises:
            Rejected: The service refuses us, which no memory can hide.
        """
        now = self._clock.monotonic()
        entry = self._entries.get(key)
        trouble = self._trouble.get(key)
        step = decide(entry, trouble, now)
        if step is Step.SERVE_AND_RENEW:
            _ = self._fly(key, fetch)
        if entry is not None and step in {Step.SERVE, Step.SERVE_AND_RENEW}:
            self._count(hits=1)
            return self._fresh(entry, now, "cache")
        if step is Step.FETCH:
            self._count(misses=1)
            return await self._fetch(key, fetch)
        return self._without_service(entry, trouble.reason if trouble is not None else "", now)

    def put(self, key: Hashable, value: T, *, source: str) -> None:
        """Remember what an event or a mint told; it supersedes a look-up under way."""
        self._supersede(key)
        self._store(key, value, source)

    def evict(self, key: Hashable) -> bool:
        """Forget a key; what a look-up under way brings is not remembered either."""
        self._supersede(key)
        self._trouble.pop(key, None)
        if self._entries.pop(key, None) is None:
            return False
        self._count(evictions=1)
        return True

    def clear(self) -> int:
        """Forget everything; return how many entries that were."""
        return sum([self.evict(key) for key in [*self._entries, *self._flights]])

    def known(self, key: Hashable) -> T | None:
        """Return what is remembered of a key, fresh or not, without counting it as a question."""
        entry = self._entries.get(key)
        return None if entry is None else entry.value

    async def aclose(self) -> None:
        """Cancel look-ups under way."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    async def _fetch(self, key: Hashable, fetch: Callable[[], Awaitable[T | None]]) -> Answer[T]:
        try:
            # Shielded: the first asker's cancellation must not cancel the others' answer.
            value = await asyncio.shield(self._fly(key, fetch))
        except Unavailable as error:
            return self._without_service(self._entries.get(key), str(error), self._clock.monotonic())
        if value is None:
            return Answer(certainty=Certainty.ABSENT, age=0.0, reason="the service says that there is none")
        return Answer(certainty=Certainty.FRESH, value=value, age=0.0)

    def _fly(self, key: Hashable, fetch: Callable[[], Awaitable[T | None]]) -> asyncio.Task[T | None]:
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(self._look_up(key, fetch), name="look up")
            self._flights[key] = flight
            flight.add_done_callback(_seen)
        return flight

    async def _look_up(self, key: Hashable, fetch: Callable[[], Awaitable[T | None]]) -> T | None:
        generation = self._generation.get(key, 0)
        self._count(refreshes=1)
        try:
            value = await fetch()
        except (Unavailable, Rejected) as error:
            self._count(failures=1)
            self._trouble[key] = setback(
                self._trouble.get(key), self._clock.monotonic(), str(error), error.retry_after, self._chance
            )
            raise
        finally:
            self._flights.pop(key, None)
            current = self._generation.pop(key, 0) == generation
        self._trouble.pop(key, None)
        if current and value is not None:
            self._store(key, value, "service")
        elif current and self._entries.pop(key, None) is not None:
            self._count(evictions=1)
        return value

    def _store(self, key: Hashable, value: T, source: str) -> None:
        if self._keep and self._lifetime > 0:
            now = self._clock.monotonic()
            self._entries[key] = Entry.new(value, now, self._lifetime, self._stale_limit, self._chance, source)

    def _supersede(self, key: Hashable) -> None:
        if key in self._flights:
            self._generation[key] = self._generation.get(key, 0) + 1

    def _without_service(self, entry: Entry[T] | None, reason: str, now: float) -> Answer[T]:
        if entry is None or now >= entry.stale_until:
            return Answer(certainty=Certainty.UNKNOWN, reason=reason)
        if now < entry.fresh_until:
            return self._fresh(entry, now, "cache")
        self._count(stale=1)
        return Answer(
            certainty=Certainty.STALE, value=entry.value, age=now - entry.since, source="cache", reason=reason
        )

    def _fresh(self, entry: Entry[T], now: float, source: str) -> Answer[T]:
        said_by = source if entry.source == "service" else entry.source
        return Answer(certainty=Certainty.FRESH, value=entry.value, age=now - entry.since, source=said_by)

    def _count(self, **more: int) -> None:
        counted = {name: getattr(self._counters, name) + number for name, number in more.items()}
        self._counters = replace(self._counters, **counted)


def _seen(task: asyncio.Task[object]) -> None:
    """Mark a failure as seen: whoever renews behind an answer does not wait for it."""
    if not task.cancelled():
        task.exception()
