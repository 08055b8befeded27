"""How many runners to ask for, and which ones to look up, remove or end: decisions over values."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable, Iterable
from typing import Any

from scaleset_hookspecs.host.fleet.failures import FIRST_WAIT, Failures
from scaleset_hookspecs.host.fleet.runner import SETTLE, Runner, Step
from scaleset_hookspecs.host.fleet.runners import Runners
from scaleset_hookspecs.host.fleet.unnamed import Unnamed
from scaleset_hookspecs.host.fleet.values import (
    Action,
    Adopted,
    BurstEnded,
    Drain,
    End,
    Fact,
    FleetLimits,
    KnownRunner,
    Launched,
    Life,
    LookedUp,
    LookUp,
    Lower,
    MachineEnded,
    Mint,
    Remove,
    RemoveAnswered,
    Say,
    Source,
    Tick,
)
from scaleset_hookspecs.types import FailureReason, JobCompleted, JobStarted, RunnerRef, Statistics

__all__ = ["Fleet"]

LONGEST_COMPARE = 10
"""Up to this many times the events' lag, looking the fleet up is put off if it showed nothing."""

NO_FAILURES = frozenset({FailureReason.ALREADY_PROVIDED, FailureReason.DEMAND_FELL, FailureReason.STOPPED})
"""Outcomes with which nothing is wrong."""


class Fleet:
    """Every runner of one scale set that may be alive, or may have left its registration.

    `on` takes one fact at a time and says what to do. Of what the service says, every fact may come late, twice, in
    any order, or never; facts of this host's own come once. An event alone mints and removes nothing: its message has
    counters, too, which are told with it (`on_all`), or before or after it; a `Tick` is wanted at once.

    Args:
        limits: What the fleet may be.
    """

    def __init__(self, limits: FleetLimits) -> None:
        self._limits = limits
        self._runners = Runners()
        self._statistics: Statistics | None = None
        self._requested = 0
        self._lowered: int | None = None
        self._counted_at = -math.inf
        self._unnamed = Unnamed()
        self._surplus_since = math.inf
        self._surplus_least = 0
        self._compare_at: float | None = None
        self._compare_wait = 0.0
        self._failures = Failures()
        self._draining = False
        self._events_alone = False
        self._now = -math.inf
        self._next = math.inf
        self._actions: list[Action] = []
        self._takers: dict[type, Callable[[Any, float], None]] = {
            Statistics: self._on_statistics,
            JobStarted: self._on_job_started,
            JobCompleted: self._on_job_completed,
            Launched: self._on_launched,
            BurstEnded: self._on_burst_ended,
            MachineEnded: self._on_machine_ended,
            LookedUp: self._on_looked_up,
            RemoveAnswered: self._on_remove_answered,
            Adopted: self._on_adopted,
            FleetLimits: self._on_limits,
            Drain: self._on_drain,
            Tick: lambda _fact, _now: None,
        }

    @property
    def next_at(self) -> float | None:
        """When a `Tick` is wanted, if nothing else happens before."""
        return None if self._next == math.inf else self._next

    @property
    def desired(self) -> int | None:
        """Runners wanted in all by the last counters; `None` before the first."""
        if self._statistics is None:
            return None
        return min(self._limits.max_runners, self._limits.min_idle + self._statistics.assigned_jobs)

    @property
    def alive(self) -> int:
        """Runners that may be alive: asked for, launched, or counted by the service and named by nobody."""
        return self._requested + self._unnamed.count + self._runners.counts.alive

    @property
    def runners(self) -> tuple[KnownRunner, ...]:
        """Every runner that is known by name, oldest first."""
        return tuple(
            KnownRunner(runner=each.ref, life=each.life, source=each.source, since=each.since) for each in self._runners
        )

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do or to wait for: nothing asked for, and no runner known by name."""
        return not self._requested and not len(self._runners)

    def on(self, fact: Fact, now: float) -> tuple[Action, ...]:
        """Take up a fact and return what to do, in order; `now` is seconds of any clock that does not go back."""
        return self.on_all((fact,), now)

    def on_all(self, facts: Iterable[Fact], now: float) -> tuple[Action, ...]:
        """Take up what was said at once, such as a message's events and then its counters, and decide once."""
        now = self._now = max(now, self._now)
        self._actions = []
        self._events_alone = True
        for fact in facts:
            self._takers[type(fact)](fact, now)
            self._events_alone &= isinstance(fact, JobStarted | JobCompleted)
        self._decide(now)
        return tuple(self._actions)

    # What has happened

    def _on_statistics(self, statistics: Statistics, now: float) -> None:
        first = self._statistics is None
        self._statistics, self._counted_at = statistics, now
        self._unnamed.counted(statistics, self._runners, now, self._limits)
        if first and self._unnamed.count:
            self._say(logging.INFO, f"{self._unnamed.count} runners of an earlier life are registered: they are ours")

    def _on_job_started(self, event: JobStarted, now: float) -> None:
        runner = self._heard_of(event.runner, now)
        if runner is not None:
            runner.started(event.job_id, now, self._limits)
            self._works(runner)

    def _on_job_completed(self, event: JobCompleted, now: float) -> None:
        runner = self._heard_of(event.runner, now) if event.runner is not None else None
        if runner is not None:
            runner.completed(event.job_id, now, self._limits)
            self._works(runner)

    def _on_launched(self, fact: Launched, now: float) -> None:
        self._requested = max(0, self._requested - 1)
        if self._runners.is_gone(fact.runner):
            return
        runner = self._runners.find(fact.runner)
        if runner is None:
            runner = self._runners.add(Runner(fact.runner, Source.LAUNCH, now))
            if self._draining:
                runner.ask(now)
            else:
                runner.rest(self._limits)
        runner.watched = fact.watched or runner.ended
        runner.own = runner.counted = True

    def _on_burst_ended(self, fact: BurstEnded, now: float) -> None:
        self._requested = max(0, self._requested - max(0, fact.asked - fact.launched))
        failures = [failure for failure in fact.failures if failure.reason not in NO_FAILURES]
        waits = [failure.retry_after for failure in failures if failure.retry_after is not None]
        self._failures.refused = bool(failures) and not waits and not fact.launched
        if failures:
            self._failed(failures[-1].message, now, max(waits, default=0.0))
        elif any(failure.reason is FailureReason.ALREADY_PROVIDED for failure in fact.failures):
            self._failures.wait(now + FIRST_WAIT)

    def _on_machine_ended(self, fact: MachineEnded, now: float) -> None:
        runner = self._runners.find(fact.runner)
        if runner is None and self._requested and not self._runners.is_gone(fact.runner):
            runner = self._runners.add(
                Runner(fact.runner, Source.MACHINE, now, own=True)
            )  # its launch is still to be told
        if runner is not None:
            runner.machine_ended(now, self._limits, at_once=self._draining)

    def _on_looked_up(self, fact: LookedUp, now: float) -> None:
        runner = self._runners.find(fact.runner)
        if runner is None:
            return
        counters = self._statistics or Statistics()
        wrong = runner.looked_up(fact.answer, now, self._limits, counters=counters, draining=self._draining)
        self._unnamed.named(runner)
        if wrong is not None:
            self._failed(wrong, now)
        elif runner.online:
            self._works(runner)

    def _on_remove_answered(self, fact: RemoveAnswered, now: float) -> None:
        runner = self._runners.find(fact.runner)
        if runner is not None:
            runner.removal(fact.removal, fact.retry_after, now, self._limits)

    def _on_adopted(self, fact: Adopted, now: float) -> None:
        runner = self._runners.find(fact.runner)
        if runner is None:
            runner = self._runners.add(Runner(fact.runner, Source.EARLIER, now, watched=fact.watched))
            runner.ask(now)
        runner.watched |= fact.watched
        runner.counted |= not fact.watched and self._statistics is None  # the service's own list names it

    def _on_limits(self, limits: FleetLimits, _now: float) -> None:
        self._limits = limits

    def _on_drain(self, _fact: Drain, now: float) -> None:
        self._draining = True
        for runner in self._runners:
            if runner.step is Step.LOOK_UP and not runner.asked and (runner.ended or not runner.jobs):
                self._runners.touch(runner).ask(now)
        busy = [str(runner.ref.name) for runner in self._runners if runner.life is Life.BUSY]
        if busy:
            self._say(logging.INFO, f"{len(busy)} runners have a job and finish it: {', '.join(busy)}")
        if self._requested:
            self._actions.append(Lower(desired=0))

    # What follows

    def _decide(self, now: float) -> None:
        if self._draining:  # no place is filled any more, so none is kept until the counters have caught up
            for runner in [each for each in self._runners if each.step is Step.FORGET]:
                self._runners.touch(runner).ask(now, Step.FORGET)
        due = self._runners.due(now)
        for runner in due:
            if runner.step is Step.FORGET:
                self._forget(runner, now)
        if self._statistics is not None:
            self._compare(self._statistics, now)
            if (desired := self.desired) is not None and not self._draining and not self._events_alone:
                self._scale(self._statistics, desired, now)
        for runner in itertools.chain(due, self._runners.due(now)):
            if runner.due <= now and runner.step is not Step.FORGET:
                self._ask(runner, now)
        self._plan(now)

    def _forget(self, runner: Runner, now: float) -> None:
        self._runners.forget(runner)
        if runner.own and runner.serves and not runner.worked and not runner.unwanted:
            self._failed(f"{runner.ref.name} ended without having had a job", now)

    def _scale(self, statistics: Statistics, desired: int, now: float) -> None:
        limits = self._limits
        counts = self._runners.counts
        places = counts.places + self._unnamed.places(statistics, counts.seen)
        count = min(desired - places - self._requested, limits.max_runners - self.alive)
        if self._failures.refused:
            count = min(count, 1)  # one finds out whether it is still so
        if count > 0 and now >= self._failures.retry_at:
            self._actions.append(Mint(count=count, desired=self.alive + count))
            self._requested += count
            self._lowered = None
        elif self._requested and places + self._requested > desired and self._lowered != desired:
            useless = self.alive - self._requested - places
            self._actions.append(Lower(desired=desired + max(0, useless)))
            self._lowered = desired
        self._remove_surplus(places - desired, statistics, now)

    def _remove_surplus(self, surplus: int, statistics: Statistics, now: float) -> None:
        """Remove idle runners that are too many, and have been for long enough, once they are known to be online.

        Those that boot are left alone, and none that is ready goes in favour of one that boots, or has ended.

        Counters can be ahead of events, so that runners seem idle that have a job or are gone. Where the counters do
        not show as many idle ones, it has to last until the events must have come and the fleet was looked up.
        """
        if surplus <= 0:
            self._surplus_since = math.inf
            return
        if self._surplus_since == math.inf:
            self._surplus_since, self._surplus_least = now, surplus
        count = self._surplus_least = min(self._surplus_least, surplus)
        if now < self._surplus_since + self._limits.scale_down_delay:
            return
        patience_ends = self._surplus_since + self._patience
        if now < patience_ends:
            count = min(count, statistics.idle_runners - self._runners.counts.unwanted)
        if count <= 0:
            return
        idle = [runner for runner in self._runners if runner.may_be_looked_up and runner.place and not runner.jobs]
        ready = sorted((runner for runner in idle if runner.online and runner.due == math.inf), key=lambda r: r.since)
        for runner in ready[: max(0, min(count, surplus - self._runners.counts.unsure))]:
            runner.unwanted = True
            fresh = runner.looked_at + SETTLE > now
            self._runners.touch(runner).ask(now, Step.REMOVE if fresh else Step.LOOK_UP)
        booting = (runner for runner in idle if not runner.online and runner.looked_at + self._limits.event_lag <= now)
        for runner in list(booting)[: max(0, count - len(ready))]:
            self._runners.touch(runner).ask(now)
        if now >= patience_ends:
            self._surplus_since, self._surplus_least = now, surplus

    @property
    def _patience(self) -> float:
        return self._limits.scale_down_delay + 2 * self._limits.event_lag

    def _compare(self, statistics: Statistics, now: float) -> None:
        """Look the fleet up when the service has counted less than it should for longer than events lag."""
        counts = self._runners.counts
        agree = (
            statistics.registered_runners >= counts.registered
            and statistics.running_jobs >= counts.busy
            and not (counts.idle and statistics.assigned_jobs > statistics.running_jobs)
        )
        if agree:
            self._compare_at = None
            return
        if self._compare_at is None:
            self._compare_wait = self._limits.event_lag
            self._compare_at = now + self._compare_wait
        elif now >= self._compare_at:
            self._look_up_all(statistics, now)
            self._compare_wait = min(2 * self._compare_wait, LONGEST_COMPARE * self._limits.event_lag)
            self._compare_at = now + self._compare_wait

    def _look_up_all(self, statistics: Statistics, now: float) -> None:
        count, quiet = self._runners.counts.registered, now - self._limits.event_lag
        asked = 0
        for runner in self._runners:
            counted = runner.busy_since + self._limits.event_lag <= self._counted_at
            if runner.life is Life.BUSY and runner.registered is False and counted and not statistics.running_jobs:
                self._runners.touch(runner).has_no_job(now, self._limits)
            elif runner.may_be_looked_up and runner.registered is not False and runner.quiet_since <= quiet:
                self._runners.touch(runner).ask(now)
                asked += 1
        if asked and statistics.registered_runners < count:
            seen = f"the service counts {statistics.registered_runners} registered runners, we know {count}"
            self._say(logging.WARNING, f"{seen}: looking up {asked}")

    def _ask(self, runner: Runner, now: float) -> None:
        if runner.step is Step.LOOK_UP:
            self._actions.append(LookUp(runner=runner.ref))
        elif runner.step is Step.REMOVE:
            self._actions.append(Remove(runner=runner.ref))
        elif runner.step is Step.END:
            if runner.absent and self._job_unaccounted_for():
                runner.ask(now, Step.END, after=self._limits.event_lag)
                return
            self._actions.append(End(runner=runner.ref))
        runner.sent(now)

    def _job_unaccounted_for(self) -> bool:
        """Whether the service counts a running job that may be on a runner whose registration it has lost."""
        counted = self._counted_at - self._limits.event_lag
        busy = sum(
            bool(runner.jobs) and runner.registered is not False and runner.busy_since <= counted
            for runner in self._runners
        )
        return self._statistics is not None and self._statistics.running_jobs > busy

    def _plan(self, now: float) -> None:
        """Set when to be asked again."""
        times = [now if self._events_alone else math.inf, self._runners.next_due]
        times += [self._compare_at] if self._compare_at is not None else []
        if not self._draining:
            times += [self._failures.retry_at] if self._failures.retry_at > now else []
            ends = (self._surplus_since + self._limits.scale_down_delay, self._surplus_since + self._patience)
            times += [end for end in ends if end > now]
        self._next = min(times, default=math.inf)

    # Help

    def _say(self, level: int, text: str) -> None:
        self._actions.append(Say(level=level, text=text))

    def _failed(self, reason: str, now: float, retry_after: float = 0.0) -> None:
        said = self._failures.failed(reason, now, retry_after)
        self._actions += [said] if said is not None else []

    def _works(self, runner: Runner) -> None:
        if runner.own:
            self._failures.works(runner.since)

    def _heard_of(self, ref: RunnerRef, now: float) -> Runner | None:
        """Find a runner; take it up if it may be of an earlier life, or its launch is still to be told."""
        runner = self._runners.find(ref)
        if runner is None and not self._runners.is_gone(ref):
            runner = self._runners.add(Runner(ref, Source.EVENT, now, watched=False))
            runner.ask(now)
        return runner
