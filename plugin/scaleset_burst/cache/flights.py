"""Single flight by key: any number of callers who want the same thing at once are one request."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from scaleset_client.failures import again
from scaleset_hookspecs import ScalesetError, Unavailable

__all__ = ["Flight", "Flights"]

R = TypeVar("R")


class Flight(Generic[R]):
    """One look-up under way.

    Attributes:
        number: Flights are numbered in the order of their start.
        invalidated: Something happened meanwhile that its result may not know of, so it must not be relied on.
    """

    __slots__ = ("invalidated", "number", "task")

    def __init__(self, number: int) -> None:
        self.number = number
        self.invalidated = False
        self.task: asyncio.Task[R] | None = None


class Flights(Generic[R]):
    """The look-ups under way, at most one for each key. A caller that is cancelled cancels nobody else's.

    Attributes:
        running: Those under way, by key.
    """

    def __init__(self) -> None:
        self.running: dict[Hashable, Flight[R]] = {}
        self._number = 0
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether nothing more may start."""
        return self._closed

    @property
    def number(self) -> int:
        """Number of the flight that started last."""
        return self._number

    def __contains__(self, key: Hashable) -> bool:
        return key in self.running

    def launch(self, key: Hashable, work: Callable[[Flight[R]], Coroutine[Any, Any, R]]) -> Flight[R]:
        """Start a look-up, unless one for the key is under way; return the one that is under way now.

        Raises:
            Unavailable: The cache is closed.
        """
        flight = self.running.get(key)
        if flight is not None:
            return flight
        if self._closed:
            raise Unavailable("the metadata cache is closed: the host is stopping")
        self._number += 1
        flight = Flight(self._number)
        flight.task = asyncio.get_running_loop().create_task(self._fly(key, flight, work), name="look up")
        flight.task.add_done_callback(_looked_up_at)
        self.running[key] = flight
        return flight

    async def join(self, flight: Flight[R]) -> R:
        """Wait for a look-up without owning it.

        Raises:
            ScalesetError: It failed; each caller gets a copy of its own.
        """
        assert flight.task is not None  # noqa: S101  # set by `launch`
        try:
            return await asyncio.shield(flight.task)
        except ScalesetError as error:
            raise again(error) from error
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if flight.task.cancelled() and not (current and current.cancelling()):
                raise Unavailable("the metadata cache was closed while the service was asked") from None
            raise

    def invalidate(self, *keys: Hashable) -> None:
        """Mark the look-ups of these keys as older than what just happened."""
        for key in keys:
            flight = self.running.get(key)
            if flight is not None:
                flight.invalidated = True

    def keys_under_way(self) -> tuple[Any, ...]:
        """Return the keys that are being looked up."""
        return tuple(self.running)

    async def aclose(self) -> None:
        """Cancel what is under way, wait for its end, and start nothing more."""
        self._closed = True
        tasks = [flight.task for flight in self.running.values() if flight.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _fly(self, key: Hashable, flight: Flight[R], work: Callable[[Flight[R]], Coroutine[Any, Any, R]]) -> R:
        try:
            return await work(flight)
        finally:
            # Here and not in a callback: who is woken by the end of this task must be able to start the next one.
            del self.running[key]


def _looked_up_at(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # everyone who waited may be gone; then nobody else would look at it
