"""Single flight: many who want the same thing at once share one task that gets it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from scaleset_client.failures import again
from scaleset_hookspecs.errors import ScalesetError, Unavailable

__all__ = ["SingleFlight"]

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Runs at most one task at a time; a caller that is cancelled does not cancel it for the others."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._work = work
        self._task: asyncio.Task[T] | None = None

    def launch(self) -> None:
        """Start the task unless it runs, and do not wait for it; its failure is the task's own to report."""
        _ = self._running()

    async def join(self) -> T:
        """Wait for the task that runs, or for a new one."""
        task = self._running()
        try:
            return await asyncio.shield(task)
        except ScalesetError as error:
            raise again(error) from error
        except asyncio.CancelledError:
            if task.cancelled() and not _is_cancelled():
                raise Unavailable("the client was closed meanwhile") from None
            raise

    async def aclose(self) -> None:
        """Cancel the task and wait until it has ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _running(self) -> asyncio.Task[T]:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())
            self._task.add_done_callback(self._landed)
        return self._task

    def _landed(self, task: asyncio.Task[T]) -> None:
        self._task = None
        if not task.cancelled():
            task.exception()  # everyone who waited may be gone; then nobody else would look at it


def _is_cancelled() -> bool:
    """Whether it is the caller itself that was cancelled."""
    me = asyncio.current_task()
    return me is not None and me.cancelling() > 0
