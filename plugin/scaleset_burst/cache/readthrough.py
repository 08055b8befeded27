"""The one way from a question to an answer: decide, back off, look up once for all who ask, count, serve stale."""

import random as random_module
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from cachetools import TLRUCache

from scaleset_burst.cache.backoff import Backoffs, unproven
from scaleset_burst.cache.entries import NEVER, Decision, Entry, decide, make_entry
from scaleset_burst.cache.kinds import Kind, KindCounters
from scaleset_burst.cache.shared import Dated
from scaleset_client.clock import Clock
from scaleset_client.failures import is_gone
from scaleset_client.singleflight import Flight, SingleFlight
from scaleset_hookspecs import Answer, Certainty, NotFound, ServiceError, Unavailable

__all__ = ["Facts", "Lookup", "LookupResult", "NotAsked", "Question", "absent", "just_said", "unknown"]

V = TypeVar("V")
F = TypeVar("F")

ROUNDS = 4
"""Look-ups at most for one question: a dead id costs one more, and so does an event that invalidates one."""

_SERVICE = "service"
_CACHE = "cache"


class NotAsked(Unavailable):
    """A look-up that failed before its own request: another key failed, and backs off for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupResult(Generic[F]):
    """What a look-up said.

    Attributes:
        found: What it said; `None`: it said that there is none.
        asked_at: When it was asked, in monotonic seconds: what it said was true no earlier than then.
        number: The flight's number, to tell look-ups that began before a question from those that began after it.
        invalidated: Something happened meanwhile that the answer may not know of.
        reason: Why there is none, for people.
    """

    found: F | None
    asked_at: float
    number: int
    invalidated: bool
    reason: str | None = None

    def settles(self, asked: int) -> bool:
        """Return whether it settles a question; one that began before the question proves nothing absent.

        Args:
            asked: The number of the last flight when the question came.
        """
        return not self.invalidated and (self.found is not None or self.number > asked)


@dataclass(frozen=True, slots=True)
class Lookup(Generic[F]):
    """How one key is looked up.

    Attributes:
        key: What is asked for.
        fetch: Asks; `None`, or the service's own `NotFound`, if there is none.
        learn: Keeps what was found; not called if something invalidated the look-up.
    """

    key: Hashable
    fetch: Callable[[], Awaitable[F | Dated[F] | None]]
    learn: Callable[[LookupResult[F]], None]


class Question(Generic[V, F]):
    """One question to the cache, as it stands now; after a look-up it is put anew.

    Attributes:
        counted: The kind that it is counted for.
        asked: The kind that is looked up for it.
        key: The key that is looked up for it.
        kept: What is remembered.
    """

    __slots__ = ("asked", "counted", "kept", "key")
    counted: "Facts[V, Any]"
    asked: "Facts[Any, F]"
    key: Hashable
    kept: Entry[V] | None

    def lookup(self) -> Lookup[F]:
        """Return how to ask the service."""
        raise NotImplementedError

    def told(self, result: LookupResult[F], now: float) -> Answer[V] | None:
        """Return what a look-up answers; `None` if the question has to be put again."""
        raise NotImplementedError


class Facts(Generic[V, F]):
    """The remembered values of one kind (V), made from what look-ups find (F), and their counters."""

    def __init__(
        self,
        kind: Kind,
        flights: SingleFlight[LookupResult[Any]],
        *,
        lifetime: float,
        stale_limit: float,
        max_entries: int,
        clock: Clock,
        random: random_module.Random,
    ) -> None:
        self.kind = kind
        self.lifetime = lifetime
        self.backoffs = Backoffs(max_entries, random)
        self._flights = flights
        self._entries = _Bounded(max_entries, clock.monotonic)
        self._stale_limit = stale_limit
        self._clock = clock
        self._random = random
        self.hits = self.misses = self.stale = self.refreshes = self.evictions = self.failures = 0

    # Values

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> Entry[V] | None:
        """Return the entry, fresh or stale; `None` if there is none."""
        found: Entry[V] | None = self._entries.get(key)
        return found

    def put(self, key: Hashable, value: V | None, *, said_at: float, source: str = _SERVICE) -> None:
        """Keep a value, unless what is kept is newer, and not in doubt."""
        kept = self.get(key)
        if kept is not None and kept.said_at > said_at and self._clock.monotonic() < kept.fresh_until:
            return
        self._entries[key] = make_entry(
            value,
            said_at=said_at,
            lifetime=self.lifetime,
            stale_limit=self._stale_limit,
            jitter=self._random.random(),
            source=source,
        )

    def keys_where(self, matches: Callable[[V | None], bool]) -> list[Hashable]:
        """Return the keys whose values match; looks at every entry, so it is for rare events only."""
        return [key for key in list(self._entries) if (entry := self.get(key)) is not None and matches(entry.value)]

    # Events

    @property
    def looking_up(self) -> bool:
        """Whether a look-up of any kind is under way."""
        return bool(self._flights.running)

    def invalidate(self, key: Hashable) -> None:
        """Rely on no look-up of the key that is under way."""
        self._flights.invalidate((self.kind, key))

    def invalidate_all(self) -> None:
        """Rely on no look-up under way."""
        self._flights.invalidate(*(key for key in self._flights.keys_under_way() if key[0] is self.kind))

    def drop(self, key: Hashable) -> bool:
        """Forget a value, and rely on no look-up that is under way for it; return whether there was one."""
        self.invalidate(key)
        dropped = self._entries.pop(key, None) is not None
        self.evictions += dropped
        return dropped

    def drop_where(self, matches: Callable[[V | None], bool]) -> int:
        """Forget the values that match; return how many."""
        return sum(self.drop(key) for key in self.keys_where(matches))

    def drop_all(self) -> int:
        """Forget everything; return how much it was."""
        self.invalidate_all()
        return sum(self.drop(key) for key in list(self._entries))

    def expire_all(self) -> None:
        """Call nothing fresh any more: what made it untrue may have been missed."""
        self.invalidate_all()
        now = self._clock.monotonic()
        for key in list(self._entries):
            entry = self.get(key)
            if entry is not None and now < entry.fresh_until:
                self._entries[key] = replace(entry, refresh_at=now, fresh_until=now, complete_until=now)

    @property
    def counters(self) -> KindCounters:
        """What happened so far; reading it changes nothing, so that any thread may."""
        return KindCounters(
            hits=self.hits,
            misses=self.misses,
            stale=self.stale,
            refreshes=self.refreshes,
            evictions=self.evictions + self._entries.pushed_out,
            failures=self.failures,
        )

    # Look-ups

    def launch(self, lookup: Lookup[F]) -> Flight[LookupResult[F]]:
        """Ask the service, unless it is being asked for this key already."""

        async def work(flight: Flight[LookupResult[F]]) -> LookupResult[F]:
            result = await self._look_up(lookup, flight)
            if not result.invalidated:
                lookup.learn(result)
            return result

        return self._flights.launch((self.kind, lookup.key), work)

    async def look_up(self, lookup: Lookup[F]) -> LookupResult[F]:
        """Ask the service, or wait for whoever asks it already.

        Raises:
            ServiceError: The look-up failed.
        """
        return await self._flights.join(self.launch(lookup))

    def refresh(self, lookup: Lookup[F]) -> None:
        """Renew behind an answer: start a look-up and wait for nothing; a closed cache answers without renewing."""
        if (self.kind, lookup.key) not in self._flights and not self._flights.closed:
            _ = self.launch(lookup)
            self.refreshes += 1

    async def _look_up(self, lookup: Lookup[F], flight: Flight[LookupResult[F]]) -> LookupResult[F]:
        asked_at = self._clock.monotonic()
        reason = None
        try:
            answer = await lookup.fetch()
        except NotAsked:
            raise
        except ServiceError as error:
            if not is_gone(error):
                raise self._failed(lookup.key, error) from error
            answer, reason = None, str(error)
        self.backoffs.succeeded(lookup.key)
        found: F | None
        if isinstance(answer, Dated):
            found, asked_at = answer.value, answer.said_at
        else:
            found = answer
        number, invalidated = flight.number, flight.invalidated
        return LookupResult(found=found, asked_at=asked_at, number=number, invalidated=invalidated, reason=reason)

    def _failed(self, key: Hashable, error: ServiceError) -> ServiceError:
        failed = unproven(error) if isinstance(error, NotFound) else error
        self.failures += 1
        self.backoffs.failed(key, failed, self._clock.monotonic())
        return failed

    # Answers

    def peek(self, question: Question[V, F]) -> tuple[Answer[V], ServiceError | None] | None:
        """Answer from memory, in one step; `None` if the service has to be asked first.

        The answer is fresh, or, while the key backs off, stale or unknown; then the failure stands beside it.

        Raises:
            Rejected: The service refused for good a moment ago.
        """
        kept, now = question.kept, self._clock.monotonic()
        backoff = question.asked.backoffs.of(question.key)
        decision = decide(
            fresh_until=NEVER if kept is None else kept.complete_until,
            refresh_at=NEVER if kept is None else kept.refresh_at,
            backoff_until=backoff.until,
            now=now,
        )
        if decision is Decision.FETCH:
            return None
        if decision is Decision.BACKOFF:
            backoff.raise_refusal()
            return self._without_service(question, backoff.error, now)
        assert kept is not None  # noqa: S101  # or it would not be fresh
        if decision is Decision.SERVE_AND_REFRESH:
            question.asked.refresh(question.lookup())
        question.counted.hits += 1
        return _remembered(kept, now), None

    async def ask(self, ask: Callable[[], Question[V, F]]) -> tuple[Answer[V], ServiceError | None]:
        """Answer from memory or from the service; a failure stands beside a stale or unknown answer.

        Args:
            ask: Puts the question, once for each round.

        Raises:
            Rejected: The credentials are refused.
        """
        asked = self._flights.number
        question = ask()
        for number in range(ROUNDS):
            question = ask() if number else question
            answer = self.peek(question)
            if answer is not None:
                return answer
            try:
                result = await question.asked.look_up(question.lookup())
            except Unavailable as error:
                return self._without_service(ask(), error, self._clock.monotonic(), question)
            told = question.told(result, self._clock.monotonic()) if result.settles(asked) else None
            if told is not None:
                question.counted.misses += 1
                return told, None
        question.counted.misses += 1
        return unknown("it changed each time it was looked up"), None

    async def value(self, ask: Callable[[], Question[V, F]], what: str) -> tuple[V, bool]:
        """Return the value, fresh or stale, for callers that need one now, and whether it was just asked for.

        Raises:
            NotFound: There is none.
            Rejected: The credentials are refused.
            Unavailable: The service cannot be asked, and nothing is remembered.
        """
        answer, error = await self.ask(ask)
        if answer.value is not None:
            return answer.value, answer.source == _SERVICE
        if answer.certainty is Certainty.ABSENT:
            raise NotFound(answer.reason or f"there is no {what}", status=404)
        raise error or Unavailable(f"the {what} changed each time it was looked up; try again")

    def _without_service(
        self, question: Question[V, F], error: ServiceError | None, now: float, failed: Question[V, F] | None = None
    ) -> tuple[Answer[V], ServiceError | None]:
        """Answer with what is remembered, if anything: the service could not be asked."""
        failed = failed or question
        backoff = failed.asked.backoffs.of(failed.key)
        reason = backoff.reason(error, now)
        error = None if error is None else backoff.waiting(error, now)
        kept, counted = question.kept, question.counted
        if kept is None or kept.value is None:
            counted.misses += 1
            return unknown(reason), error
        if now < kept.fresh_until:
            counted.hits += 1
        else:
            counted.stale += 1
        return _remembered(kept, now, reason), error


class _Bounded(TLRUCache[Any, Any]):
    """Entries until they may not even be served as stale; the least recently used goes first, and is counted."""

    def __init__(self, maxsize: int, timer: Callable[[], float]) -> None:
        super().__init__(maxsize, lambda _key, entry, _now: entry.drop_at, timer)
        self.pushed_out = 0

    def popitem(self) -> tuple[Any, Any]:
        self.pushed_out += 1
        return super().popitem()


def _remembered(kept: Entry[V], now: float, reason: str | None = None) -> Answer[V]:
    value = kept.value
    source = _CACHE if kept.source == _SERVICE else kept.source
    if value is None:
        return absent("an event said that it is gone", age=now - kept.said_at, source=source)
    fresh = now < kept.fresh_until
    return Answer(
        certainty=Certainty.FRESH if fresh else Certainty.STALE,
        value=value,
        age=max(0.0, now - kept.said_at),
        source=source,
        reason=None if fresh else reason,
    )


def just_said(value: V, asked_at: float, lifetime: float, now: float) -> Answer[V]:
    """Answer with what the service was asked for, and said, for this very answer.

    It is fresh, unless the service took longer to say it than it may be called so. With a lifetime of 0 nothing is
    ever answered from memory, and what was just said is as fresh as it gets.
    """
    age = max(0.0, now - asked_at)
    late = age > lifetime > 0
    return Answer(
        certainty=Certainty.STALE if late else Certainty.FRESH,
        value=value,
        age=age,
        source=_SERVICE,
        reason=f"the service took {age:.3g} s to answer, longer than the lifetime of {lifetime:g} s" if late else None,
    )


def unknown(reason: str) -> Answer[Any]:
    """Answer that nobody knows."""
    return Answer(certainty=Certainty.UNKNOWN, source=_CACHE, reason=reason)


def absent(reason: str, *, age: float, source: str = _SERVICE) -> Answer[Any]:
    """Answer that it does not exist, on somebody's word."""
    return Answer(certainty=Certainty.ABSENT, age=max(0.0, age), source=source, reason=reason)
