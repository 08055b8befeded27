"""Which scale set may send next: each in its turn, and none looked at before something of it has changed."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from itertools import count

from scaleset_burst.minting.lane import Lane

__all__ = ["Turns"]


class Turns:
    """The queues that may have something to send, in order, and those that wait for a time.

    A queue that can send nothing stands in neither: whatever changes that (a slot that is queued, a name written down,
    an answer) adds it again. So the work of an event does not grow with the number of scale sets.
    """

    def __init__(self) -> None:
        self._ready: deque[Lane] = deque()
        self._listed: set[Lane] = set()
        self._later: list[tuple[float, int, Lane]] = []
        self._timed: dict[Lane, float] = {}
        self._order = count()

    def add(self, lane: Lane) -> None:
        """Give a queue its turn behind the others, if it has something to send."""
        if lane.waiting and lane not in self._listed:
            self._listed.add(lane)
            self._ready.append(lane)

    def keep(self, lane: Lane) -> None:
        """Let a queue that could not be served now be the next one."""
        self._listed.add(lane)
        self._ready.appendleft(lane)

    def add_at(self, lane: Lane, when: float) -> None:
        """Give a queue its turn at that monotonic time."""
        if self._timed.get(lane) != when:
            self._timed[lane] = when
            heappush(self._later, (when, next(self._order), lane))

    def take(self, now: float) -> Lane | None:
        """Take the queue whose turn it is, if there is one."""
        while self._later and self._later[0][0] <= now:
            when, _, lane = heappop(self._later)
            if self._timed.get(lane) == when:
                del self._timed[lane]
            self.add(lane)
        if not self._ready:
            return None
        lane = self._ready.popleft()
        self._listed.discard(lane)
        return lane

    @property
    def next_at(self) -> float | None:
        """When the next queue gets its turn by time."""
        return self._later[0][0] if self._later else None
