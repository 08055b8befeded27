"""Runners of an earlier life of the host that the service counts and nobody has named: ours until shown otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scaleset_hookspecs.host.fleet.runner import Runner
from scaleset_hookspecs.host.fleet.values import FleetLimits
from scaleset_hookspecs.types import Statistics

__all__ = ["Unnamed"]


@dataclass(slots=True)
class Unnamed:
    """How many there may be.

    Attributes:
        count: As many may be alive; it never rises again after the first counters.
    """

    count: int = 0
    _began: float | None = None
    _window_since: float = 0.0
    _window_most: int = 0

    def counted(self, statistics: Statistics, runners: Iterable[Runner], now: float, limits: FleetLimits) -> None:
        """Take up counters: what they cannot hold beside the named runners, for as long as they lag, is gone.

        What could have been booting when this life began is online by the start time-out, or never will be.
        """
        if self._began is None:
            self._began = self._window_since = now
            self.count = statistics.registered_runners - sum(runner.counted for runner in runners)
        named = [
            runner
            for runner in runners
            if runner.registered and not runner.ended and runner.since + limits.event_lag <= now
        ]
        rest = statistics.registered_runners - len(named)
        if now >= self._began + limits.start_timeout:
            online = statistics.busy_runners + statistics.idle_runners - sum(runner.online for runner in named)
            rest = min(rest, online)
        self._window_most = max(self._window_most, rest)
        if now >= self._window_since + limits.event_lag and now > self._began:
            self.count = min(self.count, self._window_most)
            self._window_since, self._window_most = now, rest
        self.count = max(0, min(self.count, statistics.registered_runners))

    def named(self, runner: Runner) -> None:
        """Take one out that is known by name now."""
        if runner.registered and not runner.counted:
            runner.counted = True
            self.count = max(0, self.count - 1)

    def places(self, statistics: Statistics, seen: int) -> int:
        """Return how many of them serve the demand: those that the counters say are online, beyond the named ones."""
        return min(self.count, max(0, statistics.busy_runners + statistics.idle_runners - seen))
