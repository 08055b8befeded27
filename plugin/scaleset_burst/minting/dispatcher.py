"""Sends mints: as many at a time as limiter, budget and circuit allow, pulled by workers from the queues."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from collections.abc import Sequence
from typing import Protocol

from scaleset_burst.journal import Change, State, UnrecordedNames
from scaleset_burst.limits.admission import Admission
from scaleset_burst.minting.hedging import Hedging, may_ask_again
from scaleset_burst.minting.names import Names, draw_names
from scaleset_burst.minting.outcomes import Outcomes
from scaleset_burst.minting.queue import Attempt, MintQueue
from scaleset_burst.minting.settlement import Result
from scaleset_burst.minting.turns import Turns
from scaleset_client.clock import Clock
from scaleset_client.observing import TRACE
from scaleset_client.types import MintedRunner, MintRequest
from scaleset_hookspecs.errors import ServiceError, Unavailable

__all__ = ["Dispatcher", "MintService"]

logger = logging.getLogger(__name__)

REFILL = 256
"""Names written down in one transaction at most."""

EARLY = 0.001
"""A timer may be so many seconds early by rounding: what is due then is due."""

FIRST = 64
"""The same while none are there: a burst begins as soon as it can, and its first wave gives time for the rest."""


class MintService(Protocol):
    """What minting needs of the service."""

    async def generate_jit_config(self, scale_set_id: int, name: str, work_folder: str = "") -> MintedRunner:
        """Mint one."""

    async def generate_jit_configs(
        self, scale_set_id: int, requests: Sequence[MintRequest]
    ) -> tuple[MintedRunner | ServiceError, ...]:
        """Mint a slice; one result for each request, in order."""


class Dispatcher:
    """Keeps workers busy while there is something to send and room to send it."""

    def __init__(
        self,
        service: MintService,
        names: Names,
        admission: Admission,
        turns: Turns,
        outcomes: Outcomes,
        *,
        clock: Clock,
        hedging: Hedging | None,
    ) -> None:
        self._service = service
        self._names = names
        self._admission = admission
        self._turns = turns
        self._outcomes = outcomes
        self._clock = clock
        self._hedging = hedging
        self._listening: asyncio.Task[None] | None = None
        self._late_at = 0.0
        self._wave = 1
        self._workers: set[asyncio.Task[None]] = set()
        self._running: dict[Attempt, asyncio.Task[None]] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._wake: tuple[float, asyncio.Task[None]] | None = None
        self._stopped = False
        self._short: list[tuple[MintQueue, str, int]] = []
        self.requests_in_flight = 0

    def pump(self, queue: MintQueue | None = None) -> None:
        """Start as many workers as there is work and room for; cheap, and safe to call at any time.

        Args:
            queue: Something of this scale set has changed: it may have more to send than before.
        """
        if queue is not None:
            self._turns.add(queue)
        if self._listening is None and not self._stopped:
            self._listening = asyncio.create_task(self._listen(), name="hear of changes")
        while not self._stopped and (attempt := self._next()) is not None:
            worker = asyncio.create_task(self._work(attempt), name="mint")
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
            if self.requests_in_flight == 1 and not attempt.queue.failures:
                # The first of a burst leaves before the others are made ready; after a failure a whole wave goes, or
                # the next one that fails at once would make the others wait, one after the other.
                asyncio.get_running_loop().call_soon(self.pump)
                return
        short, self._short = self._short, []  # what has its name was sent first
        for each, prefix, count in short:
            task = asyncio.create_task(self._refill(each, prefix, count), name="reserve names")
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    def give_up(self, until: float) -> float:
        """Give up the attempts that wait since then or longer: their names become ambiguous if they may have left.

        Returns since when the next waits; infinite if none does.
        """
        next_since = math.inf
        for attempt, task in self._running.items():
            if attempt.waits_since > until + EARLY:
                next_since = min(next_since, attempt.waits_since)
            elif not attempt.abandoned:
                attempt.abandoned = True
                task.cancel()
        return next_since

    def _call_back(self) -> None:
        """Give up what has not left: it was admitted before the service told us to wait."""
        for attempt, task in self._running.items():
            if attempt.trace.unsent and not attempt.abandoned:
                attempt.abandoned = True
                task.cancel()

    async def stop(self, seconds: float) -> None:
        """Send nothing more; wait for what is in flight, then abandon it."""
        self._stopped = True
        if self._wake is not None:
            self._wake[1].cancel()
        if self._listening is not None:
            self._listening.cancel()
        until = self._clock.monotonic() + seconds
        while self._workers and self._clock.monotonic() < until:
            await self._clock.sleep(0.02)
        self.give_up(math.inf)
        if self._workers:
            await asyncio.wait(self._workers, timeout=5)
        for task in self._background:
            task.cancel()

    def _next(self) -> Attempt | None:
        if not self._admission.has_room(self.requests_in_flight):
            return None
        now = self._clock.monotonic()
        attempt = self._next_waiting(now)
        if attempt is None and self._ask_again(now):
            attempt = self._next_waiting(now)
        return attempt

    def _ask_again(self, now: float) -> bool:
        """Queue a mint that is late once more, if nothing else of its scale set waits; it gets another name."""
        if now + EARLY < self._late_at:  # a wave's answers do not each look for what is late
            self._wake_at(self._late_at)
            return False
        seconds = None if self._hedging is None else self._hedging.late_after(self.requests_in_flight)
        oldest = next(iter(self._running), None)
        if seconds is None or oldest is None:
            return False
        if now + EARLY < oldest.waits_since + seconds:  # so none is late: most answers end here
            self._late_at = oldest.waits_since + seconds
            self._wake_at(self._late_at)
            return False
        for attempt in self._running:  # oldest first
            queue = attempt.queue
            if queue.waiting or queue.held or attempt.trace.unsent:
                continue
            again = [slot for slot in attempt.slots if slot.wanted and slot.in_flight == 1 and may_ask_again(slot.call)]
            if not again:
                continue
            if now + EARLY < attempt.waits_since + seconds:
                self._late_at = attempt.waits_since + seconds
                self._wake_at(self._late_at)
                return False
            if not self._admission.has_plenty(now):
                return False
            for slot in again:
                slot.call.hedged += 1
            queue.push_back(again)
            self._turns.add(queue)
            return True
        return False

    def _next_waiting(self, now: float) -> Attempt | None:
        while (queue := self._turns.take(now)) is not None:
            wanted = self._wanted(queue, now)
            if not wanted:
                continue
            permitted = self._admission.permit(now, wanted, queue)
            if permitted:
                attempt = self._begin(queue, permitted, now)
                self._turns.add(queue)
                return attempt
            self._turns.keep(queue)
            self._closed(self._admission.opens_at(now))
            return None
        self._wake_at(self._turns.next_at)
        return None

    def _wanted(self, queue: MintQueue, now: float) -> int:
        """Return how many slots of a queue can go now; one that has to wait is given its turn by time."""
        wanted = queue.sendable(now, self._admission.carries)
        opens_at = (
            max(queue.opens_at, self._admission.queue_opens_at(now, queue)) if queue.waiting and not queue.held else now
        )
        if opens_at > now:
            if opens_at < math.inf:
                self._turns.add_at(queue, opens_at)
            return 0
        if not wanted:
            return 0
        enough = min(wanted, self._admission.carries)
        ready = queue.in_stock()
        self._top_up(queue, wanted, ready, enough)
        return min(wanted, ready) if ready >= enough else 0

    def _closed(self, opens_at: float | None) -> None:
        at = self._turns.next_at
        self._wake_at(at if opens_at is None else opens_at if at is None else min(at, opens_at))

    def _begin(self, queue: MintQueue, count: int, now: float) -> Attempt:
        slots, names = queue.take(count)
        if not self.requests_in_flight:
            self._wave = 1
        attempt = Attempt(queue, slots, names, now, self._admission.sent(now), queue.scale_set_id, self._wave)
        for slot in slots:
            slot.attempts += 1
            slot.in_flight += 1
            slot.first_sent_at = slot.first_sent_at or now
        queue.attempts.add(attempt)
        queue.requests += 1
        self.requests_in_flight += 1
        return attempt

    async def _work(self, attempt: Attempt | None) -> None:
        while attempt is not None:
            results = await self._send(attempt)
            self._end(attempt)
            self._wave = attempt.wave + 1
            now = self._clock.monotonic()
            if self._hedging is not None and isinstance(results[0], MintedRunner):
                self._hedging.minted(now - attempt.waits_since)
            self._outcomes.answered(attempt, results, now, more=self.requests_in_flight > 0)
            if not isinstance(results[0], MintedRunner) and self._admission.budget.pause_left(now):
                self._call_back()
            self._turns.add(attempt.queue)
            attempt = None if self._stopped or attempt.abandoned else self._next()
            self.pump()

    async def _send(self, attempt: Attempt) -> Sequence[Result]:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a coroutine that runs has a task
        self._running[attempt] = task
        queue = attempt.queue
        TRACE.set(attempt.trace)
        try:
            if len(attempt.names) == 1:
                folder = attempt.slots[0].call.settings.work_folder or queue.work_folder
                return (await self._service.generate_jit_config(attempt.scale_set_id, attempt.names[0], folder),)
            requests = [
                MintRequest(name=name, work_folder=slot.call.settings.work_folder or queue.work_folder)
                for name, slot in zip(attempt.names, attempt.slots, strict=True)
            ]
            return await self._service.generate_jit_configs(attempt.scale_set_id, requests)
        except ServiceError as error:
            return [error] * len(attempt.names)
        except asyncio.CancelledError:
            if not attempt.abandoned:
                raise
            task.uncancel()
            why = "it was not sent in time" if attempt.never_left else "no answer within the time limit of an attempt"
            hung = Unavailable(why, maybe_applied=not attempt.never_left)
            return [hung] * len(attempt.names)
        except Exception as error:
            # A fault of ours: whether the request left is not known, and its slots must not wait for ever.
            logger.exception("a mint failed in a way that no service causes")
            broken = Unavailable(f"the mint failed: {type(error).__name__}", maybe_applied=True)
            return [broken] * len(attempt.names)
        finally:
            del self._running[attempt]

    def _end(self, attempt: Attempt) -> None:
        attempt.queue.attempts.discard(attempt)
        attempt.queue.requests -= 1
        self.requests_in_flight -= 1
        for slot in attempt.slots:
            slot.in_flight -= 1

    def _top_up(self, queue: MintQueue, wanted: int, ready: int, enough: int) -> None:
        if queue.refilling or ready >= max(enough, min(wanted, REFILL // 2)):
            return
        prefix = queue.waiting[0].call.name_prefix
        count = min(wanted - ready, queue.needed(prefix) - ready, max(enough, REFILL if ready else FIRST))
        if count <= 0:
            return
        queue.refilling = True
        self._short.append((queue, prefix, count))

    async def _refill(self, queue: MintQueue, prefix: str, count: int) -> None:
        try:
            await self._reserve(queue, prefix, count)
        finally:
            queue.refilling = False
        self.pump(queue)

    async def _reserve(self, queue: MintQueue, prefix: str, count: int) -> None:
        """Draw names and have them written down before any of them leaves."""
        scale_set_id = queue.scale_set_id
        names = draw_names(prefix, count, secrets.randbits)
        usable = True
        try:
            await self._names.reserve(scale_set_id, names)
        except UnrecordedNames:
            usable = False
        except Exception:
            # Without a journal a crash may leave ghosts; without a burst jobs wait. The burst goes on.
            logger.exception("the journal could not write down names; minting without it")
        # Whoever still lacks names asks again.
        unused = queue.keep(scale_set_id, prefix, names) if usable else names
        self._names.note([Change(name=name, state=State.CLOSED) for name in unused])

    async def _listen(self) -> None:
        """Pump after each change that no answer brought."""
        while True:
            await self._turns.changed.wait()
            self._turns.changed.clear()
            self.pump()

    def _wake_at(self, when: float | None) -> None:
        if when is None or (self._wake is not None and self._wake[0] <= when and not self._wake[1].done()):
            return
        if self._wake is not None:
            self._wake[1].cancel()
        self._wake = (when, asyncio.create_task(self._pump_at(when), name="wake"))

    async def _pump_at(self, when: float) -> None:
        await self._clock.sleep(max(0.0, when - self._clock.monotonic()))
        self._wake = None
        self.pump()
