"""What the simulator counts: requests, connections, what was in flight, promises kept and broken."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Gauge"]

SECONDS_KEPT = 60
"""For so many seconds it is kept what was asked for in each."""


@dataclass(slots=True)
class Gauge:
    """The counters of one run.

    Attributes:
        told_until: Monotonic time before which no mint may arrive, because the service said so.
        told_at: When it said so first.
        grace: For so long afterwards a mint may still arrive that was on the wire when the client was told.
        crossed: Mints that did.
        broken: Mints received while told to wait.
        recent: The last seconds in which anything was asked for, each with its requests by kind.
    """

    requests: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    open: int = 0
    most_open: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    mints_in_flight: int = 0
    most_mints_in_flight: int = 0
    told_until: float = 0.0
    told_at: float = 0.0
    grace: float = 0.0
    crossed: int = 0
    broken: int = 0
    refused: int = 0
    recent: deque[tuple[int, Counter[str]]] = field(default_factory=lambda: deque(maxlen=SECONDS_KEPT))

    def connected(self) -> None:
        """Count a connection."""
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)

    def disconnected(self) -> None:
        """Count its end."""
        self.open -= 1

    def begin(self, kind: str, now: float) -> None:
        """Count a request that was received."""
        self.requests[kind] += 1
        if not self.recent or self.recent[-1][0] != int(now):
            self.recent.append((int(now), Counter()))
        self.recent[-1][1][kind] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        if kind in {"mint", "slice"}:
            self.mints_in_flight += 1
            self.most_mints_in_flight = max(self.most_mints_in_flight, self.mints_in_flight)
            if now < self.told_until:
                if now <= self.told_at + self.grace:
                    self.crossed += 1
                else:
                    self.broken += 1

    def end(self, kind: str, status: int) -> None:
        """Count its answer; status 0 is none."""
        self.in_flight -= 1
        self.statuses[str(status)] += 1
        if kind in {"mint", "slice"}:
            self.mints_in_flight -= 1

    def told_to_wait(self, now: float, seconds: float) -> None:
        """Note that an answer told the client to wait."""
        self.refused += 1
        if now >= self.told_until:
            self.told_at = now
        self.told_until = max(self.told_until, now + seconds)

    def lately(self, now: float) -> dict[str, list[int]]:
        """Return the requests of each kind in each of the last seconds, this one last; no kind without any."""
        oldest, found = int(now) - SECONDS_KEPT + 1, dict[str, list[int]]()
        for second, requests in self.recent:
            for kind, count in requests.items() if second >= oldest else ():
                found.setdefault(kind, [0] * SECONDS_KEPT)[second - oldest] = count
        return found

    def value(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "requests": dict(self.requests),
            "statuses": dict(self.statuses),
            "connections": self.connections,
            "connections_open": self.open,
            "most_connections_open": self.most_open,
            "in_flight": self.in_flight,
            "most_in_flight": self.most_in_flight,
            "mints_in_flight": self.mints_in_flight,
            "most_mints_in_flight": self.most_mints_in_flight,
            "requests_while_told_to_wait": self.broken,
            "crossed_while_told": self.crossed,
            "refused": self.refused,
        }

    def reset(self) -> None:
        """Begin anew; what is open or in flight stays counted as such."""
        self.requests.clear()
        self.statuses.clear()
        self.recent.clear()
        self.connections = self.broken = self.crossed = self.refused = 0
        self.most_open, self.most_in_flight, self.most_mints_in_flight = self.open, self.in_flight, self.mints_in_flight
