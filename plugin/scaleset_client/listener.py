"""The loop around a message session: poll, acquire, hand out, acknowledge, and come back from whatever is refused.

It decides nothing about runners. What the service says comes out as messages; when the next one is asked for, the last
one counts as handled and is acknowledged. After a start that succeeded nothing the service answers ends it.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from scaleset_client.clock import Clock, SystemClock, within
from scaleset_client.failures import is_gone
from scaleset_client.retrying import Backoff
from scaleset_client.types import JobAvailable, Message
from scaleset_hookspecs.errors import RateLimited, ServiceError
from scaleset_hookspecs.types import Statistics

__all__ = ["Failing", "Listener", "ListenerSession", "Step", "after_failure"]

T = TypeVar("T")

log = logging.getLogger(__name__)

BACKOFF = Backoff(first=1.0, longest=30.0)
LASTING = 120.0
"""Seconds after which a failure no longer counts as passing: it is said as an error, and a refusal ends the session."""

GRACE = 5.0
"""Seconds that an acknowledgement, an acquisition and the closing of the session have when the listener is stopped."""


class ListenerSession(Protocol):
    """What is needed of a session; `MessageSession` is one. It deals with tokens, conflicts and its own loss itself."""

    @property
    def statistics(self) -> Statistics:
        """The latest counters."""

    async def poll(self, capacity: int) -> Message | None:
        """Wait for a message; `None` if nothing happened."""

    async def acknowledge(self, message: Message) -> None:
        """Delete the message from the queue."""

    def pass_over(self, message: Message) -> None:
        """Poll for what comes after the message, and leave it in the queue."""

    async def acquire(self, request_ids: Iterable[int]) -> Collection[int]:
        """Take jobs that were offered; return those that are really ours."""

    async def close(self) -> None:
        """Close the session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """Failures in a row, with no success between them.

    Attributes:
        count: How many.
        since: When the first one was, on the clock's `monotonic`.
        error: The last one.
    """

    count: int
    since: float
    error: ServiceError


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What to do after a failure.

    Attributes:
        wait: Seconds until the next try.
        start_over: Whether to close the session then, and to open one from the beginning.
        lasting: Whether it has lasted too long to be called passing.
    """

    wait: float
    start_over: bool
    lasting: bool


def after_failure(error: ServiceError, count: int, lasted: float, chance: random.Random) -> Step:
    """Say what to do after so many failures in a row, which have lasted so many seconds.

    Waits grow, and are never shorter than the service asks for. The session is given up where only another one can
    help: its scale set is gone, or it is refused for minutes although the session itself has been asked each time.
    """
    status = error.status or 0
    refused = 400 <= status < 500 and not isinstance(error, RateLimited)
    lasting = lasted >= LASTING
    wait = max(BACKOFF.wait(count, chance), error.retry_after or 0.0)
    return Step(wait=wait, start_over=is_gone(error) or (refused and lasting), lasting=lasting)


class Offers:
    """The jobs on offer, each with its message's id, and those acquired that the service has not assigned yet."""

    def __init__(self) -> None:
        self._open: dict[int, int] = {}
        self._acquired: set[int] = set()

    def hear(self, message: Message) -> None:
        """Take up a message. What is offered stays on offer until it is acquired, or something else happens to it."""
        if not message.statistics.available_jobs:
            self._open.clear()
        if not message.statistics.acquired_jobs:
            self._acquired.clear()
        for event in message.events:
            if isinstance(event, JobAvailable):
                if event.request_id > 0 and event.request_id not in self._acquired:
                    self._open[event.request_id] = message.id
            else:
                self._open.pop(event.request_id, None)
                self._acquired.discard(event.request_id)

    def unsettled(self, message: Message) -> bool:
        """Say whether jobs that this message offers are still on offer, as far as is known."""
        return message.id in self._open.values()

    def affordable(self, capacity: int, assigned: int) -> tuple[int, ...]:
        """Return the offers, oldest first, that so many runners can run beside what is assigned and acquired."""
        return tuple(islice(self._open, max(capacity - assigned - len(self._acquired), 0)))

    def answered(self, asked: Iterable[int], acquired: Iterable[int]) -> None:
        """Take up what became of an acquisition: what was asked for and not acquired has gone elsewhere."""
        for request_id in asked:
            self._open.pop(request_id, None)
        self._acquired.update(acquired)


class Listener:
    """The messages of a scale set, one after the other, for as long as it is asked for the next.

    `async with` opens the session and closes it; `async for` gives messages. One with the id 0 is none of the queue's:
    nothing happened, or the session has just been opened, and its statistics are the latest known. Everything may come
    twice.

    Args:
        open_session: Opens a session; called at the start, and again when the old one is given up for good, so that a
            scale set that was made anew in the meantime is found.
        capacity: Says how many runners can be run in all, busy ones included. Each poll tells it to the service
            (protocol 6.6), and no more jobs than that are acquired.
        clock: Where times and waits come from.
        chance: Where jitter comes from.

    Attributes:
        polled_at: When the service last answered a poll, on the clock's `monotonic`.
        failing: The failures since the last success, if there are any.

    Raises:
        ServiceError: The first session could not be opened. Later failures pass, or last and are said so in the log.
    """

    def __init__(
        self,
        open_session: Callable[[], Awaitable[ListenerSession]],
        capacity: Callable[[], int],
        *,
        clock: Clock | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self.polled_at: float | None = None
        self.failing: Failing | None = None
        self._open_session = open_session
        self._capacity = capacity
        self._clock = clock or SystemClock()
        self._chance = chance or random.Random()  # noqa: S311  # jitter is no secret
        self._session: ListenerSession
        self._offers = Offers()
        self._handed_out: Message | None = None
        self._passed_over: list[Message] = []
        self._opened = False
        self._start_over = False
        self._unsaid: ServiceError | None = None

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        try:
            closed = await within(GRACE, self._closed(), self._clock)
            why = "" if closed else f"no answer within {GRACE:g} s"
        except ServiceError as error:
            why = str(error)
        if why:
            log.warning("the message session stays open until it expires: %s", why)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        """Acknowledge the last message, and return the next; wait and try again for as long as that fails."""
        while True:
            try:
                return await self._turn()
            except ServiceError as error:
                await self._wait_after(error)

    async def _turn(self) -> Message:
        if self._unsaid is not None:
            error, self._unsaid = self._unsaid, None
            raise error
        if self._start_over:
            await self._session.close()  # until that is sure it would be in the way of the next one
            await self._open()
        message, self._handed_out = self._handed_out, None
        if message is not None:
            await self._finish(message)
            self._succeeded()
        for passed in [one for one in self._passed_over if not self._offers.unsettled(one)]:
            self._passed_over.remove(passed)  # if this fails it comes again some day, with nothing on offer any more
            await self._to_its_end(self._session.acknowledge(passed))
        if self._opened:
            self._opened = False
            return Message(id=0, statistics=self._session.statistics)
        polled = await self._session.poll(self._capacity())
        self.polled_at = self._clock.monotonic()
        told = polled or Message(id=0, statistics=self._session.statistics)
        if polled is not None:
            self._offers.hear(told)
        if await self._acquire(told.statistics):
            self._handed_out = polled
            if polled is None:
                self._succeeded()
        return told

    async def _finish(self, message: Message) -> None:
        """Acknowledge what was handled; a message with jobs left on offer stays, since a restart would lose them."""
        if self._offers.unsettled(message):
            self._session.pass_over(message)
            self._passed_over.append(message)
        else:
            await self._to_its_end(self._session.acknowledge(message))

    async def _acquire(self, statistics: Statistics) -> bool:
        """Acquire what can be run. If that fails the message is not acknowledged, so that its offers come again."""
        wanted = self._offers.affordable(self._capacity(), statistics.assigned_jobs)
        if wanted:
            try:
                acquired = await self._to_its_end(self._session.acquire(wanted))
            except ServiceError as error:
                self._unsaid = error  # what the message says is handed out first, since that cannot wait
                return False
            self._offers.answered(wanted, acquired)
            log.info("%d of %d jobs asked for are ours", len(acquired), len(wanted))
        return True

    async def _open(self) -> None:
        self._session = await self._open_session()
        self._offers, self._opened, self._start_over = Offers(), True, False
        self._passed_over.clear()

    async def _closed(self) -> bool:
        await self._session.close()
        return True

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Finish what was begun, if that is soon done, although the listener is stopped: else it would come again."""
        task = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            try:
                await within(GRACE, _ended(task), self._clock)
            finally:
                if task.cancel():
                    log.warning("stopping without an answer about a message; it stays in the queue")
            raise

    async def _wait_after(self, error: ServiceError) -> None:
        now, before = self._clock.monotonic(), self.failing
        since = before.since if before else now
        self.failing = failing = Failing(count=before.count + 1 if before else 1, since=since, error=error)
        lasted = now - since
        step = after_failure(error, failing.count, lasted, self._chance)
        self._start_over = self._start_over or step.start_over
        log.log(
            logging.ERROR if step.lasting else logging.WARNING,
            "listening has failed %d times since %s, for %.0f s; trying again in %.1f s%s: %s",
            failing.count,
            datetime.fromtimestamp(self._clock.time() - lasted, UTC).isoformat(timespec="seconds"),
            lasted,
            step.wait,
            " with another session" if self._start_over else "",
            error,
        )
        await self._clock.sleep(step.wait)

    def _succeeded(self) -> None:
        if self.failing is not None:
            log.info("listening again, after %d failures", self.failing.count)
            self.failing = None


async def _ended(task: asyncio.Future[Any]) -> None:
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # nobody else will look at it
