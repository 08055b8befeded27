"""The journal as minting sees it: waves of names written off the loop, in order."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from typing import Protocol

from scaleset_burst.journal.memory import MemoryJournal
from scaleset_burst.journal.states import Change, LeftoverName, Pause, State
from scaleset_burst.journal.writer import PATIENCE, GroupWriter

__all__ = ["Journal", "JournalNames"]

logger = logging.getLogger(__name__)


class Journal(Protocol):
    """Where changes are written: blocking calls, one transaction each."""

    def write(self, changes: Sequence[Change]) -> None:
        """Write what became of names; durable when it returns."""

    def adopt(self) -> tuple[LeftoverName, ...]:
        """Take over what dead processes left open."""

    def registered(self, window: float) -> tuple[tuple[float, int], ...]:
        """Return what was registered in the last `window` seconds: how long ago, how many."""

    def pause(self, seconds: float) -> None:
        """Write down for how long nothing may be registered from now on."""

    def pause_left(self) -> float:
        """Return for how many seconds nothing may be registered."""

    def distrust(self) -> None:
        """Note, at once, that a config may be handed out that is not written down."""

    def close(self) -> None:
        """Release the file."""


class JournalNames:
    """Writes for the loop: each awaited call returns when its wave would survive a crash.

    While the disk takes nothing, calls return at once, and what they wrote is kept until it does.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._writer: GroupWriter[Change | Pause] = GroupWriter(self._write_down)
        self._open_here = MemoryJournal()
        self._closed = False

    async def reserve(self, scale_set_id: int, names: Sequence[str]) -> None:
        """Write down names before any request with them leaves."""
        await JournalNames.record(
            self, [Change(name=name, state=State.RESERVED, scale_set_id=scale_set_id) for name in names]
        )

    async def record(self, changes: Sequence[Change]) -> None:
        """Write down what became of names."""
        self._open_here.write(changes)
        try:
            written = await self._writer.put(changes)
        except Exception:
            self._journal.distrust()  # whoever asked may hand out all the same
            raise
        if not written and any(change.state is State.DELIVERED for change in changes):
            self._journal.distrust()

    def record_now(self, change: Change) -> bool:
        """Write one down while the loop waits a moment; `False`: it is not known to be written, so `record` it."""
        self._open_here.write([change])
        return self._writer.put_now(change)

    def note(self, changes: Sequence[Change]) -> None:
        """Write down what became of names, soon; order with `record` is kept."""
        self._open_here.write(changes)
        self._writer.put_soon(changes)

    def launched(self, name: str, runner_id: int) -> None:
        """Close a name: a machine uses its config."""
        self.note([Change(name=name, state=State.LAUNCHED, runner_id=runner_id)])

    @property
    def patience(self) -> float:
        """For how many seconds to wait for the disk: for none once it has shown that it does not answer."""
        return PATIENCE if self._writer.available else 0.0

    def open_names(self) -> int:
        """Return how many names of this process are not closed, without asking a disk; any thread may ask."""
        return 0 if self._closed else self._open_here.open_names()

    async def adopt(self) -> tuple[LeftoverName, ...]:
        """Take over what dead processes left open."""
        leftovers = await self._writer.call(self._journal.adopt)
        delivered = State.DELIVERED, State.AMBIGUOUS
        self._open_here.write([Change(name=each.name, state=delivered[not each.delivered]) for each in leftovers])
        return leftovers

    async def registered(self, window: float) -> tuple[tuple[float, int], ...]:
        """Return what was registered in the last `window` seconds, by dead processes, too: how long ago, how many."""
        return await self._writer.call(lambda: self._journal.registered(window))

    def pause(self, seconds: float) -> None:
        """Write down, soon, for how long the service allows no registration."""
        self._writer.put_soon([Pause(seconds)])

    async def pause_left(self) -> float:
        """Return for how many seconds the service allows none, as a process heard that may be dead."""
        return await self._writer.call(self._journal.pause_left)

    async def close(self) -> None:
        """Write what is left, then release the journal; a disk that is full does not keep the host from ending."""
        self._closed = True
        try:
            await self._writer.close(self._journal.close)
        except (OSError, sqlite3.Error) as error:
            logger.warning("the journal could not write at the end, the next start looks at what it holds: %s", error)
        except Exception:
            logger.exception("the journal could not write at the end; the next start looks at what it holds")

    def _write_down(self, items: Sequence[Change | Pause]) -> None:
        for item in items:
            if isinstance(item, Pause):
                self._journal.pause(item.seconds)
        if changes := [item for item in items if isinstance(item, Change)]:
            self._journal.write(changes)
