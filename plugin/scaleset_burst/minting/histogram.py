"""Counts of values by size: the seconds of mints, the way Prometheus takes them."""

from bisect import bisect_left
from dataclasses import dataclass

__all__ = ["MINT_BOUNDS", "Histogram", "HistogramValues"]

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

    def __add__(self, other: "HistogramValues") -> "HistogramValues":
        """Return the counts of both, which have the same bounds."""
        counts = tuple(mine + others for mine, others in zip(self.counts, other.counts, strict=True))
        return HistogramValues(bounds=self.bounds, counts=counts, total=self.total + other.total)


class Histogram:
    """Counts values into buckets."""

    def __init__(self, bounds: tuple[float, ...] = MINT_BOUNDS) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def values(self) -> HistogramValues:
        """Return the counts so far."""
        return HistogramValues(bounds=self._bounds, counts=tuple(self._counts), total=self._total)
