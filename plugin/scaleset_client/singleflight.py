"""Single flight by key: any number of callers who want the same thing at once are one request."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from scaleset_client.failures import again
from scaleset_hookspecs import ScalesetError, Unavailable

__all__ = ["Flight", "SingleFlight"]

R = TypeVar("R")


class Flight(Generic[R]):
    """One request under way.

    Attributes:
        number: Flights are numbered in the order of their start.
        invalidated: Something happened meanwhile that its result may not know of, so it must not be relied on.
    """

    __slots__ = ("invalidated", "number", "task")

    def __init__(self, number: int) -> None:
        self.number = number
        self.invalidated = False
        self.task: asyncio.Task[R] | None = None


class SingleFlight(Generic[R]):
    """What is under way, at most one for each key. A caller that is cancelled cancels nobody else's.

    Attributes:
        running: Those under way, by key.
    """

    def __init__(self, closed: Callable[[], ScalesetError]) -> None:
        """Make one with nothing under way.

        Args:
            closed: The error for whoever wants something after `aclose`.
        """
        self._refusal = closed
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
        """Start the work, unless some for the key is under way; return what is under way now.

        Raises:
            ScalesetError: This was closed.
        """
        if self._closed:
            raise self._refusal()
        flight = self.running.get(key)
        if flight is not None:
            return flight
        self._number += 1
        flight = Flight(self._number)
        flight.task = asyncio.get_running_loop().create_task(self._fly(key, flight, work), name="single flight")
        flight.task.add_done_callback(_noticed)
        self.running[key] = flight
        return flight

    async def join(self, flight: Flight[R]) -> R:
        """Wait for the end without owning it.

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
                raise Unavailable("the client was closed while the service was asked") from None
            raise

    def invalidate(self, *keys: Hashable) -> None:
        """Mark what is under way for these keys as older than what just happened."""
        for key in keys:
            flight = self.running.get(key)
            if flight is not None:
                flight.invalidated = True

    def keys_under_way(self) -> tuple[Any, ...]:
        """Return the keys for which something is under way."""
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


def _noticed(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # everyone who waited may be gone; then nobody else would look at it
