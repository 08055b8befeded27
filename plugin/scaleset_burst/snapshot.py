"""What an engine shows of itself at one moment: plain values, for metrics and reports. No secrets pass through here."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from scaleset_burst.metadata.kinds import KindCounters

__all__ = ["MINT_BOUNDS", "EngineSnapshot", "Histogram", "HistogramValues"]

MINT_BOUNDS = (0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 300.0)
"""Upper bounds in seconds: a mint takes a few hundred milliseconds, one that waits for the limits minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramValues:
    """How often values fell into which bucket.

    Attributes:
        bounds: Upper bounds, ascending, each inclusive.
        counts: One count for each bound, and one for what lies above the last; not cumulative.
        total: Sum of the values.
    """

    bounds: tuple[float, ...] = MINT_BOUNDS
    counts: tuple[int, ...] = (0,) * (len(MINT_BOUNDS) + 1)
    total: float = 0.0

    def cumulative(self) -> list[tuple[str, float]]:
        """Return upper bound and count of all values up to it, the way Prometheus wants them."""
        pairs, so_far = [], 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            so_far += count
            pairs.append(("+Inf" if bound == float("inf") else repr(float(bound)), float(so_far)))
        return pairs


class Histogram:
    """Counts values into buckets; fed once for each wave, so that a mint pays nothing for it."""

    def __init__(self, bounds: tuple[float, ...] = MINT_BOUNDS) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def observe(self, values: Iterable[float]) -> None:
        """Count what one wave brought."""
        for value in values:
            self._counts[bisect_left(self._bounds, value)] += 1
            self._total += value

    def values(self) -> HistogramValues:
        """Return the counts so far."""
        return HistogramValues(bounds=self._bounds, counts=tuple(self._counts), total=self._total)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSnapshot:
    """One engine at one moment; counts are since its start, times in seconds.

    Attributes:
        scope: Host and path of the enterprise, organisation or repository.
        mints: Outcomes by scale set name and outcome (`minted`, or the value of a `FailureReason`).
        mint_seconds: From the demand of each delivered config to its delivery.
        bursts: Bursts that ended.
        waves: Waves of mint requests of these bursts, one behind the other.
        in_flight: Mint requests under way now.
        concurrency_limit: How many there may be now.
        budget_used: Registrations in the window that ends now.
        budget_left: Registrations that the window still allows.
        pause_seconds: How long the limits keep mints back from now on; 0 if they do not.
        connections_open: Connections for short calls open now.
        connections_opened: Connections opened.
        requests: Requests sent, by kind, repeats included.
        token_renewals: Token chains completed.
        cache: What happened in the cache, by kind.
        ghosts_removed: Registrations that nobody would use, found and removed.
        strays_open: Names that may be registered and are not resolved yet.
        journal_open: Names in the journal whose end is not known yet.
    """

    scope: str
    mints: Mapping[tuple[str, str], int] = field(default_factory=dict)
    mint_seconds: HistogramValues = field(default_factory=HistogramValues)
    bursts: int = 0
    waves: int = 0
    in_flight: int = 0
    concurrency_limit: int = 0
    budget_used: int = 0
    budget_left: int = 0
    pause_seconds: float = 0.0
    connections_open: int = 0
    connections_opened: int = 0
    requests: Mapping[str, int] = field(default_factory=dict)
    token_renewals: int = 0
    cache: Mapping[str, KindCounters] = field(default_factory=dict)
    ghosts_removed: int = 0
    strays_open: int = 0
    journal_open: int = 0
