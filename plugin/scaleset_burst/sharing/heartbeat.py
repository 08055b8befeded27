"""Heartbeats: tell Redis what this host used and wants, and take what it grants; in between nothing is asked."""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass
from typing import Protocol

from scaleset_burst.sharing.budget import SharedBudget
from scaleset_burst.sharing.keys import Keys
from scaleset_burst.sharing.scripts import HEARTBEAT, JOIN, LEAVE
from scaleset_burst.sharing.store import RedisUnavailable, Store, milliseconds_of, seconds_of
from scaleset_client.clock import Clock, woken

__all__ = ["HEARTBEAT_SECONDS", "Heartbeat", "ThisHost", "Tuning"]

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 1.0
SETTLE_SECONDS = 5.0
"""Time for all hosts to tell an empty Redis what they have used, before anything is granted."""

PROBE_SECONDS = 30.0
"""A host that was to find out whether a pause is over and does not say is replaced after this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What the heartbeats are told by the configuration.

    Attributes:
        lease: Seconds of silence after which a host counts as dead.
        window: Seconds of the limit's window.
        hosts: How many hosts to assume while Redis has never answered.
    """

    lease: float
    window: float
    hosts: int


class ThisHost(Protocol):
    """The host that the heartbeats are of: what it wants, and what it does about what they bring."""

    @property
    def waiting(self) -> int:
        """How many registrations wait to be sent."""

    async def joined(self) -> None:
        """Tell Redis what it should know: it has heard of us anew."""

    def unavailable(self) -> None:
        """Take up that Redis became unavailable."""

    def granted(self, working: int, hosts: int) -> None:
        """Keep to our share of the requests in flight, among the hosts at work and the others."""

    def more_may_be_sent(self) -> None:
        """Take up that more may be sent than before."""


class Heartbeat:
    """The only one who asks Redis about limits. A failure puts the budget on its fallback at once.

    Attributes:
        hosts: How many hosts live, as far as we know.
    """

    def __init__(
        self,
        store: Store,
        keys: Keys,
        host: str,
        budget: SharedBudget,
        tuning: Tuning,
        this: ThisHost,
        *,
        clock: Clock,
    ) -> None:
        """Prepare; nothing is sent before `run`.

        Args:
            store: Redis.
            keys: Of the scope.
            host: Our id.
            budget: What the heartbeats feed.
            tuning: See there.
            this: See there.
            clock: Where times and waits come from.
        """
        self.hosts = tuning.hosts
        self._store = store
        self._keys = keys
        self._host = host
        self._budget = budget
        self._tuning = tuning
        self._clock = clock
        self._this = this
        self._epoch: str | None = None
        self._told = budget.before
        self._seen = 0
        self._puzzled = False
        self.gaps = 0
        """How often Redis became unavailable."""

    def wake(self) -> None:
        """Send a heartbeat now: something changed."""
        self._budget.news.set()

    async def run(self) -> None:
        """Send heartbeats until cancelled."""
        while True:
            self._budget.news.clear()
            pause = await self.send_heartbeat()
            await self._wait(pause)

    async def send_heartbeat(self) -> float:
        """Send a heartbeat once; return how many seconds to wait unless something wants more."""
        try:
            if self._epoch is not None and self._told is not self._budget.before:
                self._budget.became_unavailable(self._clock.monotonic(), self.hosts)  # the journal could say only now
                self._epoch = None
            if self._epoch is None:
                await self._join()
            rest = await self._tell()
        except RedisUnavailable:
            self._unavailable()
        except Exception:
            # Without heartbeats nothing would ever be granted again.
            if not self._puzzled:
                logger.exception("what Redis answered makes no sense; this host goes on alone until it does")
            self._puzzled = True
            self._unavailable()
        else:
            self._puzzled = False
            return rest
        return HEARTBEAT_SECONDS

    async def leave(self) -> None:
        """Give back what is not used; the rest counts as used."""
        budget = self._budget
        used = budget.unreported + budget.sent
        try:
            if self._epoch is not None:
                names = self._keys.names(self._host)
                await self._store.run(LEAVE, self._keys.ledger, [*self._head(), used, names, self._keys.news])
        except RedisUnavailable:
            logger.debug("Redis was not told that this host ends; its lease ends by itself")

    async def _join(self) -> None:
        budget, now = self._budget, self._clock.monotonic()
        self._told = budget.before
        own = [
            (milliseconds_of(leaves - now), count)
            for leaves, count in budget.spent
            if (leaves, count) not in self._told
        ]
        before = [
            (milliseconds_of(leaves - now), count) for leaves, count in sorted(self._told, reverse=True) if leaves > now
        ]
        unreported, budget.unreported = budget.unreported, 0
        # An empty Redis knows of no pause, and would call it over.
        budget.told = max(budget.told, budget.paused_until or 0.0)
        try:
            lease, settle = milliseconds_of(self._tuning.lease), milliseconds_of(SETTLE_SECONDS)
            arguments = [*self._head(), lease, settle, secrets.token_hex(8), self._seen, budget.sent]
            arguments += [budget.keeps(now), f"{self._host.partition('-')[0]}-", len(own)]
            arguments += [each for pair in (*own, *before) for each in pair]
            self._epoch = str(await self._store.run(JOIN, self._keys.ledger, arguments))
        except RedisUnavailable:
            budget.unreported = unreported
            raise
        await self._this.joined()

    async def _tell(self) -> float:
        budget, waiting, now = self._budget, self._this.waiting, self._clock.monotonic()
        if not waiting:
            budget.tokens = 0  # what a burst did not use goes back
        want, keeps = max(0, waiting - budget.tokens), budget.keeps(now)
        used, told, cleared = budget.unreported, budget.told, budget.cleared
        budget.unreported, budget.told, budget.cleared = 0, 0.0, False
        arguments = [
            *self._head(), milliseconds_of(self._tuning.lease), budget.whole, self._epoch, used,
            budget.tokens + budget.sent, want, int(bool(waiting or budget.in_flight)),
            milliseconds_of(max(0.0, told - now)),
            int(cleared), milliseconds_of(PROBE_SECONDS), self._keys.news, keeps,
        ]  # fmt: skip
        try:
            reply = await self._store.run(HEARTBEAT, self._keys.ledger, arguments)
        except asyncio.CancelledError:
            budget.unreported += used  # perhaps counted twice, rather than not at all
            raise
        except RedisUnavailable:
            # Whether it was counted is not known: the next join tells the whole truth.
            self._tell_again(told, cleared=cleared)
            raise
        if reply[0] == "join":
            self._tell_again(told, cleared=cleared)
        budget.lasts_until = now + self._tuning.lease
        return self._taken(reply, want, keeps)

    def _tell_again(self, told: float, *, cleared: bool) -> None:
        """Keep what Redis may not have heard of the pause, unless something newer is known."""
        budget = self._budget
        if not budget.told and not budget.cleared:
            budget.told, budget.cleared = told, cleared

    def _taken(self, reply: list[object], want: int, kept: int) -> float:
        budget, now = self._budget, self._clock.monotonic()
        kind, *rest = reply
        if kind == "join":
            self._epoch = None
            if budget.online:
                budget.became_unavailable(now, self.hosts)
            self._this.unavailable()
            return 0.0
        if kind == "settling":
            left, self.hosts, phase, pause = _number(rest[0]), _number(rest[1]), str(rest[2]), _number(rest[3])
            self._phase(phase, now + seconds_of(pause))
            budget.known_hosts(max(self.hosts, self._tuning.hosts))
            return min(HEARTBEAT_SECONDS, seconds_of(left))
        granted, promise, hosts, working, opens = (_number(each) for each in rest[:5])
        self.hosts, self._seen = hosts, _number(rest[7])
        self._phase(str(rest[5]), now + seconds_of(_number(rest[6])))
        budget.came_back(min(max(0, granted), want), min(max(0, promise), budget.whole))
        budget.limit = max(1, budget.whole // max(1, working))
        budget.room_at = now if granted or not want else now + seconds_of(opens)
        budget.ask_at = min(budget.room_at, now + HEARTBEAT_SECONDS)
        self._this.granted(working, hosts)
        if granted or budget.may_probe or budget.paused_until is None:
            self._this.more_may_be_sent()
        # What we keep no longer is for others, once Redis knows that we know; a few can wait for the next heartbeat.
        return 0.0 if promise + budget.whole // 100 < kept - granted else HEARTBEAT_SECONDS

    def _phase(self, phase: str, over: float) -> None:
        budget = self._budget
        budget.may_probe = phase == "probe"
        if phase == "told":
            budget.paused_until = max(budget.paused_until or 0.0, over)
        elif phase in {"wait", "probe"}:
            budget.paused_until = budget.paused_until or self._clock.monotonic()
        elif not budget.probing and not budget.told:
            budget.paused_until = None

    def _unavailable(self) -> None:
        known, self._epoch = self._epoch is not None, None
        self.gaps += 1
        if self._budget.online:
            self._budget.became_unavailable(self._clock.monotonic(), self.hosts)
        if known:
            self._this.unavailable()
        self._this.granted(self.hosts, self.hosts)
        self._this.more_may_be_sent()

    async def _wait(self, seconds: float) -> None:
        if not self._budget.news.is_set():
            await woken(self._budget.news, seconds, self._clock)

    def _head(self) -> list[object]:
        return [self._host, milliseconds_of(self._tuning.window), milliseconds_of(2 * self._tuning.window + 600)]


def _number(value: object) -> int:
    return int(str(value))
