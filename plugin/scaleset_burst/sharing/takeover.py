"""Finds hosts that fell silent: by watching whether their count of heartbeats moves, not by anybody's clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Watch"]


@dataclass(slots=True)
class Watch:
    """What one host has seen of the others. Only silence that was watched without a gap counts.

    Redis may come back with old data, or may have been away: then hosts seem silent that only had nobody to talk to.
    And whoever was paused itself may have been so together with all the others.

    Attributes:
        lease: Seconds of watched silence after which a host is dead.
    """

    lease: float
    _seen: dict[str, tuple[str, float]] = field(default_factory=dict)
    _looked_up_at: float = float("-inf")

    def silent(self, heartbeats: Mapping[str, str], now: float, *, but: str) -> list[tuple[str, str]]:
        """Return the hosts that are dead, each with its last count of heartbeats.

        Args:
            heartbeats: Each host's count of heartbeats.
            now: Monotonic time in seconds.
            but: Ourselves.
        """
        if now - self._looked_up_at > self.lease / 2:
            self.interrupted()
        self._looked_up_at = now
        self._seen = {
            host: seen if (seen := self._seen.get(host)) is not None and seen[0] == count else (count, now)
            for host, count in heartbeats.items()
            if host != but
        }
        return [(host, count) for host, (count, since) in self._seen.items() if now - since >= self.lease]

    def interrupted(self) -> None:
        """Forget what was seen: nobody watched for a while."""
        self._seen.clear()
