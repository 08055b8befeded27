"""Writes the journal off the loop, many changes in one transaction: what gathers while one is written goes next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

__all__ = ["GroupWriter"]


class GroupWriter(Generic[T]):
    """Runs blocking writes one after another in a thread of its own, grouped.

    `write` takes what has gathered, in the order it was handed in.
    """

    def __init__(self, write: Callable[[Sequence[T]], None]) -> None:
        self._write = write
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._gathering: list[T] = []
        self._written: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def put(self, items: Sequence[T]) -> None:
        """Write items; returns when they would survive a crash. Raises what the write raised."""
        if items:  # for nothing there would be no write to wait for
            await asyncio.shield(self.put_soon(items))

    def put_soon(self, items: Sequence[T]) -> asyncio.Future[None]:
        """Write items with the next group; order with `put` is kept."""
        if self._closed:
            refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            refused.add_done_callback(_seen)
            refused.set_exception(RuntimeError("the journal is closed"))
            return refused
        self._gathering.extend(items)
        if self._written is None:
            self._written = asyncio.get_running_loop().create_future()
            self._written.add_done_callback(_seen)
        written = self._written
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="journal")
        return written

    async def call(self, work: Callable[[], R]) -> R:
        """Run other blocking work in the same thread, behind what is being written."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def close(self, last: Callable[[], None]) -> None:
        """Write what has gathered, run `last` in the thread, then end it."""
        while self._task is not None:
            await asyncio.wait([self._task])
        self._closed = True
        try:
            await self.call(last)
        finally:
            self._thread.shutdown(wait=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._gathering:
                group, self._gathering = self._gathering, []
                written, self._written = self._written, None
                error = await loop.run_in_executor(self._thread, self._attempt, group)
                if written is not None and not written.done():
                    written.set_exception(error) if error is not None else written.set_result(None)
        finally:
            self._task = None

    def _attempt(self, group: Sequence[T]) -> Exception | None:
        try:
            self._write(group)
        except Exception as error:  # noqa: BLE001  # handed to everybody whose items were in the group
            return error
        return None


def _seen(future: asyncio.Future[None]) -> None:
    """Mark an exception as seen: `put_soon` callers may not look."""
    if not future.cancelled():
        future.exception()
