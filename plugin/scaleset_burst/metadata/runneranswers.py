"""Answers whether a runner is registered. "Absent" is said only on the service's word, and only when that proves it."""

from scaleset_burst.clock import Clock
from scaleset_burst.github.types import Runner
from scaleset_burst.metadata.answers import (
    absent,
    just_said,
    raise_rest,
    reason_of,
    reason_of_rest,
    remembered,
    runner_info,
    unknown,
)
from scaleset_burst.metadata.decisions import Decision
from scaleset_burst.metadata.memory import Look
from scaleset_burst.metadata.runners import Runners
from scaleset_hookspecs import Answer, RunnerInfo, RunnerRef, Unavailable, UsageError

__all__ = ["RunnerAnswers"]

ROUNDS = 4
"""Look-ups at most for one question, when events keep overtaking them."""


class RunnerAnswers:
    """Runner info by id or by name."""

    def __init__(self, runners: Runners, clock: Clock) -> None:
        self._runners = runners
        self._clock = clock

    async def ask(self, runner: RunnerRef) -> Answer[RunnerInfo]:
        """Answer from memory or from the service.

        Raises:
            Rejected: The credentials are refused.
            UsageError: The runner has neither a name nor an id.
        """
        if runner.id is None and not runner.name:
            raise UsageError("get_runner_info: the runner has neither a name nor an id; give one of them")
        memory = self._runners.memory
        asked = memory.flights.number
        for _ in range(ROUNDS):
            now = self._clock.monotonic()
            entry = self._runners.entry(runner)
            key = runner.id if runner.id is not None else runner.name
            decision = memory.decide(entry, key, now)
            if decision is Decision.BACKOFF:
                rest = memory.rests.of(key)
                raise_rest(rest, now, rejected_only=True)
                return self._without_service(runner, reason_of_rest(rest, now), now)
            if decision is not Decision.FETCH:
                if decision is Decision.SERVE_AND_REFRESH:
                    self._runners.refresh(runner)
                memory.tally.hits += 1
                return self._from_memory(runner, now)
            answer = await self._asked(runner, asked)
            if answer is not None:
                return answer
        memory.tally.misses += 1
        return unknown("the runner changed each time it was looked up")

    async def _asked(self, runner: RunnerRef, asked: int) -> Answer[RunnerInfo] | None:
        """Ask once; `None` if the question has to be put again."""
        memory = self._runners.memory
        try:
            look = await memory.flights.join(self._runners.launch(runner))
        except Unavailable as error:
            now = self._clock.monotonic()
            rest = memory.rests.of(runner.id if runner.id is not None else runner.name)
            return self._without_service(runner, reason_of(error, rest, now), now)
        if not look.answers(asked):
            return None
        told = runner if look.found is None else RunnerRef(id=look.found.id, name=look.found.name)
        if self._runners.touched_since(told, look.asked_at):
            return None  # an event that its flight did not know to be about it, or that came just after its end
        memory.tally.misses += 1
        now = self._clock.monotonic()
        if look.found is not None:
            return just_said(runner_info(look.found), look.asked_at, memory.lifetime, now)
        return self._missing(runner, look, now)

    def _missing(self, runner: RunnerRef, look: Look[Runner], now: float) -> Answer[RunnerInfo]:
        doubt = self._runners.mints.doubt(runner, look.asked_at)
        if doubt is not None:
            return unknown(doubt)
        self._runners.mints.forget(runner)
        called = f"called {runner.name!r}" if runner.id is None else f"with the id {runner.id}"
        return absent(f"the service has no runner {called}", age=now - look.asked_at)

    def _from_memory(self, runner: RunnerRef, now: float) -> Answer[RunnerInfo]:
        entry = self._runners.entry(runner)
        assert entry is not None  # noqa: S101  # it is fresh
        if entry.value is None:
            return absent("an event said that it is gone", age=now - entry.said_at, source=entry.source)
        return remembered(entry.value, entry, now, fresh=True)

    def _without_service(self, runner: RunnerRef, reason: str, now: float) -> Answer[RunnerInfo]:
        memory = self._runners.memory
        entry = self._runners.entry(runner)
        if entry is None or entry.value is None:
            memory.tally.misses += 1
            return unknown(reason)
        fresh = now < entry.fresh_until
        if fresh:
            memory.tally.hits += 1
        else:
            memory.tally.stale += 1
        return remembered(entry.value, entry, now, fresh=fresh, reason=None if fresh else reason)
