"""The registrations a scope may make: a sliding window, and the pauses the service imposes. Pure decisions."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import merge
from random import Random

from scaleset_client.retrying import doubling, least_pause

__all__ = ["Budget"]

DEFAULT_PAUSE = 60.0
"""Seconds to wait when a rate limit comes without a time (GitHub's documented minimum)."""

LONGEST_PAUSE = 3600.0


@dataclass(slots=True)
class Budget:
    """Never more than `limit` registrations in any `window` seconds, and none while told to wait.

    A registration is committed at an unknown moment between its request and the answer, so it counts from the moment
    it is sent until `window` seconds after its answer: then no window, wherever it starts, can hold too many. Without
    a clear answer it may be committed later still: an unresolved mint holds its place until it is resolved, at the
    latest until one that came as late as can be has left the window, so that nothing blocks it for ever.

    Attributes:
        sent: Registrations in flight or unresolved.
        held: Until when (monotonic) each unresolved mint holds its place at the latest.
        spent: Times (monotonic) at which answered registrations leave the window, with their numbers.
        paused_until: Nothing may be sent before.
        probing: A pause has ended and one request is finding out whether it really has.
    """

    limit: int
    window: float
    sent: int = 0
    used: int = 0
    spent: deque[tuple[float, int]] = field(default_factory=deque)
    paused_until: float | None = None
    probing: bool = False
    probe_sent_at: float = 0.0
    refusals: int = 0
    held: deque[float] = field(default_factory=deque)

    def allow(self, now: float, wanted: int) -> int:
        """Return how many of `wanted` registrations may be sent now. While told to wait: none, then one probe."""
        if self.paused_until is not None and (now < self.paused_until or self.probing):
            return 0
        self._expire(now)
        room = self.limit - self.used - self.sent
        if self.paused_until is not None:
            room = min(room, 1)
        return max(0, min(wanted, room))

    def reserve(self, now: float, count: int) -> None:
        """Count registrations that leave now."""
        if self.paused_until is not None and count:
            self.probing = True
            self.probe_sent_at = now
        self.sent += count

    def settle(self, now: float, committed: int, released: int) -> None:
        """Count answers: `committed` ones (or possibly so) stay in the window, `released` ones never happened."""
        self.sent -= committed + released
        if committed:
            self.used += committed
            self.spent.append((now + self.window, committed))

    def hold(self, until: Sequence[float]) -> None:
        """Keep the places of sent registrations whose answer was none, each until then at the latest."""
        if until:
            self.held = deque(sorted((*self.held, *until)))

    def resolved(self, now: float, until: float, *, registered: bool) -> None:
        """Note what became of an unresolved mint: it counts from now, since it came no later, or never happened."""
        self._expire(now)
        if until in self.held:
            self.held.remove(until)
            self.settle(now, int(registered), int(not registered))

    def recall(self, now: float, registered: Iterable[tuple[float, int]]) -> None:
        """Count what was registered before this process began: how many seconds ago, how many."""
        before = sorted((now - age + self.window, count) for age, count in registered)
        self.spent = deque(sorted((*before, *self.spent)))
        self.used += sum(count for _, count in before)

    def resume_pause(self, now: float, seconds: float) -> None:
        """Go on with a pause that the service asked for before this process began, and that has `seconds` left."""
        if seconds > 0:
            self.paused_until = max(self.paused_until or 0.0, now + seconds)

    def succeeded(self, sent_at: float) -> None:
        """Note an answer that was no rate limit: a probe's success ends the pause, an older request's does not."""
        if self.probing and sent_at >= self.probe_sent_at:
            self.paused_until = None
            self.probing = False
            self.refusals = 0

    def undecided(self, sent_at: float) -> None:
        """Note a request that told nothing: if it was the probe, the next one may go."""
        if sent_at >= self.probe_sent_at:
            self.probing = False

    def told_to_wait(self, now: float, retry_after: float | None, random: Random) -> float:
        """Note a rate limit; return until when nothing is sent. Without a time: a minute, doubling, with jitter.

        A time that is too short, or none at all, grows with each refusal in a row.
        """
        if self.probing or self.paused_until is None:
            self.refusals += 1
        self.probing = False
        wait = retry_after
        if wait is None:
            wait = doubling(DEFAULT_PAUSE, LONGEST_PAUSE, self.refusals) * (1 + 0.1 * random.random())
        self.paused_until = max(self.paused_until or 0.0, now + max(wait, least_pause(self.refusals)))
        return self.paused_until

    def opens_at(self, now: float) -> float | None:
        """Return when time alone allows one more; `None` if it is open, or only an answer can open it."""
        self._expire(now)
        if self.paused_until is not None and now < self.paused_until:
            return max(self.paused_until, self._room_at(now, 1) or 0.0)
        return self._room_at(now, 1)

    def eta(self, now: float, count: int) -> float:
        """Return when the last of `count` more registrations is allowed at the earliest (monotonic seconds)."""
        self._expire(now)
        start = max(now, self.paused_until or 0.0)
        rounds, rest = divmod(max(1, count) - 1, self.limit)
        at = self._room_at(now, rest + 1)
        if at is None and self.limit - self.used - self.sent <= rest:
            at = now + self.window  # what is in flight now leaves the window a window after its answer
        return max(start, at or 0.0) + rounds * self.window

    @property
    def in_flight(self) -> int:
        """Return how many registrations are in flight; what became of unresolved ones is looked for meanwhile."""
        return self.sent - len(self.held)

    def used_at(self, now: float) -> int:
        """Return how many registrations the window holds, those in flight included; changes nothing."""
        return self.sent + sum(count for leaves, count in tuple(self.spent) if leaves > now)

    def pause_left(self, now: float) -> float:
        """Return for how many seconds the service has forbidden any more; changes nothing."""
        return max(0.0, (self.paused_until or now) - now)

    def _expire(self, now: float) -> None:
        while self.spent and self.spent[0][0] <= now:
            self.used -= self.spent.popleft()[1]
        while self.held and self.held[0] <= now:
            self.held.popleft()
            self.sent -= 1

    def _room_at(self, now: float, count: int) -> float | None:
        room = self.limit - self.used - self.sent
        if room >= count:
            return None
        # A window before the latest possible moment it is known, as a rule, what became of an unresolved mint.
        held = ((max(until - self.window, now + 1.0), 1) for until in self.held)
        for leaves, number in merge(self.spent, held):
            room += number
            if room >= count:
                return leaves
        return None
