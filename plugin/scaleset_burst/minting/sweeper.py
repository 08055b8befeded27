"""Gives mints up as ambiguous once their time limit is over."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from scaleset_burst.minting.dispatcher import Dispatcher
from scaleset_burst.minting.queue import MintQueue
from scaleset_client.clock import Clock

__all__ = ["Sweeper"]


class Sweeper:
    """Runs while there are calls or requests to look after; wakes when the oldest request is due."""

    def __init__(self, dispatcher: Dispatcher, *, clock: Clock, attempt_timeout: float) -> None:
        self._dispatcher = dispatcher
        self._clock = clock
        self._attempt_timeout = attempt_timeout
        self._queues: set[MintQueue] = set()
        self._task: asyncio.Task[None] | None = None

    def watch(self, queue: MintQueue) -> None:
        """Look after a queue from now on."""
        self._queues.add(queue)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="sweep mints")

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while self._queues:
            now = self._clock.monotonic()
            # What is sent from now on is due later.
            oldest = min(now, self._dispatcher.give_up(now - self._attempt_timeout))
            await self._clock.sleep(oldest + self._attempt_timeout - now)
            self._queues = {queue for queue in self._queues if queue.calls or queue.attempts}
        self._task = None
