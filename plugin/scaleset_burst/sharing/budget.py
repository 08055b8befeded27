"""The limits of a scope as one of several hosts sees them: what it was granted, and what it may do alone. Pure."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from scaleset_burst.limits.budget import Budget

__all__ = ["NEVER", "Fallback", "SharedBudget"]

NEVER = float("-inf")

SLACK = 10.0
"""Seconds that hosts may differ in when they noticed that Redis became unavailable."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """What a host may use alone in any window, so that all hosts together stay within the limit.

    While Redis answered, it counted for each host what was used, granted and promised, and all of that together was
    within the limit. So a host that keeps within its own part of that sum is safe without asking, whatever the others
    do. After one window those with more than an equal share fall back to it; after another one those with less may
    rise to it.

    Attributes:
        base: Used, granted and promised when Redis became unavailable.
        share: An equal share of the limit.
        since: Monotonic time when it became unavailable.
        window: Seconds.
    """

    base: int
    share: int
    since: float
    window: float

    def limit(self, now: float) -> int:
        """Return how much the window of this host may hold now; never nothing, so that no burst is stuck."""
        age = now - self.since
        if age < self.window + SLACK:
            return max(1, self.base)
        if age < 2 * self.window + 2 * SLACK:
            return max(1, min(self.base, self.share))
        return max(1, self.share)


@dataclass(slots=True)
class SharedBudget(Budget):
    """A `Budget` that spends what Redis granted, and keeps within a fallback while Redis is unavailable.

    Attributes:
        whole: The limit that all hosts share.
        online: Redis answers: only granted registrations are sent.
        tokens: Granted and not sent.
        promise: What Redis keeps back for this host in case it is unavailable.
        fallback: What holds while it is away.
        unreported: Settled registrations that Redis does not count as used yet.
        before: What the journal knows of the time before this process began, as in `spent`; Redis may know it already.
        told: Until when (monotonic) the service told us to wait, if Redis does not know yet.
        cleared: Our probe ended a pause, which Redis does not know yet.
        may_probe: Redis let us find out whether a pause is over.
        lasts_until: Until when (monotonic) what was granted is surely ours: Redis takes a silent host for dead.
        ask_at: Asking for more makes no sense before (monotonic).
        room_at: When something leaves the window that all hosts share (monotonic).
        news: Set when Redis is to be told something now.
    """

    whole: int = 0
    online: bool = False
    tokens: int = 0
    promise: int = 0
    fallback: Fallback | None = None
    unreported: int = 0
    before: tuple[tuple[float, int], ...] = ()
    told: float = 0.0
    cleared: bool = False
    may_probe: bool = False
    lasts_until: float = float("inf")
    ask_at: float = 0.0
    room_at: float = 0.0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def allow(self, now: float, wanted: int) -> int:
        """Return how many of `wanted` registrations may be sent now."""
        self._adjust(now)
        if not self.online:
            return Budget.allow(self, now, wanted)
        if now >= self.lasts_until:
            return self._ask(now)
        if self.paused_until is not None:
            if now < self.paused_until or self.probing:
                return 0
            if not self.may_probe:
                return self._ask(now)
            wanted = min(wanted, 1)
        if self.tokens < 1:
            return self._ask(now)
        return min(wanted, self.tokens)

    def reserve(self, now: float, count: int) -> None:
        """Count registrations that leave now."""
        Budget.reserve(self, now, count)
        if self.online:
            self.tokens -= count

    def settle(self, now: float, committed: int, released: int) -> None:
        """Count answers; what never happened can be sent again."""
        Budget.settle(self, now, committed, released)
        self.unreported += committed
        if self.online:
            self.tokens += released

    def recall(self, now: float, registered: Iterable[tuple[float, int]]) -> None:
        """Count what was registered before this process began, until Redis does, which is told at the next join."""
        before = tuple(registered)
        Budget.recall(self, now, before)
        self.before += tuple((now - age + self.window, count) for age, count in before)

    def succeeded(self, sent_at: float) -> None:
        """Note an answer that was no rate limit."""
        was = self.paused_until
        Budget.succeeded(self, sent_at)
        if was is not None and self.paused_until is None:
            self.cleared, self.told = True, 0.0
            self.news.set()

    def told_to_wait(self, now: float, retry_after: float | None, random: Random) -> float:
        """Note a rate limit, for all hosts."""
        until = Budget.told_to_wait(self, now, retry_after, random)
        self.told = max(self.told, until)
        self.cleared, self.may_probe = False, False
        self.news.set()
        return until

    def opens_at(self, now: float) -> float | None:
        """Return when to ask again, if time alone opens it."""
        self._adjust(now)
        if not self.online:
            return Budget.opens_at(self, now)
        if self.paused_until is not None and now < self.paused_until:
            return self.paused_until
        if self.tokens > 0 and (self.paused_until is None or self.may_probe):
            return None
        return self.ask_at if self.ask_at > now else None

    def eta(self, now: float, count: int) -> float:
        """Return when the last of `count` more is allowed at the earliest, were the shares to stay as they are."""
        self._adjust(now)
        if self.online and count <= self.tokens:
            return max(now, self.paused_until or now)
        at = Budget.eta(self, now, max(1, count - self.tokens if self.online else count))
        return max(at, self.room_at) if self.online else at

    def keeps(self, now: float) -> int:
        """Return how many this host may send without Redis, beside those that were granted."""
        if self.online:
            return self.promise
        self._adjust(now)
        return max(0, self.limit - self.used_at(now))

    def became_unavailable(self, now: float, hosts: int) -> None:
        """Note that Redis does not answer any more: from now on keep within our own part."""
        if self.online:
            base = self.used_at(now) + self.tokens + self.promise
            self.fallback = Fallback(base, self.whole // max(1, hosts), now, self.window)
        self.online, self.tokens, self.promise = False, 0, 0

    def came_back(self, granted: int, promise: int) -> None:
        """Note that Redis counts everything of ours again, and what was registered before we began."""
        for each in self.before:
            if each in self.spent:
                self.spent.remove(each)
                self.used -= each[1]
        self.online = True
        self.tokens += granted
        self.promise = promise

    def known_hosts(self, hosts: int) -> None:
        """Note how many hosts there are, before Redis has granted anything for the first time."""
        if self.fallback is not None and self.fallback.since == NEVER:
            share = self.whole // max(1, hosts)
            self.fallback = Fallback(share, share, NEVER, self.window)

    def _adjust(self, now: float) -> None:
        self._expire(now)
        if not self.online and self.fallback is not None:
            self.limit = self.fallback.limit(now)

    def _ask(self, now: float) -> int:
        if now >= self.ask_at:
            self.news.set()
        return 0
