"""Writes the journal off the loop, many changes in one transaction: what gathers while one is written goes next."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

__all__ = ["GroupWriter"]

logger = logging.getLogger(__name__)


class GroupWriter(Generic[T]):
    """Runs blocking writes one after another in a thread of its own, grouped.

    `write` takes what has gathered, in the order it was handed in. An executor would do the same at three times the
    cost for each group, and a burst has a hundred of them.
    """

    def __init__(self, write: Callable[[Sequence[T]], None]) -> None:
        self._write = write
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._gathering: list[T] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._ended = False

    async def put(self, items: Sequence[T]) -> None:
        """Write items; returns when they would survive a crash. Raises what the write raised."""
        if not items:  # for nothing there would be no write to wait for
            return
        if self._closed:
            raise RuntimeError("the journal is closed")
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(written)
        self.put_soon(items)
        await written

    def put_soon(self, items: Sequence[T]) -> None:
        """Write items with the next group; order with `put` is kept. Once closed, nothing is written any more."""
        if self._closed:
            return
        self._gathering.extend(items)
        if self._idle.is_set() and self._gathering:
            self._idle.clear()
            self._next()

    async def call(self, work: Callable[[], R]) -> R:
        """Run other blocking work in the same thread, behind what is being written."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[R] = loop.create_future()

        def run() -> None:
            try:
                result = work()
            except Exception as error:  # noqa: BLE001  # handed to whoever waits for it
                _tell(loop, _fail, done, error)
            else:
                _tell(loop, _finish, done, result)

        self._hand_over(run)
        return await done

    async def close(self, last: Callable[[], None]) -> None:
        """Write what has gathered, run `last` in the thread, then end it."""
        while not self._idle.is_set():
            await self._idle.wait()
        self._closed = True
        try:
            await self.call(last)
        finally:
            self._ended = True
            self._work.put(None)
            if self._thread is not None:
                self._thread.join()

    def _next(self) -> None:
        group, self._gathering = self._gathering, []
        waiting, self._waiting = self._waiting, []
        loop = asyncio.get_running_loop()

        def run() -> None:
            error = self._attempt(group)
            _tell(loop, self._written, waiting, error)

        self._hand_over(run)

    def _written(self, waiting: Sequence[asyncio.Future[None]], error: Exception | None) -> None:
        if error is not None and not waiting:
            logger.warning("the journal could not write: %s", error)
        for each in waiting:
            _finish(each, None) if error is None else _fail(each, error)
        if self._gathering:
            self._next()
        else:
            self._idle.set()

    def _attempt(self, group: Sequence[T]) -> Exception | None:
        try:
            self._write(group)
        except Exception as error:  # noqa: BLE001  # handed to everybody whose items were in the group
            return error
        return None

    def _hand_over(self, work: Callable[[], None]) -> None:
        if self._ended:
            raise RuntimeError("the journal is closed")
        if self._thread is None:
            self._thread = Thread(target=self._run, name="journal", daemon=True)
            self._thread.start()
        self._work.put(work)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[..., None], *values: object) -> None:
    try:
        loop.call_soon_threadsafe(what, *values)
    except RuntimeError:  # the loop was closed meanwhile: nobody waits any more
        logger.debug("a write ended after its loop")


def _finish(future: asyncio.Future[R], result: R) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[R], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
