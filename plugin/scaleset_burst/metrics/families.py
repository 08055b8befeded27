"""Every metric, declared once: the collector and the reference page are held to this list."""

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from scaleset_burst.metrics.bounding import OUTCOMES, Bounded
from scaleset_burst.minting.histogram import HistogramValues
from scaleset_burst.telemetry import EngineSnapshot

__all__ = ["FAMILIES", "PREFIX", "Family", "Sample"]

PREFIX = "scaleset_burst_"

Sample: TypeAlias = tuple[tuple[str, ...], float | HistogramValues]
"""Values of the labels after `scope`, and the value."""

Read: TypeAlias = Callable[[EngineSnapshot, Bounded], Iterable[Sample]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric.

    Attributes:
        name: Its full name, as Prometheus shows it.
        type: How it behaves.
        labels: Its labels, `scope` first.
        help: What it says, in one sentence.
        read: Takes its samples from a snapshot.
        combine: What two engines of one scope show together: by default the sum.
    """

    name: str
    type: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    read: Read
    combine: Callable[[float, float], float] = operator.add


def _one(
    name: str,
    kind: Literal["counter", "gauge"],
    text: str,
    field: str,
    combine: Callable[[float, float], float] = operator.add,
) -> Family:
    def read(snapshot: EngineSnapshot, _bounded: Bounded) -> Iterable[Sample]:
        value = getattr(snapshot, field)
        return [] if value is None else [((), float(value))]

    return Family(name=PREFIX + name, type=kind, labels=("scope",), help=text, read=read, combine=combine)


def _mints(snapshot: EngineSnapshot, bounded: Bounded) -> Iterable[Sample]:
    known = {*bounded.named, *(bounded.scale_set(name) for name, _ in snapshot.mints)}
    # What has not happened is 0: else the first failure of a kind would be no increase.
    summed: dict[tuple[str, ...], float] = {(name, outcome): 0.0 for name in known for outcome in sorted(OUTCOMES)}
    for (name, outcome), count in snapshot.mints.items():
        labels = (bounded.scale_set(name), outcome if outcome in OUTCOMES else "other")
        summed[labels] = summed.get(labels, 0.0) + count
    return summed.items()


def _mint_seconds(snapshot: EngineSnapshot, _bounded: Bounded) -> Iterable[Sample]:
    return [((), snapshot.mint_seconds)]


def _mint_parts(snapshot: EngineSnapshot, _bounded: Bounded) -> Iterable[Sample]:
    return [((part,), seconds) for part, seconds in snapshot.mint_parts.items()]


def _requests(snapshot: EngineSnapshot, bounded: Bounded) -> Iterable[Sample]:
    summed: dict[tuple[str, ...], float] = {}
    for kind, count in snapshot.requests.items():
        labels = (bounded.request_kind(kind),)
        summed[labels] = summed.get(labels, 0.0) + count
    return summed.items()


def _cache_requests(snapshot: EngineSnapshot, _bounded: Bounded) -> Iterable[Sample]:
    for kind, counters in snapshot.cache.items():
        yield (str(kind), "hit"), float(counters.hits)
        yield (str(kind), "miss"), float(counters.misses)
        yield (str(kind), "stale"), float(counters.stale)


def _cache(name: str, text: str, field: str) -> Family:
    def read(snapshot: EngineSnapshot, _bounded: Bounded) -> Iterable[Sample]:
        return [((str(kind),), float(getattr(counters, field))) for kind, counters in snapshot.cache.items()]

    return Family(name=PREFIX + name, type="counter", labels=("scope", "kind"), help=text, read=read)


FAMILIES: tuple[Family, ...] = (
    Family(
        name=PREFIX + "mints_total",
        type="counter",
        labels=("scope", "scale_set", "outcome"),
        help="JIT configs asked for, by what became of them.",
        read=_mints,
    ),
    Family(
        name=PREFIX + "mint_duration_seconds",
        type="histogram",
        labels=("scope",),
        help="Time from the demand of a JIT config to its delivery.",
        read=_mint_seconds,
    ),
    Family(
        name=PREFIX + "mint_part_seconds_total",
        type="counter",
        labels=("scope", "part"),
        help="Where the time of delivered JIT configs went, in bursts that ended.",
        read=_mint_parts,
    ),
    _one("bursts_total", "counter", "Bursts that ended.", "bursts"),
    _one("waves_total", "counter", "Waves of mint requests, one behind the other, in these bursts.", "waves"),
    _one("mints_waiting", "gauge", "Mints asked for and not sent yet.", "waiting"),
    _one("mints_waiting_seconds", "gauge", "How long the limits let the last of them wait.", "eta_seconds", max),
    _one("mint_requests_in_flight", "gauge", "Mint requests under way.", "in_flight"),
    _one("concurrency_limit", "gauge", "Mint requests that may be under way at once.", "concurrency_limit"),
    _one("budget_used_registrations", "gauge", "Registrations in the window that ends now.", "budget_used"),
    _one("budget_left_registrations", "gauge", "Registrations that the window still allows.", "budget_left", min),
    _one("limit_pause_seconds", "gauge", "How long the limits keep mints back from now on.", "pause_seconds", max),
    _one("connections_open", "gauge", "Connections for short calls that are open.", "connections_open"),
    _one("connections_opened_total", "counter", "Connections opened.", "connections_opened"),
    Family(
        name=PREFIX + "requests_total",
        type="counter",
        labels=("scope", "kind"),
        help="Requests sent, by kind, repeats included.",
        read=_requests,
    ),
    _one("token_renewals_total", "counter", "Token chains completed.", "token_renewals"),
    Family(
        name=PREFIX + "cache_requests_total",
        type="counter",
        labels=("scope", "kind", "result"),
        help="Questions to the metadata cache: answered from memory, not answered from it, or answered stale.",
        read=_cache_requests,
    ),
    _cache("cache_refreshes_total", "Look-ups started behind an answer, before the end of a lifetime.", "refreshes"),
    _cache("cache_evictions_total", "Values dropped before their end.", "evictions"),
    _cache("cache_failures_total", "Look-ups that failed.", "failures"),
    _one("ghosts_removed_total", "counter", "Registrations that nobody would use, removed.", "ghosts_removed"),
    _one("unresolved_mints", "gauge", "Names that may be registered and are not resolved yet.", "unresolved_mints"),
    _one("journal_open_entries", "gauge", "Names in the journal whose end is not known yet.", "journal_open"),
    _one(
        "sharing_hosts",
        "gauge",
        "Hosts that share the limits through Redis; 0 while it is unavailable, absent without it.",
        "sharing_hosts",
        max,
    ),
)
