"""The account of bursts: counts and timings from a burst's first call to its last outcome."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import add

from scaleset_burst.limits.classification import ClassifiedFailure
from scaleset_burst.minting.call import Call
from scaleset_burst.minting.histogram import Histogram
from scaleset_burst.minting.queue import Attempt, MintQueue
from scaleset_burst.minting.report import PARTS, BurstReport, ConfigTiming
from scaleset_hookspecs.errors import Rejected
from scaleset_hookspecs.types import FailureReason, JitConfig

__all__ = ["BurstLedger"]


MOST_TIMINGS = 2048
"""Configs of one burst whose timing is kept: calls that overlap make one burst of a week."""

MOST_NAMES = 1000
"""Scale sets counted by name; later ones are counted together."""


@dataclass(slots=True)
class _Account:
    started_at: float
    requests: int = 0
    waves: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    delivered: int = 0
    timings: deque[ConfigTiming] = field(default_factory=lambda: deque(maxlen=MOST_TIMINGS))


class BurstLedger:
    """Keeps an account for each scale set's running burst, and totals over all of them."""

    def __init__(self) -> None:
        self._running: dict[int, _Account] = {}
        self.last: BurstReport | None = None
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.seconds = Histogram()
        self.parts = ConfigTiming(*(0.0 for _ in PARTS))
        self._names: set[str] = set()
        self.bursts = 0
        self.waves = 0

    def serves(self, name: str) -> str:
        """Count a scale set from now on, by its name unless there are too many; return what it is counted by."""
        name = name if name in self._names or len(self._names) < MOST_NAMES else "other"
        if name not in self._names:
            self._names.add(name)
            self.outcomes[name, "minted"] += 0  # it shows that nothing has happened yet
        return name

    def begin(self, queue: MintQueue, now: float) -> None:
        """Open an account: the first call of a burst has come."""
        self._running[id(queue)] = _Account(started_at=now)

    def answered(self, attempt: Attempt, classes: Sequence[ClassifiedFailure | None]) -> None:
        """Note the answer to one request."""
        if (account := self._answered(attempt)) is not None:
            for classified in classes:
                account.classes["minted" if classified is None else classified.failure_class.value] += 1

    def minted(self, attempt: Attempt) -> None:
        """Note the answer to a request for one, which was granted."""
        if (account := self._answered(attempt)) is not None:
            account.classes["minted"] += 1

    def _answered(self, attempt: Attempt) -> _Account | None:
        account = self._running.get(id(attempt.queue))
        if account is not None:
            account.requests += 1
            if attempt.wave > account.waves:
                account.waves = attempt.wave
                self.waves += 1
        return account

    def delivered(self, queue: MintQueue, timing: ConfigTiming) -> None:
        """Note a config that reached its caller."""
        self.seconds.add(sum(timing))
        self.parts = ConfigTiming._make(map(add, self.parts, timing))
        account = self._running.get(id(queue))
        if account is not None:
            account.delivered += 1
            account.timings.append(timing)

    def returned(self, queue: MintQueue, call: Call) -> None:
        """Note what the slots of one call came to."""
        rest = FailureReason.REJECTED if isinstance(call.error, Rejected) else FailureReason.UNAVAILABLE
        name = self.serves(queue.ref.name)
        for outcome in call.outcomes:
            if isinstance(outcome, JitConfig):
                self.outcomes[name, "minted"] += 1
            elif outcome is not None or call.error is not None:
                self.outcomes[name, (rest if outcome is None else outcome.reason).value] += 1

    def end(self, queue: MintQueue, now: float, *, mints: int) -> BurstReport:
        """Close the account and return its report."""
        account = self._running.pop(id(queue), _Account(started_at=now))
        self.bursts += 1
        self.last = BurstReport(
            scale_set=queue.ref.name,
            seconds=now - account.started_at,
            waves=account.waves,
            requests=account.requests,
            classes=dict(account.classes),
            timings=tuple(account.timings),
            mints=mints,
            left_out=account.delivered - len(account.timings),
        )
        return self.last
