"""The account of bursts: counts and timings from a burst's first call to its last outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from scaleset_burst.minting.classification import Verdict
from scaleset_burst.minting.lane import Attempt, Lane
from scaleset_burst.minting.report import BurstReport, ConfigTiming

__all__ = ["BurstLedger"]

LATENCY_KEPT = 4096


@dataclass(slots=True)
class _Account:
    started_at: float
    requests: int = 0
    waves: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    timings: list[ConfigTiming] = field(default_factory=list)


class BurstLedger:
    """Keeps an account for each scale set's running burst, and totals over all of them."""

    def __init__(self) -> None:
        self._running: dict[int, _Account] = {}
        self.last: BurstReport | None = None
        self.strays_removed = 0
        self.outcomes: Counter[str] = Counter()
        self.waves = 0
        self.latencies: list[float] = []

    def begin(self, lane: Lane, now: float) -> None:
        """Open an account: the first call of a burst has come."""
        self._running[id(lane)] = _Account(started_at=now)

    def answered(self, attempt: Attempt, verdicts: Sequence[Verdict | None]) -> None:
        """Note the answer to one request."""
        for verdict in verdicts:
            self.outcomes["minted" if verdict is None else verdict.fate.value] += 1
        account = self._running.get(id(attempt.lane))
        if account is None:
            return
        account.requests += 1
        if attempt.wave > account.waves:
            account.waves = attempt.wave
            self.waves += 1
        for verdict in verdicts:
            account.verdicts["minted" if verdict is None else verdict.fate.value] += 1

    def delivered(self, lane: Lane, timing: ConfigTiming) -> None:
        """Note a config that reached its caller."""
        if len(self.latencies) < LATENCY_KEPT:
            self.latencies.append(timing.server)
        account = self._running.get(id(lane))
        if account is not None:
            account.timings.append(timing)

    def end(self, lane: Lane, now: float, *, strays: int) -> BurstReport:
        """Close the account and return its report."""
        account = self._running.pop(id(lane), _Account(started_at=now))
        self.last = BurstReport(
            scale_set=lane.ref.name,
            seconds=now - account.started_at,
            waves=account.waves,
            requests=account.requests,
            verdicts=dict(account.verdicts),
            timings=tuple(account.timings),
            strays=strays,
        )
        return self.last
