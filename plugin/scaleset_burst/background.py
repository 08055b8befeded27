"""Work beside the host's calls: tasks that are kept, whose failures are said, and that end with their owner."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from scaleset_hookspecs import ServiceError

__all__ = ["Background"]

logger = logging.getLogger(__name__)


class Background:
    """The tasks of one owner. A failure ends its own task only, and is logged."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    def spawn(self, work: Coroutine[Any, Any, object], name: str) -> None:
        """Start work that nobody waits for."""
        self._tasks.update(self._start(work, name))

    async def begin(self, work: Coroutine[Any, Any, object], name: str, *, patience: float) -> None:
        """Start work and wait for it, for `patience` seconds at most; then it goes on beside everything else."""
        started = self._start(work, name)
        self._tasks |= started
        await asyncio.wait(started, timeout=patience)

    def _start(self, work: Coroutine[Any, Any, object], name: str) -> set[asyncio.Task[object]]:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        return {task}

    def cancel(self) -> None:
        """End whatever still runs."""
        for task in self._tasks:
            task.cancel()

    async def finish(self) -> None:
        """Wait for whatever still runs, however it ends."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ServiceError):
            logger.warning("%s failed, the next occasion tries again: %s", task.get_name(), error)
        elif error is not None:
            logger.error("%s failed", task.get_name(), exc_info=error)
