"""When a mint that takes too long is asked for once more, under another name. Pure decisions over latencies.

Measured in docs/design/adaptive-concurrency.md.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from scaleset_burst.minting.call import Call

__all__ = ["Hedging", "may_ask_again"]

REMEMBERED = 128
"""Mints whose latency is remembered: two waves, so that a service that becomes slower is believed within one burst."""

QUICK = 0.9
LATE = 1.5
SLACK = 0.05
"""A mint is late after `LATE` times what nine of ten took, and these seconds more."""

SHARE = 10
"""One in so many of the runners of a call may be asked for twice, and one in any case."""


@dataclass(slots=True)
class Hedging:
    """Knows how long a mint takes, and so when one is late."""

    _latencies: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def minted(self, latency: float) -> None:
        """Note the latency of a mint in seconds."""
        self._latencies.append(latency)

    def late_after(self, in_flight: int) -> float | None:
        """Return after how many seconds a mint is late, or `None` as long as that cannot be told.

        Those in flight count as slower than all that were answered: the first answers of a burst are its quickest.
        """
        known = len(self._latencies)
        if known < max(1, in_flight):
            return None
        slow = min(known - 1, int((known + in_flight) * QUICK))
        return sorted(self._latencies)[slow] * LATE + SLACK


def may_ask_again(call: Call) -> bool:
    """Say whether one more runner of the call may be asked for twice, under another name than before."""
    return call.settings.names is None and call.hedged < max(1, len(call.outcomes) // SHARE)
