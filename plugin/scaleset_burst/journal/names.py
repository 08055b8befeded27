"""The journal as minting sees it: waves of names written off the loop, in order."""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from scaleset_burst.journal.states import Change, Orphan, State
from scaleset_burst.journal.writer import GroupWriter

__all__ = ["Journal", "JournalNames"]

logger = logging.getLogger(__name__)

MOST_UNWRITTEN = 256
"""Waves kept at most while the disk takes none."""


class Journal(Protocol):
    """Where changes are written: blocking calls, one transaction each."""

    def write(self, changes: Sequence[Change]) -> None:
        """Write what became of names; durable when it returns."""

    def open_names(self) -> int:
        """Return how many names of this process are not closed."""

    def adopt(self) -> tuple[Orphan, ...]:
        """Take over what dead processes left open."""

    def registered(self, window: float) -> tuple[tuple[float, int], ...]:
        """Return what was registered in the last `window` seconds: how long ago, how many."""

    def close(self) -> None:
        """Release the file."""


class JournalNames:
    """Writes for the loop: each awaited call returns when its wave would survive a crash."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._writer: GroupWriter[Change] = GroupWriter(self._write_down)
        self._unwritten: deque[Sequence[Change]] = deque(maxlen=MOST_UNWRITTEN)
        self._closed = False

    async def reserve(self, scale_set_id: int, names: Sequence[str]) -> None:
        """Write down names before any request with them leaves."""
        await self._writer.put([Change(name=name, state=State.RESERVED, scale_set_id=scale_set_id) for name in names])

    async def record(self, changes: Sequence[Change]) -> None:
        """Write down what became of names."""
        await self._writer.put(changes)

    def note(self, changes: Sequence[Change]) -> None:
        """Write down what became of names, soon; order with `record` is kept."""
        self._writer.put_soon(changes)

    def launched(self, name: str, runner_id: int) -> None:
        """Close a name: a machine uses its config."""
        self.note([Change(name=name, state=State.LAUNCHED, runner_id=runner_id)])

    def open_names(self) -> int:
        """Return how many names of this process are not closed; none of a journal that was released."""
        return 0 if self._closed else self._journal.open_names()

    async def adopt(self) -> tuple[Orphan, ...]:
        """Take over what dead processes left open."""
        return await self._writer.call(self._journal.adopt)

    async def registered(self, window: float) -> tuple[tuple[float, int], ...]:
        """Return what was registered in the last `window` seconds, by dead processes, too: how long ago, how many."""
        return await self._writer.call(lambda: self._journal.registered(window))

    async def close(self) -> None:
        """Write what is left, then release the journal; a disk that is full does not keep the host from ending."""
        self._closed = True
        try:
            await self._writer.close(self._finish)
        except Exception:
            logger.exception("the journal could not write at the end; the next start looks at what it holds")

    def _write_down(self, changes: Sequence[Change]) -> None:
        """Write what the disk did not take before, in its order, then this."""
        self._unwritten.append(changes)
        while self._unwritten:
            try:
                self._journal.write(self._unwritten[0])
            except sqlite3.OperationalError:  # full or locked: a name must not be taken for an older state of it
                raise
            except Exception:
                self._unwritten.popleft()
                raise
            self._unwritten.popleft()

    def _finish(self) -> None:
        try:
            if self._unwritten:
                self._write_down(())
        finally:
            self._journal.close()
