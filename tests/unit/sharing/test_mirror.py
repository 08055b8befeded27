"""The mirror of open names, over a store in memory."""

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from scaleset_burst.journal import Change, MemoryJournal, State
from scaleset_burst.sharing.keys import Keys
from scaleset_burst.sharing.names import SharedNames
from scaleset_burst.sharing.namescripts import MARK


class OneHash:
    """The part of a store that a mirror uses: one hash."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}

    async def run(self, script: object, _keys: Sequence[str], arguments: Sequence[Any]) -> list[list[str]]:
        """Lose nothing, find nothing, and mark what is delivered."""
        if script is not MARK:
            return [[], []]
        self.fields |= dict(zip(arguments[2::2], arguments[3::2], strict=True))
        return []

    async def update(self, _key: str, values: dict[str, str], gone: Iterable[str], _kept: int) -> None:
        """Keep fields."""
        self.fields |= values
        for name in gone:
            self.fields.pop(name, None)


class Full(MemoryJournal):
    """A journal whose disk becomes full."""

    full = False

    def write(self, changes: Sequence[Change]) -> None:
        """Fail once it is full."""
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        super().write(changes)


def test_a_full_disk_here_hides_no_delivery_from_others() -> None:
    """A config that is handed out without our own journal must not look undelivered to another host."""

    async def main() -> None:
        store: Any = OneHash()
        journal = Full()
        names = SharedNames(journal, store, Keys("burst", "github.com/acme"), "me")
        await names.upload()
        await names.reserve(42, ["a"])
        assert store.fields == {"a": "r|42"}
        journal.full = True
        await names.record([Change(name="a", state=State.DELIVERED, runner_id=1)])
        assert store.fields == {"a": "d|42"}
        journal.full = False
        await names.close()

    asyncio.run(main())
