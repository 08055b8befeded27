"""Where the seconds of a burst went: for each config, and in all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

__all__ = ["PARTS", "BurstReport", "ConfigTiming"]


class ConfigTiming(NamedTuple):
    """The seconds of one config, from its demand to its delivery; the parts sum to the total by construction.

    Attributes:
        queue: Waiting for its turn.
        budget: Waiting while the limits were closed.
        token: The request waited for credentials.
        connect: The request waited for a connection.
        server: The service worked, and the network.
        retry: Earlier attempts that failed.
        delivery: From the answer until the caller had it.
    """

    queue: float
    budget: float
    token: float
    connect: float
    server: float
    retry: float
    delivery: float

    @property
    def total(self) -> float:
        """From demand to delivery."""
        return sum(self)

    @classmethod
    def from_times(
        cls,
        *,
        queued: float,
        first_sent: float,
        sent: float,
        answered: float,
        delivered: float,
        budget_wait: float = 0.0,
        token: float = 0.0,
        connect: float = 0.0,
    ) -> ConfigTiming:
        """Divide the way from `queued` to `delivered` (monotonic seconds) into its parts."""
        waited = sent - queued
        budget = min(max(0.0, budget_wait), waited)
        retry = min(sent - first_sent, waited - budget)
        token = min(token, answered - sent)
        connect = min(connect, answered - sent - token)
        server = answered - sent - token - connect
        return cls(waited - budget - retry, budget, token, connect, server, retry, delivered - answered)


PARTS = ConfigTiming._fields
"""The parts of a config's time, in the order of a burst without trouble."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstReport:
    """One burst of one scale set.

    Attributes:
        seconds: From its first call to its last outcome.
        waves: Requests one behind the other, at the most.
        classes: How many names came to what (`minted`, `ambiguous`, …).
        timings: Of its configs; of the last of them, if there are very many.
        left_out: Configs delivered whose timing is not among them.
        mints: Names still being resolved off the critical path when it ended.
    """

    scale_set: str
    seconds: float
    waves: int
    requests: int
    classes: Mapping[str, int]
    timings: tuple[ConfigTiming, ...]
    mints: int = 0
    left_out: int = 0

    def lines(self) -> list[str]:
        """Return the report as lines of text for people."""
        classes = ", ".join(f"{count} {name}" for name, count in sorted(self.classes.items()))
        head = (
            f"burst of {self.scale_set}: {len(self.timings) + self.left_out} delivered in {self.seconds:.3f} s, "
            f"{self.requests} requests in {self.waves} waves ({classes or 'nothing sent'})"
        )
        if not self.timings:
            return [head]
        rows = [head, f"  {'seconds':<10}{'median':>9}{'p99':>9}{'max':>9}{'share':>8}"]
        everything = sum(timing.total for timing in self.timings) or 1.0
        for part in (*PARTS, "total"):
            values = sorted(getattr(timing, part) for timing in self.timings)
            rows.append(
                f"  {part:<10}{median(values):>9.4f}{_at(values, 0.99):>9.4f}{values[-1]:>9.4f}"
                f"{sum(values) / everything:>8.1%}"
            )
        return rows


def _at(ordered: Iterable[float], share: float) -> float:
    values = list(ordered)
    return values[min(len(values) - 1, int(share * len(values)))]
