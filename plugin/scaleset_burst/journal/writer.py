"""Writes the journal off the loop, many changes in one transaction: what gathers while one is written goes next."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

from scaleset_client.retrying import doubling

T = TypeVar("T")
R = TypeVar("R")

__all__ = ["MOST_UNWRITTEN", "PATIENCE", "GroupWriter"]

logger = logging.getLogger(__name__)

PATIENCE = 0.25
"""Seconds that anybody waits for the disk. After that nobody does, until it has answered again."""

FIRST_RETRY = 0.05
"""Seconds to the next try after the first write that the disk did not take: what leaves meanwhile is not written down,
and lost if the process dies. Doubles with each further one."""

LONGEST_RETRY = 1.0

END = 3.0
"""Seconds for the last write and the release of the file."""

INSTANT = 0.002
"""Seconds that the loop itself waits for one item at most: a fifth of that is usual, and no more than a few answers."""

MOST_UNWRITTEN = 10_000
"""Items kept at most while the disk takes none, the newest."""


class GroupWriter(Generic[T]):
    """Runs blocking writes one after another in a thread of its own, grouped.

    `write` takes what has gathered, in the order it was handed in. An executor would do the same at three times the
    cost for each group, and a burst has a hundred of them.

    A disk that is locked, full or slow makes its first callers wait for `PATIENCE`, and nobody after them: what they
    hand in is kept, and written in its order when the disk takes it.

    Attributes:
        available: Whether the disk answered when it was last asked.
    """

    def __init__(self, write: Callable[[Sequence[T]], None]) -> None:
        self._write = write
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._gathering: list[T] = []
        self._waiting: list[asyncio.Future[bool]] = []
        self._idle = asyncio.Event()
        self._idle.set()
        self.available = True
        self._retry: asyncio.TimerHandle | None = None
        self._refused = 0
        self._closed = False
        self._ended = False

    async def put(self, items: Sequence[T]) -> bool:
        """Write items; returns when they would survive a crash, or the disk is unavailable: whether they are written.

        Raises what the write raised, if no time will mend it.
        """
        if not items:  # for nothing there would be no write to wait for
            return True
        if self._closed:
            raise RuntimeError("the journal is closed")
        if not self.available:
            self.put_soon(items)
            return False
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(written)
        self.put_soon(items)
        return await written

    def put_soon(self, items: Sequence[T]) -> None:
        """Write items with the next group; order with `put` is kept. Once closed, nothing is written any more."""
        if self._closed:
            return
        self._gathering.extend(items)
        del self._gathering[:-MOST_UNWRITTEN]
        if self._retry is None:
            self._next()

    def put_now(self, item: T) -> bool:
        """Write one item while the loop waits, for `INSTANT` seconds at most; whether it is known to be written.

        The thread has the interpreter's lock at once then. On a loop that is busy with answers it gets it late, and the
        loop hears of it later still. What is not known may be written nonetheless, and can be put again.
        """
        if self._closed or not self.available or self._gathering or not self._idle.is_set():
            return False
        outcome: SimpleQueue[Exception | None] = SimpleQueue()
        self._gathering.append(item)
        self._next(outcome.put)
        try:
            return outcome.get(timeout=INSTANT) is None
        except Empty:
            return False

    async def call(self, work: Callable[[], R]) -> R:
        """Run other blocking work in the same thread, behind what is being written. Raises what it raised."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[R] = loop.create_future()
        late = loop.call_later(PATIENCE, self._late)

        def ended(result: R | None, error: Exception | None) -> None:
            late.cancel()
            self._answered(error)
            if error is not None:
                _fail(done, error)
            elif not done.done():
                done.set_result(result)  # type: ignore[arg-type]  # without an error there is one

        def run() -> None:
            try:
                result = work()
            except Exception as error:  # noqa: BLE001  # handed to whoever waits for it
                _tell(loop, ended, None, error)
            else:
                _tell(loop, ended, result, None)

        self._hand_over(run)
        return await done

    async def close(self, last: Callable[[], None]) -> None:
        """Write what has gathered, run `last` in the thread, then end it; a disk that hangs is left alone."""
        try:
            async with asyncio.timeout(END):
                while not self._idle.is_set():
                    await self._idle.wait()
        except TimeoutError:
            logger.warning("the journal's disk does not answer")
        self._closed = True
        if self._retry is not None:
            self._retry.cancel()
        rest, self._gathering = self._gathering, []

        def finish() -> None:
            try:
                if rest:
                    self._write(rest)
            finally:
                last()

        ending = asyncio.ensure_future(self.call(finish))
        ended = False
        try:
            async with asyncio.timeout(END):
                await ending
        except TimeoutError:
            raise
        except BaseException:
            ended = ending.done() and not ending.cancelled()
            raise
        else:
            ended = True
        finally:
            self._ended = True
            self._work.put(None)
            if self._thread is not None and ended:
                self._thread.join()

    def _next(self, ended: Callable[[Exception | None], None] = lambda _error: None) -> None:
        """Write what has gathered, unless something is being written; `ended` is called in the thread."""
        self._retry = None
        if not self._gathering or not self._idle.is_set() or self._closed:
            return
        self._idle.clear()
        group, self._gathering = self._gathering, []
        waiting, self._waiting = self._waiting, []
        loop = asyncio.get_running_loop()
        late = loop.call_later(PATIENCE, self._late, waiting)

        def run() -> None:
            error = self._attempt(group)
            ended(error)
            _tell(loop, self._written, group, waiting, late, error)

        self._hand_over(run)

    def _written(
        self,
        group: Sequence[T],
        waiting: Sequence[asyncio.Future[bool]],
        late: asyncio.TimerHandle,
        error: Exception | None,
    ) -> None:
        late.cancel()
        self._idle.set()
        self._answered(error)
        if _passing(error):
            self._gathering = [*group, *self._gathering][-MOST_UNWRITTEN:]
            self._let_go(waiting)
            if not self._closed:
                self._refused += 1
                wait = doubling(FIRST_RETRY, LONGEST_RETRY, self._refused)
                self._retry = asyncio.get_running_loop().call_later(wait, self._next)
            return
        self._refused = 0
        if error is not None and not waiting:
            logger.warning("the journal could not write: %s", error)
        for each in waiting:
            _finish(each, True) if error is None else _fail(each, error)
        self._next()

    def _answered(self, error: Exception | None) -> None:
        """Note whether the disk is available, as its last answer shows."""
        if _passing(error):
            self._unavailable(str(error))
        elif not self.available:
            self.available = True
            logger.warning("the journal can be written again")

    def _late(self, waiting: Sequence[asyncio.Future[bool]] = ()) -> None:
        self._unavailable(f"the disk has not answered for {PATIENCE:g} s")
        self._let_go(waiting)

    def _unavailable(self, reason: str) -> None:
        if self.available:
            self.available = False
            logger.warning(
                "the journal cannot be written: %s. Bursts go on without it, and what it lacks is kept in memory; if "
                "this process crashes before it can be written, unused runners may stay behind",
                reason,
            )
        waiting, self._waiting = self._waiting, []
        self._let_go(waiting)

    def _let_go(self, waiting: Sequence[asyncio.Future[bool]]) -> None:
        for each in waiting:
            _finish(each, False)

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


def _passing(error: Exception | None) -> bool:
    """Whether time may mend it: the file is locked, the disk is full or fails."""
    return isinstance(error, (sqlite3.OperationalError, OSError))


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
