"""Which scale set may send next: each in its turn, and none looked at before something of it has changed."""

from __future__ import annotations

import asyncio
from collections import deque
from heapq import heappop, heappush
from itertools import count

from scaleset_burst.minting.queue import MintQueue

__all__ = ["Turns"]


class Turns:
    """The queues that may have something to send, in order, and those that wait for a time.

    A queue that can send nothing stands in neither: whatever changes that (a slot that is queued, a name written down,
    an answer) adds it again. So the work of an event does not grow with the number of scale sets.

    Attributes:
        changed: Set by what lets more be sent than before, outside of an answer; the dispatcher waits for it.
    """

    def __init__(self) -> None:
        self._ready: deque[MintQueue] = deque()
        self._listed: set[MintQueue] = set()
        self._later: list[tuple[float, int, MintQueue]] = []
        self._timed: dict[MintQueue, float] = {}
        self._order = count()
        self.changed = asyncio.Event()

    def add(self, queue: MintQueue) -> None:
        """Give a queue its turn behind the others, if it has something to send."""
        if queue.waiting and queue not in self._listed:
            self._listed.add(queue)
            self._ready.append(queue)

    def changed_for(self, queue: MintQueue) -> None:
        """Give a queue its turn that has more to send than before, and say so."""
        self.add(queue)
        self.changed.set()

    def keep(self, queue: MintQueue) -> None:
        """Let a queue that could not be served now be the next one."""
        self._listed.add(queue)
        self._ready.appendleft(queue)

    def add_at(self, queue: MintQueue, when: float) -> None:
        """Give a queue its turn at that monotonic time."""
        if self._timed.get(queue) != when:
            self._timed[queue] = when
            heappush(self._later, (when, next(self._order), queue))

    def take(self, now: float) -> MintQueue | None:
        """Take the queue whose turn it is, if there is one."""
        while self._later and self._later[0][0] <= now:
            when, _, queue = heappop(self._later)
            if self._timed.get(queue) == when:
                del self._timed[queue]
            self.add(queue)
        if not self._ready:
            return None
        queue = self._ready.popleft()
        self._listed.discard(queue)
        return queue

    @property
    def next_at(self) -> float | None:
        """When the next queue gets its turn by time."""
        return self._later[0][0] if self._later else None
