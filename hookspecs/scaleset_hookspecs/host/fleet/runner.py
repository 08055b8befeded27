"""The life of one runner: what is known of it, from whom, and what to ask about it next."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum, auto

from scaleset_hookspecs.host.fleet.failures import backoff
from scaleset_hookspecs.host.fleet.values import FleetLimits, Life, Removal, Source
from scaleset_hookspecs.types import Answer, Certainty, RunnerInfo, RunnerRef, Statistics

__all__ = ["SETTLE", "Runner", "Step"]

SETTLE = 3.0
"""Seconds that the service has to take a registration away by itself, once a runner has ended with its job."""

ANSWER = 600.0
"""Seconds after which a question that was not answered is asked again."""

SOME_JOB = ""
"""A job whose id nobody said."""


class Step(Enum):
    """What is asked, or done, when a runner is due."""

    LOOK_UP = auto()
    REMOVE = auto()
    END = auto()
    FORGET = auto()


@dataclass(slots=True)
class Runner:
    """One runner that may be alive, or may have left its registration.

    Attributes:
        ref: Its name and, once known, its id.
        source: Where the latest news of it came from.
        since: When it was launched, or first heard of.
        key: What it is known by.
        watched: Whether the end of its machine will be told.
        own: Whether this life of the host launched it.
        counted: Whether it has been taken out of the registrations that nobody names.
        registered: What the service said last; `None` if it was not asked.
        ended: Whether its machine has ended.
        serves: Whether it has taken a job, or may take one: it fills a place that the demand asks for.
        unwanted: Whether it is to go because there are too many.
        absent: Whether the service does not know a runner whose machine lives.
        jobs: The jobs it has, as far as we know.
        busy_since: When we heard of the first of them.
        step: What comes next, once it is due.
        asked: Whether that was asked and has not been answered.
    """

    ref: RunnerRef
    source: Source
    since: float
    watched: bool = True
    own: bool = False
    counted: bool = False
    registered: bool | None = None
    online: bool = False
    ended: bool = False
    serves: bool = True
    unwanted: bool = False
    worked: bool = False
    jobs: set[str] = field(default_factory=set)
    busy_since: float = math.inf
    step: Step = Step.LOOK_UP
    due: float = math.inf
    key: str = ""
    asked: bool = False
    asked_at: float = -math.inf
    looked_at: float = -math.inf
    _changed: float = -math.inf
    _offline_since: float | None = None
    absent: bool = False
    _there: bool = False
    _tries: int = 0
    _over: set[str] = field(default_factory=set)

    @property
    def life(self) -> Life:
        """How far it is."""
        if self.ended:
            return Life.ENDED
        if self.jobs:
            return Life.BUSY
        return Life.ONLINE if self.online else Life.LAUNCHED

    @property
    def place(self) -> bool:
        """Whether it fills one of the places that the demand asks for."""
        return bool(self.jobs) or (self.serves and not self.unwanted)

    @property
    def may_be_looked_up(self) -> bool:
        """Whether its machine may be alive, and nothing else is under way."""
        return self.step is Step.LOOK_UP and not self.ended and not self.asked

    @property
    def quiet_since(self) -> float:
        """When there was last any news of it."""
        return max(self._changed, self.looked_at, self.since)

    def ask(self, now: float, step: Step = Step.LOOK_UP, after: float = 0.0) -> None:
        """Make a step the next one."""
        self.step, self.due = step, now + after

    def sent(self, now: float) -> None:
        """Note that the next step was taken and will be answered."""
        self.asked, self.asked_at, self.due = True, now, now + ANSWER

    def rest(self, limits: FleetLimits) -> None:
        """Ask nothing more, unless it has to come online yet."""
        self.step, self.due = Step.LOOK_UP, math.inf
        if not self.jobs and not self.online:
            began = self.since if self._offline_since is None else self._offline_since
            self.due = began + limits.start_timeout

    # What the service's events say

    def started(self, job: str, now: float, limits: FleetLimits) -> None:
        """Take up that it has a job."""
        if job in self._over or job in self.jobs:
            return
        self._news(Source.EVENT, now)
        self._has(job, now)
        if not self.ended and not self.asked:
            self.rest(limits)

    def completed(self, job: str, now: float, limits: FleetLimits) -> None:
        """Take up that a job of it is over. It lives on until somebody says that it does not."""
        if job in self._over:
            return
        self._over.add(job)
        self.worked = self.online = True
        self._news(Source.EVENT, now)
        self.jobs -= {job, SOME_JOB}
        if self.jobs:
            return
        self.serves = False
        if self.ended and self.registered is False:
            self.ask(now, Step.FORGET)
        elif not self.ended and not self.asked and self.step is Step.LOOK_UP:
            self.ask(now, after=limits.event_lag if self.watched else SETTLE)

    def has_no_job(self, now: float, limits: FleetLimits) -> None:
        """Take up that the service knows neither it nor any job that runs: the news of its end was lost."""
        self.jobs.clear()
        self._is_absent(now, limits)

    # What its machine says

    def machine_ended(self, now: float, limits: FleetLimits, *, at_once: bool) -> None:
        """Take up that its machine has ended; the registration may still be there."""
        if self.ended:
            return
        self.ended = self.watched = True
        self._news(Source.MACHINE, now)
        if self.step is Step.END:
            self.asked = False
        if self.registered is False:
            self._forget(now, limits)
        elif not self.asked:
            self.ask(now, after=0.0 if at_once else SETTLE)

    # What the service answers

    def looked_up(
        self, answer: Answer[RunnerInfo], now: float, limits: FleetLimits, *, counters: Statistics, draining: bool
    ) -> str | None:
        """Take up a look-up; return what is wrong with the runner, if that is news.

        A service that does not say which runners are online, or busy, still counts them: where it counts none, this
        one is not. A young one may always be booting.
        """
        as_of = min(self.asked_at, now - (answer.age or 0.0))
        self.asked, self.looked_at, self._there = False, now, False
        info = answer.value if answer.certainty is Certainty.FRESH else None
        if info is None and answer.certainty is not Certainty.ABSENT:
            self._unknown(now, draining=draining)
        elif as_of < self._changed and not (info and info.busy):
            # Older than what we know, which is no answer: whoever remembers it gives it again for as long as it does.
            if self.jobs and not self.ended:
                self.rest(limits)
            else:
                self._unknown(now, draining=draining)
        elif info is None:
            self._tries = 0
            self._is_absent(now, limits)
        else:
            self._tries = 0
            self._news(Source.LOOK_UP, self._changed)
            self.registered, self._there, self.absent = True, True, False
            self.ref = RunnerRef(name=self.ref.name or info.name, id=info.id)
            old = self.online or now >= self.since + limits.start_timeout
            online = old and counters.idle_runners > 0 if info.status is None else info.status != "offline"
            busy = bool(self.jobs) and counters.running_jobs > 0 if info.busy is None else info.busy
            return self._present(now, limits, busy=busy, online=online, draining=draining)
        return None

    def removal(self, removal: Removal, retry_after: float | None, now: float, limits: FleetLimits) -> None:
        """Take up what the service said to a removal."""
        self.asked = False
        if removal is Removal.FAILED:
            self._tries += 1
            self.ask(now, after=max(retry_after or 0.0, backoff(self._tries)))
            return
        self._tries = 0
        self._news(Source.REMOVAL, now)
        if removal is Removal.HAS_JOB:
            self.registered = True
            self._has(SOME_JOB, now)
            if self.ended:
                self.ask(now, after=limits.event_lag)
            else:
                self.rest(limits)
        elif self.ended or self.jobs:
            self._is_absent(now, limits)
        else:
            was_there = removal is Removal.REMOVED and self._there  # some say "removed" of what was not there
            wait = 0.0 if was_there or self.absent else limits.event_lag
            self.registered, self.serves, self.absent = False, False, not was_there
            self.ask(now, Step.END, after=wait)

    def _present(self, now: float, limits: FleetLimits, *, busy: bool, online: bool, draining: bool) -> str | None:
        """Take up that it is registered."""
        if busy:
            if not self.jobs:
                self._has(SOME_JOB, now)
            if self.ended:
                self.ask(now, Step.REMOVE)  # the service refuses that, if it thinks so for long
            else:
                self.rest(limits)
            return None
        self.jobs.clear()
        if self.ended:
            died, self.serves = self.serves and not self.worked and self.own, False
            self.ask(now, Step.REMOVE)
            return f"{self.ref.name} ended without having had a job" if died else None
        if online:
            self._is_online(now, limits, draining=draining)
            return None
        return self._is_offline(now, limits, draining=draining)

    def _is_online(self, now: float, limits: FleetLimits, *, draining: bool) -> None:
        self.online = self.serves = True
        self._offline_since = None
        if self.unwanted or draining:
            self.ask(now, Step.REMOVE)
        else:
            self.rest(limits)

    def _is_offline(self, now: float, limits: FleetLimits, *, draining: bool) -> str | None:
        """Wait until it has come online, or is late; only then, or when the host stops, it goes."""
        late = False
        if self.online and self._offline_since is None:
            self._offline_since = now
        elif now >= (self.since if self._offline_since is None else self._offline_since) + limits.start_timeout:
            late, self.serves = self.serves and not self.online and self.own, False
        if draining or not self.serves:
            self.ask(now, Step.REMOVE)
        else:
            self.unwanted = False
            began = self.since if self._offline_since is None else self._offline_since
            self.ask(began, after=limits.start_timeout)
        return f"{self.ref.name} was not online {limits.start_timeout:.0f} s after its launch" if late else None

    def _is_absent(self, now: float, limits: FleetLimits) -> None:
        """Take up that the service knows no such runner: its machine may still be at work."""
        self.registered = False
        if not self.ended and not self.watched:
            if now < self.since + limits.event_lag:  # the service may not show it yet
                self.ask(self.since, after=limits.event_lag)
                return
            self.ended = True
        if self.ended:
            self._forget(now, limits)
        elif self.jobs:
            self.rest(limits)
        else:
            self.absent, self.serves = True, False
            self.ask(now, Step.REMOVE, after=limits.event_lag)  # news of a job may be on its way

    def _forget(self, now: float, limits: FleetLimits) -> None:
        """Let it go; if its job may still be in the counters, only when they must have caught up."""
        self.ask(now, Step.FORGET, after=limits.event_lag if self.place else 0.0)

    def _unknown(self, now: float, *, draining: bool) -> None:
        self._tries += 1
        if self.ended or draining:
            self.ask(now, Step.REMOVE)  # the service refuses that if there is a job
        else:
            self.ask(now, after=backoff(self._tries))

    def _has(self, job: str, now: float) -> None:
        if not self.jobs:
            self.busy_since = now
        self.jobs.add(job)
        self.serves = self.online = self.worked = True
        self.unwanted = False
        self._offline_since = None

    def _news(self, source: Source, now: float) -> None:
        self.source, self._changed = source, now
