"""What the doctor makes of what it measured: findings, and how long bursts will take. No I/O."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Final

from scaleset_burst.settings import Settings
from scaleset_hookspecs.configuration.durations import format_duration

__all__ = ["Facts", "Finding", "Severity", "Shared", "burst_seconds", "concurrency", "diagnose"]

SKEW_LIMIT: Final = 30.0
"""Seconds a clock may be off; an App's JWT is dated 60 s back (protocol 3.1)."""

NEARLY_FULL: Final = 0.8
"""Share of a runner group's capacity from which on it is near its end."""

SLOW_ROUND_TRIP: Final = 1.0
"""Seconds from which on a round trip is slow."""

BURSTS: Final = (100, 300, 1000)
"""Sizes of the bursts that are predicted."""


class Severity(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report."""

    name: str
    text: str
    severity: Severity = Severity.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """How Redis answered.

    Attributes:
        seconds: The time of one question.
        hosts: Hosts that share the limits now.
        evicts: The policy by which it drops keys when its memory is full, if it says that it does.
        failure: Why it is of no use, if so.
    """

    seconds: float = 0.0
    hosts: int = 0
    evicts: str | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was measured.

    Attributes:
        scope: Host and path of the scope.
        token_chain: Seconds from the credentials to the first token of the Actions service.
        skew: Seconds our clock is ahead of the service's; `None` if it did not say its time.
        round_trips: Seconds of look-ups, one after another.
        warmed: Connections open after warming up.
        opened_meanwhile: Connections opened during the look-ups.
        runners: Runners in the group, `None` if the service does not say.
        listed: Runners of the whole scope, where the group does not say; `None` if they cannot be listed.
        group: Name of the runner group.
        scale_set: Name of the scale set that was asked for, `None` if none was.
        scale_set_id: Its id, `None` if it does not exist.
        labels: The labels it has.
        wanted_labels: Those that the host's configuration names, none if it names none.
        shared: Of the Redis that hosts share, if they do.
    """

    scope: str
    token_chain: float
    skew: float | None
    round_trips: tuple[float, ...]
    warmed: int
    opened_meanwhile: int
    runners: int | None
    listed: int | None = None
    group: str = "default"
    scale_set: str | None = None
    scale_set_id: int | None = None
    labels: tuple[str, ...] = ()
    wanted_labels: tuple[str, ...] = ()
    shared: Shared | None = None


def diagnose(facts: Facts, settings: Settings) -> tuple[Finding, ...]:
    """Return the findings, in the order of a burst."""
    return (
        Finding(name="credentials", text=f"accepted; they may register runners in {facts.scope}"),
        Finding(name="token chain", text=_seconds(facts.token_chain)),
        _clock(facts),
        *_scale_set(facts),
        _round_trip(facts),
        _connections(facts),
        _group(facts, settings),
        *_shared(facts),
        *_predictions(facts, settings),
    )


def concurrency(settings: Settings) -> int:
    """Return how many mints can be in flight; `auto` is taken to have learnt all that connections allow."""
    limit = settings.batch.max_concurrency
    return settings.connections.max if limit == "auto" else min(limit, settings.connections.max)


def burst_seconds(count: int, round_trip: float, settings: Settings) -> float:
    """Return how long a burst takes: round trips one behind the other, and full windows waited out."""
    each = settings.batch.slice_size if settings.batch.slice == "always" else 1
    windows = (count - 1) // settings.budget.registrations
    last = count - windows * settings.budget.registrations
    waves = math.ceil(math.ceil(last / each) / concurrency(settings))
    return windows * settings.budget.window + waves * round_trip


def _clock(facts: Facts) -> Finding:
    if facts.skew is None:
        return Finding(name="clock", text="the service did not say its time", severity=Severity.WARNING)
    off = abs(facts.skew)
    text = f"{_seconds(off)} {'ahead of' if facts.skew > 0 else 'behind'} the service's"
    severity = Severity.WARNING if off > SKEW_LIMIT else Severity.OK
    return Finding(name="clock", text="agrees with the service's" if off < 2 else text, severity=severity)


def _scale_set(facts: Facts) -> Iterator[Finding]:
    if facts.scale_set is None:
        yield Finding(name="scale set", text="none named; `--scale-set NAME` asks for one")
    elif facts.scale_set_id is None:
        text = f"`{facts.scale_set}` does not exist in the runner group `{facts.group}`"
        yield Finding(name="scale set", text=text, severity=Severity.FAILURE)
    else:
        yield Finding(name="scale set", text=f"`{facts.scale_set}` has the id {facts.scale_set_id}")
        there, wanted = sorted(facts.labels, key=str.lower), sorted(facts.wanted_labels, key=str.lower)
        if wanted and [label.lower() for label in there] != [label.lower() for label in wanted]:
            text = (
                f"the service has {_listed(there)}, the configuration {_listed(wanted)}: jobs that ask for others wait"
            )
            yield Finding(name="labels", text=text, severity=Severity.WARNING)


def _round_trip(facts: Facts) -> Finding:
    middle = median(facts.round_trips)
    severity = Severity.WARNING if middle > SLOW_ROUND_TRIP else Severity.OK
    text = f"{_seconds(middle)}, the median of {len(facts.round_trips)}"
    return Finding(name="round trip", text=text, severity=severity)


def _connections(facts: Facts) -> Finding:
    if facts.opened_meanwhile:
        text = f"{facts.opened_meanwhile} opened for {len(facts.round_trips)} requests: they are not kept alive"
        return Finding(name="connections", text=text, severity=Severity.WARNING)
    return Finding(name="connections", text=f"{facts.warmed} open ahead, and used again")


def _group(facts: Facts, settings: Settings) -> Finding:
    capacity = settings.budget.group_capacity
    if facts.runners is None:
        known = f"; {facts.listed:,} runners of its scope are listed" if facts.listed else ""
        unknown = facts.listed is None or facts.listed >= NEARLY_FULL * capacity
        severity = Severity.WARNING if unknown else Severity.OK
        text = f"the service does not say how many of {capacity:,} runners `{facts.group}` holds{known}"
        return Finding(name="runner group", text=text, severity=severity)
    severity = Severity.WARNING if facts.runners >= NEARLY_FULL * capacity else Severity.OK
    text = f"`{facts.group}` holds {facts.runners:,} of {capacity:,} runners ({facts.runners / capacity:.0%})"
    return Finding(name="runner group", text=text, severity=severity)


def _shared(facts: Facts) -> Iterator[Finding]:
    if facts.shared is None:
        return
    if facts.shared.failure is not None:
        text = f"{facts.shared.failure}; this host would go on alone with its safe share of the limits"
        yield Finding(name="redis", text=text, severity=Severity.FAILURE)
    else:
        hosts = "1 host shares" if facts.shared.hosts == 1 else f"{facts.shared.hosts} hosts share"
        yield Finding(name="redis", text=f"answers in {_seconds(facts.shared.seconds)}; {hosts} the limits now")
        if facts.shared.evicts is not None:
            text = f"drops keys when its memory is full (`{facts.shared.evicts}`): set `maxmemory-policy noeviction`"
            yield Finding(name="redis", text=text, severity=Severity.WARNING)


def _predictions(facts: Facts, settings: Settings) -> Iterator[Finding]:
    middle = median(facts.round_trips)
    at_once = concurrency(settings)
    yield Finding(name="at once", text=f"up to {at_once} mints in flight, if the service bears them")
    for count in BURSTS:
        yield Finding(name=f"{count:,} runners", text=f"about {_seconds(burst_seconds(count, middle, settings))}")
    limit, window = settings.budget.registrations, format_duration(settings.budget.window)
    full = _seconds(burst_seconds(limit, middle, settings))
    yield Finding(name="limit", text=f"{limit:,} registrations in {window} are reached after about {full}")


def _listed(labels: Iterable[str]) -> str:
    return ", ".join(f"`{label}`" for label in labels) or "none"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:,.1f} s"
