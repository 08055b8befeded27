"""The message-session listener: polls, hands on what each message says, and acknowledges it afterwards."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from scaleset_client import AnyJobEvent, JobAvailable, Message
from scaleset_hookspecs import ServiceError, Statistics, Unavailable

__all__ = ["Handler", "Listener", "Session"]

logger = logging.getLogger(__name__)

RETRY_SECONDS = 2.0
LONGEST_RETRY = 60.0
"""Wait after a failure that named no time itself; after refusals it doubles, up to this."""

GRACE_SECONDS = 5.0
"""Time a message has to be handled to its end when the host stops; one that was not acknowledged comes again."""


class Session(Protocol):
    """What the listener needs of a message session, which deals with refresh, conflict and loss itself."""

    @property
    def statistics(self) -> Statistics:
        """The latest counters."""

    async def poll(self, capacity: int) -> Message | None:
        """Wait for a message; `None` if nothing happened."""

    async def acknowledge(self, message: Message) -> None:
        """Delete the message from the queue."""

    async def acquire(self, request_ids: Sequence[int]) -> Sequence[int]:
        """Take jobs that were offered."""


class Handler(Protocol):
    """What is done with the news. Everything may come twice."""

    def on_statistics(self, statistics: Statistics) -> None:
        """Compare the demand with the runners there are."""

    def on_event(self, event: AnyJobEvent) -> None:
        """Take up what happened to one job."""


class Listener:
    """Polls one session until it is told to stop.

    Args:
        session: The open session.
        handler: Hears the statistics and the events.
        capacity: Runners this host can run in all; every poll tells it to the service (protocol 6.6).
        sleep: Waits that many seconds.
        grace: Seconds that a message has to be handled to its end when the listener is cancelled.
    """

    def __init__(
        self,
        session: Session,
        handler: Handler,
        *,
        capacity: int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        grace: float = GRACE_SECONDS,
    ) -> None:
        self._session = session
        self._handler = handler
        self._capacity = capacity
        self._sleep = sleep
        self._grace = grace
        self._refusals = 0
        self._refused_since = 0.0

    async def run(self) -> None:
        """Listen until cancelled. A message that is being handled by then is finished first, if that is soon done.

        A session that was open once is not given up, whatever the service answers: runners that have jobs depend on
        this host, and a refusal may pass.
        """
        self._handler.on_statistics(self._session.statistics)  # a backlog from before counts at once
        while True:
            message = await self._turn()
            handling = asyncio.ensure_future(self._handle(message))
            try:
                wait = await asyncio.shield(handling)
            except asyncio.CancelledError:
                await self._finish(handling)
                raise
            if wait is not None:
                await self._sleep(wait)

    async def _finish(self, handling: asyncio.Future[float | None]) -> None:
        await asyncio.wait({handling}, timeout=self._grace)
        if handling.cancel():
            logger.warning("stopping without waiting for a message any longer; it stays in the queue")
            await asyncio.wait({handling})
        else:
            handling.result()

    async def _turn(self) -> Message | None:
        try:
            message = await self._session.poll(self._capacity)
        except ServiceError as error:
            wait = self._wait_after(error)
            logger.warning("the poll failed, trying again: %s", error)
            await self._sleep(wait)
            return None
        if message is None:
            self._refusals = 0
        return message

    def _wait_after(self, error: ServiceError) -> float:
        """Return how long to wait after a failure: longer with each refusal in a row, since it may last."""
        if isinstance(error, Unavailable):
            return error.retry_after or RETRY_SECONDS
        now = asyncio.get_running_loop().time()
        self._refused_since = self._refused_since if self._refusals else now
        self._refusals += 1
        if self._refusals > 1:
            logger.error("refused %d times in a row, for %.0f s", self._refusals, now - self._refused_since)
        return error.retry_after or min(LONGEST_RETRY, RETRY_SECONDS * 2 ** min(self._refusals - 1, 10))

    async def _handle(self, message: Message | None) -> float | None:
        """Return how many seconds to wait before the next poll, if this went wrong."""
        if message is None:
            self._handler.on_statistics(self._session.statistics)  # a runner may have died meanwhile
            return None
        try:
            await self._acquire(message)
            for event in message.events:
                self._handler.on_event(event)
            self._handler.on_statistics(message.statistics)
            await self._session.acknowledge(message)
        except ServiceError as error:
            wait = self._wait_after(error)
            # Not acknowledged, so the service delivers it again; hearing it twice does no harm.
            logger.warning("message %d stays in the queue: %s", message.id, error)
            return wait
        self._refusals = 0
        return None

    async def _acquire(self, message: Message) -> None:
        offers = [event.request_id for event in message.events if isinstance(event, JobAvailable)]
        if offers:
            acquired = await self._session.acquire(offers)
            logger.info("%d of %d jobs offered are ours", len(acquired), len(offers))
