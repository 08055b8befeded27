"""What is remembered, and for how long each kind of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from scaleset_burst.settings.model import CacheSettings

__all__ = ["Kind", "KindCounters", "lifetimes"]


class Kind(StrEnum):
    """One sort of remembered fact."""

    SCALE_SET = "scale_set"
    """The settings of a scale set, by its id."""
    SCALE_SET_NAME = "scale_set_name"
    """The id of a scale set, by runner group and name."""
    RUNNER_GROUP = "runner_group"
    """The id of a runner group, by name."""
    RUNNER = "runner"
    """A registered runner, by its id."""
    STATISTICS = "statistics"
    """The counters of a scale set, by its id. Never used for scaling decisions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindCounters:
    """What happened to one kind so far. Each question is a hit, a miss or stale.

    Attributes:
        hits: Questions answered from memory, within the lifetime.
        misses: Questions that memory could not answer: the service did, or nobody could.
        stale: Questions answered with a value past its lifetime, marked so.
        refreshes: Look-ups started behind an answer, before the end of a lifetime.
        evictions: Values dropped before their end: to keep the bound, by an event, after a 404, or by hand.
        failures: Look-ups that failed.
    """

    hits: int = 0
    misses: int = 0
    stale: int = 0
    refreshes: int = 0
    evictions: int = 0
    failures: int = 0


def lifetimes(settings: CacheSettings) -> Mapping[Kind, float]:
    """Return the lifetime of each kind, in seconds; `ttl` where a kind has none of its own."""

    def own(value: float | None) -> float:
        return settings.ttl if value is None else value

    return MappingProxyType(
        {
            Kind.SCALE_SET: own(settings.scale_set_ttl),
            Kind.SCALE_SET_NAME: own(settings.scale_set_ttl),
            Kind.RUNNER_GROUP: own(settings.runner_group_ttl),
            Kind.RUNNER: own(settings.runner_ttl),
            Kind.STATISTICS: own(settings.statistics_ttl),
        }
    )
