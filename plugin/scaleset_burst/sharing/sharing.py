"""The front of the shared state: one heartbeat, one mirror, one cache, and the news that hosts tell each other."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets

from scaleset_burst.cache import Metadata
from scaleset_burst.cache.kinds import Kind
from scaleset_burst.journal import Change, Journal, State
from scaleset_burst.limits import Admission
from scaleset_burst.minting import Minter
from scaleset_burst.reconciler import Reconciler
from scaleset_burst.sharing.budget import NEVER, Fallback, SharedBudget
from scaleset_burst.sharing.cache import RedisCache
from scaleset_burst.sharing.heartbeat import HEARTBEAT_SECONDS, Heartbeat, Tuning
from scaleset_burst.sharing.keys import Keys
from scaleset_burst.sharing.names import Elsewhere, SharedNames
from scaleset_burst.sharing.scripts import COUNT
from scaleset_burst.sharing.store import RedisStore, RedisUnavailable
from scaleset_burst.sharing.takeover import Watch
from scaleset_client.clock import Clock
from scaleset_hookspecs import Unavailable

__all__ = ["Sharing"]

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
"""How often hosts that fell silent are looked for."""


class _ThisHost:
    """This host, as its heartbeats know it."""

    def __init__(self, admission: Admission, minter: Minter, names: SharedNames, reconciler: Reconciler) -> None:
        self._admission = admission
        self._minter = minter
        self._names = names
        self._reconciler = reconciler

    @property
    def waiting(self) -> int:
        return sum(len(queue.waiting) for queue in self._minter.queues)

    async def joined(self) -> None:
        self.take_up(await self._names.upload())

    def unavailable(self) -> None:
        self._names.unavailable()
        self.forget_stock()  # names that are written down there may be taken over by somebody

    def granted(self, working: int, hosts: int) -> None:
        self._admission.share_concurrency(working, hosts)

    def more_may_be_sent(self) -> None:
        self._minter.room_changed()

    def take_up(self, elsewhere: Elsewhere) -> None:
        """Leave to others what they resolve, and resolve what is ours now."""
        self._minter.resolver.forget(elsewhere.taken)
        if elsewhere.taken_over:
            self._reconciler.resolve(elsewhere.taken_over, self._minter)

    def forget_stock(self) -> None:
        """Let go of names that are written down and were never sent."""
        for queue in self._minter.queues:
            self._names.note([Change(name=name, state=State.CLOSED) for name in queue.empty()])


class Sharing:
    """What one engine shares with the other hosts of its scope.

    Attributes:
        host: Our id; another one for each start. Up to its hyphen it names the journal, which outlives us.
        budget: The limits, to be given to admission.
        cache: The shared cache.
    """

    def __init__(
        self,
        store: RedisStore,
        scope: str,
        *,
        prefix: str,
        lease: float,
        hosts: int,
        registrations: int,
        window: float,
        journal: str,
        clock: Clock,
    ) -> None:
        """Prepare; nothing connects before `start`.

        Args:
            store: Redis.
            scope: Host and path of the enterprise, organisation or repository.
            prefix: Start of every key.
            lease: Seconds of silence after which a host counts as dead.
            hosts: How many hosts to assume while Redis has never answered.
            registrations: The limit in a window, for all hosts together.
            window: Its seconds.
            journal: Which journal knows what this host registers, among those of all machines.
            clock: Where times and waits come from.
        """
        self.host = f"{hashlib.sha256(journal.encode()).hexdigest()[:8]}-{secrets.token_hex(4)}"
        share = max(1, registrations // hosts)
        self.budget = SharedBudget(
            limit=share,
            window=window,
            whole=registrations,
            fallback=Fallback(share, share, NEVER, window),
        )
        self._store = store
        self._keys = Keys(prefix, scope)
        self._clock = clock
        self._lease = lease
        self._hosts = hosts
        self.cache = RedisCache(store, self._keys, self.host, clock=clock)
        self._watch = Watch(lease)
        self._names: SharedNames | None = None
        self._heartbeat: Heartbeat | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = False
        self._this: _ThisHost | None = None

    @property
    def hosts(self) -> int:
        """How many hosts share the limits, this one included; 0 while Redis is unavailable."""
        return self._heartbeat.hosts if self._heartbeat is not None and self.budget.online else 0

    def names(self, journal: Journal) -> SharedNames:
        """Return the journal's names with their mirror; of one engine there is one."""
        self._names = SharedNames(journal, self._store, self._keys, self.host)
        return self._names

    async def start(
        self,
        admission: Admission,
        minter: Minter,
        metadata: Metadata,
        reconciler: Reconciler,
    ) -> None:
        """Begin to send heartbeats, to hear, and to look for hosts that fell silent; once, after `names`.

        Returns when Redis knows of this host, or does not answer.
        """
        names = self._names
        if self._heartbeat is not None or self._stopped or names is None:
            return
        tuning = Tuning(lease=self._lease, window=self.budget.window, hosts=self._hosts)
        self._this = this = _ThisHost(admission, minter, names, reconciler)
        heartbeat = Heartbeat(self._store, self._keys, self.host, self.budget, tuning, this, clock=self._clock)
        self._heartbeat = heartbeat
        try:
            await heartbeat.send_heartbeat()
        finally:  # whoever began this may be cancelled; the host still shares
            if not self._stopped:
                for work, name in (
                    (heartbeat.run(), "beat"),
                    (self._hear(heartbeat, metadata), "hear"),
                    (self._sweep(heartbeat, names, this), "sweep"),
                ):
                    self._tasks.append(asyncio.create_task(work, name=name))

    async def eviction_policy(self) -> str | None:
        """Return what Redis drops when its memory is full, if not nothing; `None` also if it does not say."""
        policy = await self._store.eviction_policy()
        return None if policy == "noeviction" else policy

    async def count_hosts(self) -> int:
        """Return how many hosts share the limits now.

        Raises:
            Unavailable: Redis is of no use; the text says why.
        """
        try:
            return int(str(await self._store.run(COUNT, [self._keys.ledger[1]], [])))
        except RedisUnavailable as error:
            raise Unavailable(str(error)) from None
        except ValueError:
            raise Unavailable("what answers as Redis makes no sense") from None

    async def stop(self) -> None:
        """Give back what is not used, and end."""
        self._stopped = True
        pending = set(self._tasks)
        while pending:
            for task in pending:
                task.cancel()
            # Hearing news is up to the driver, which may swallow a cancellation; the next one meets it elsewhere.
            _, pending = await asyncio.wait(pending, timeout=0.2)
        if self._this is not None:
            self._this.forget_stock()
        try:
            if self._names is not None:
                await self._names.flush()
        except RedisUnavailable:
            logger.debug("Redis was not told of the last names; it is once their lease has ended")
        if self._heartbeat is not None:
            await self._heartbeat.leave()
        await self._store.aclose()

    async def _hear(self, heartbeat: Heartbeat, metadata: Metadata) -> None:
        missed = False
        while True:
            try:
                async for text in self._store.hear(self._keys.news):
                    if text:
                        self._heard(text, heartbeat, metadata)
                    elif missed:
                        metadata.invalidate_all()
                    missed = True  # should it end
            except RedisUnavailable:
                missed = True
                logger.debug("no news from Redis for the moment")
            await self._clock.sleep(HEARTBEAT_SECONDS)

    def _heard(self, text: str, heartbeat: Heartbeat, metadata: Metadata) -> None:
        sender, _, news = text.partition(" ")
        if sender == self.host:
            return
        what, _, rest = news.partition(" ")
        if what != "drop":
            heartbeat.wake()
            return
        kind, _, key = rest.partition(" ")
        if kind in {Kind.SCALE_SET_NAME.value, Kind.RUNNER_GROUP.value}:
            metadata.invalid_elsewhere(Kind(kind), key)

    async def _sweep(self, heartbeat: Heartbeat, names: SharedNames, this: _ThisHost) -> None:
        gaps = 0
        while True:
            await self._clock.sleep(SWEEP_SECONDS)
            if heartbeat.gaps != gaps:
                self._watch.interrupted()
            gaps = heartbeat.gaps
            try:
                this.take_up(await names.flush())
                counts = await self._store.all_of(self._keys.ledger[-1])
                for dead, count in self._watch.silent(counts, self._clock.monotonic(), but=self.host):
                    while leftovers := await names.claim(dead, count):
                        logger.warning("taking over %d names of a host that has fallen silent", len(leftovers))
                        this.take_up(Elsewhere(taken_over=leftovers))
            except RedisUnavailable:
                self._watch.interrupted()
            except Exception:
                logger.exception("names of silent hosts could not be taken over; the next look tries again")
