"""Answers questions for a scale set's settings, with certainty and age; at once and without a task when warm."""

from scaleset_burst.clock import Clock
from scaleset_burst.github.types import ScaleSet
from scaleset_burst.metadata.answers import (
    absent,
    just_said,
    raise_rest,
    reason_of,
    reason_of_rest,
    remembered,
    scale_set_settings,
    unknown,
    with_statistics,
)
from scaleset_burst.metadata.decisions import Decision, decide
from scaleset_burst.metadata.known import Known
from scaleset_burst.metadata.memory import Look
from scaleset_burst.metadata.resting import Rest
from scaleset_burst.metadata.scalesets import Key, ScaleSets
from scaleset_hookspecs import Answer, Rejected, ScaleSetRef, ScaleSetSettings, Statistics, Unavailable

__all__ = ["SettingsAnswers"]

ROUNDS = 4
"""Look-ups at most for one question: a dead id costs one more, and so does an event that overtakes one."""


class SettingsAnswers:
    """Settings by name or by id."""

    def __init__(self, sets: ScaleSets, clock: Clock) -> None:
        self._sets = sets
        self._clock = clock

    def peek(self, ref: ScaleSetRef) -> Answer[ScaleSetSettings] | None:
        """Answer from memory, in one step; `None` if the service has to be asked first.

        The answer is fresh, or, while the service is left alone after a failure, stale or unknown.
        """
        now = self._clock.monotonic()
        known = Known(self._sets, ref)
        rest = self._rest(known.key)
        decision = decide(fresh_until=known.wanted_until, refresh_at=known.refresh_at, rest_until=rest.until, now=now)
        if decision is Decision.FETCH:
            return None
        if decision is Decision.BACKOFF:
            # A refusal is raised by `ask`: what decides about a hook must not raise.
            return None if isinstance(rest.error, Rejected) else self._resting(known, rest, now)
        if decision is Decision.SERVE_AND_REFRESH:
            self._refresh(known.key)
        self._sets.settings.tally.hits += 1
        return self._answer(known, now)

    async def ask(self, ref: ScaleSetRef) -> Answer[ScaleSetSettings]:
        """Answer from memory or from the service.

        Raises:
            Rejected: The credentials are refused.
        """
        answer = self.peek(ref)
        if answer is not None:
            return answer
        asked = self._sets.names.flights.number
        for _ in range(ROUNDS):
            known = Known(self._sets, ref)
            now = self._clock.monotonic()
            rest = self._rest(known.key)
            if now < rest.until:
                raise_rest(rest, now, rejected_only=True)
                return self._resting(known, rest, now)
            answer = await self._asked(ref, known.key, asked)
            if answer is not None:
                return answer
        return unknown("the scale set changed each time it was looked up")

    async def _asked(self, ref: ScaleSetRef, key: Key | int, asked: int) -> Answer[ScaleSetSettings] | None:
        """Ask once; `None` if the question has to be put again."""
        try:
            look = await self._look(key)
        except Unavailable as error:
            now = self._clock.monotonic()
            return self._without_service(Known(self._sets, ref), reason_of(error, self._rest(key), now), now)
        if look.overtaken or not (isinstance(key, int) or look.answers(asked)):
            return None
        now = self._clock.monotonic()
        if look.found is not None:
            if ref.id is not None and ref.id != look.found.id:
                self._sets.successions.replaced(ref.id, look.found.id)
            return self._looked(look, look.found, now)
        if isinstance(key, int):
            return None  # buried with the look: the next round asks for the name
        self._sets.settings.tally.misses += 1
        reason = look.reason or f"the service has no scale set {ref.name!r} in the runner group {ref.runner_group!r}"
        return absent(reason, age=now - look.asked_at)

    async def _look(self, key: Key | int) -> Look[ScaleSet]:
        sets = self._sets
        if isinstance(key, int):
            return await sets.settings.flights.join(sets.launch_by_id(key))
        return await sets.names.flights.join(sets.launch_by_name(key))

    def _rest(self, key: Key | int) -> Rest:
        return (self._sets.settings if isinstance(key, int) else self._sets.names).rests.of(key)

    def _refresh(self, key: Key | int) -> None:
        if isinstance(key, int):
            self._sets.refresh_by_id(key)
        else:
            self._sets.refresh_by_name(key)

    def _looked(self, look: Look[ScaleSet], found: ScaleSet, now: float) -> Answer[ScaleSetSettings]:
        """Answer with what the service just said."""
        self._sets.settings.tally.misses += 1
        value = with_statistics(scale_set_settings(found), self._counted(look, found, now))
        return just_said(value, look.asked_at, self._sets.settings.lifetime, now)

    def _counted(self, look: Look[ScaleSet], found: ScaleSet, now: float) -> Statistics | None:
        """Return the counters that go with a look: those of a message that came meanwhile are younger."""
        memory = self._sets.statistics
        if memory is None:
            return None
        kept = memory.get(found.id)
        if kept is not None and kept.said_at > look.asked_at:
            return kept.value if now < kept.fresh_until else None
        return None if now - look.asked_at > memory.lifetime > 0 else found.statistics

    def _resting(self, known: Known, rest: Rest, now: float) -> Answer[ScaleSetSettings]:
        return self._without_service(known, reason_of_rest(rest, now), now)

    def _without_service(self, known: Known, reason: str, now: float) -> Answer[ScaleSetSettings]:
        tally = self._sets.settings.tally
        if known.entry is None:
            tally.misses += 1
            return unknown(reason)
        if now < known.fresh_until:
            tally.hits += 1
        else:
            tally.stale += 1
        return self._answer(known, now, reason)

    def _answer(self, known: Known, now: float, reason: str | None = None) -> Answer[ScaleSetSettings]:
        assert known.entry is not None and known.entry.value is not None  # noqa: S101, PT018  # asked by the callers
        fresh = now < known.fresh_until
        statistics = known.statistics
        value = known.entry.value
        if statistics is not None and now < statistics.fresh_until:
            value = with_statistics(value, statistics.value)
        return remembered(value, known.entry, now, fresh=fresh, reason=None if fresh else reason)
