"""Which names a dead process left are proven unused: all, if its journal lacks nothing of what was handed out."""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scaleset_burst.journal import Change, DatabaseJournal, JournalNames, LazyJournal, State
from scaleset_burst.journal import witness as module
from scaleset_burst.journal.witness import Witness, forget, witnessed
from scaleset_burst.minting.unresolved import adopted
from tests.unit.journal.test_journal import change, die

needs_memory = pytest.mark.skipif(not module.MEMORY.is_dir(), reason="no files in memory here")


def left_by(journal: DatabaseJournal, place: Path, between: Callable[[], None] = lambda: None) -> dict[str, bool]:
    """Let a process die; return which names the next one finds, and which it takes for proven unused."""
    die(journal)
    between()
    after = DatabaseJournal(place)
    found = {leftover.name: leftover.unused for leftover in after.adopt()}
    die(after)
    later = DatabaseJournal(place)
    assert {leftover.name: leftover.unused for leftover in later.adopt()} == found, "whoever comes next knows as much"
    later.write([change(name, State.CLOSED) for name in found])
    later.close()
    return found


@pytest.fixture
def journal(tmp_path: Path) -> DatabaseJournal:
    """Give a journal in which one name was handed out, and three were not."""
    made = DatabaseJournal(tmp_path)
    made.write([change(name, State.RESERVED) for name in "abcd"])
    made.write([change("b", State.MINTED, 1), change("c", State.AMBIGUOUS)])
    made.write([change("d", State.DELIVERED, 2), change("e", State.LAUNCHED, 3)])
    return made


@needs_memory
def test_what_was_not_handed_out_is_proven_so(journal: DatabaseJournal, tmp_path: Path) -> None:
    left = left_by(journal, tmp_path)
    assert left == {"a": True, "b": True, "c": True, "d": False}
    assert witnessed(journal.owner.id) is None, "nothing stays in memory"


def test_without_the_machines_memory_nothing_is_proven(
    tmp_path: Path, journal: DatabaseJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the machine has restarted, and where there is no such memory."""
    forget(journal.owner.id)
    assert not any(left_by(journal, tmp_path).values())
    monkeypatch.setattr(module, "MEMORY", tmp_path / "none")
    other = DatabaseJournal(tmp_path)
    other.write([change("x", State.RESERVED)])
    assert left_by(other, tmp_path) == {"x": False}


def test_a_write_that_was_lost_or_undone_leaves_no_proof(tmp_path: Path, journal: DatabaseJournal) -> None:
    """The file is an older copy of itself, whatever was written after it."""
    copy = sqlite3.connect(":memory:")
    journal._database.backup(copy)
    journal.write([change("a", State.DELIVERED, 4)])

    def restore() -> None:
        with sqlite3.connect(tmp_path / "journal.db") as database:
            copy.backup(database)
        database.close()
        copy.close()

    assert left_by(journal, tmp_path, restore) == {"a": False, "b": False, "c": False, "d": False}


def test_a_write_lost_in_the_middle_leaves_no_proof(tmp_path: Path, journal: DatabaseJournal) -> None:
    copy = sqlite3.connect(":memory:")
    journal._database.backup(copy)
    journal.write([change("a", State.DELIVERED, 4)])
    copy.backup(journal._database)
    copy.close()
    for number in range(5):
        journal.write([change(f"later-{number}", State.DELIVERED, 10 + number)])
    assert left_by(journal, tmp_path)["a"] is False


def test_a_write_that_failed_leaves_no_proof(tmp_path: Path, journal: DatabaseJournal) -> None:
    """Whether it was carried out in the end, and what was handed out without it, is not known."""
    with pytest.raises(sqlite3.Error):
        journal.write([change("a", State.DELIVERED, 1.5)])  # type: ignore[arg-type]  # refused by the database
    journal.write([change("x", State.DELIVERED, 4)])
    assert left_by(journal, tmp_path)["a"] is False


@pytest.mark.parametrize("opened", [True, False])
def test_what_is_handed_out_without_a_disk_leaves_no_proof(tmp_path: Path, opened: bool) -> None:
    """The disk is locked while a config is handed out, and the process dies before it is written down."""
    made: list[DatabaseJournal] = []

    def open_() -> DatabaseJournal:
        made.append(DatabaseJournal(tmp_path))
        return made[0]

    async def main() -> None:
        lazy = LazyJournal(open_)
        names = JournalNames(lazy)
        if opened:
            await names.reserve(42, ["a"])
        names._writer.available = False
        await names.record([Change(name="a", state=State.DELIVERED, runner_id=1)])
        names._writer._gathering.clear()
        names._writer.available = True
        await names.reserve(42, ["b"])
        await names._writer.call(lambda: None)
        names._writer._closed = True

    asyncio.run(main())
    left = left_by(made[0], tmp_path)
    assert set(left) >= {"b"}
    assert not any(left.values())


@pytest.fixture
def owner() -> Iterator[str]:
    """Give the name of a process."""
    yield "a-test-of-the-witness"
    forget("a-test-of-the-witness")


@needs_memory
def test_a_number_of_another_user_or_shape_is_not_believed(owner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = module.MEMORY / f"scaleset-burst-{owner}"
    for content in (b"", b"1234567", b"123456789"):
        path.write_bytes(content)
        assert witnessed(owner) is None
    path.write_bytes(bytes(8))
    assert witnessed(owner) == 0
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert witnessed(owner) is None


@needs_memory
def test_who_is_in_doubt_stays_so(owner: str) -> None:
    witness = Witness(owner)
    witness.saw(3)
    assert witnessed(owner) == 3
    witness.distrust()
    witness.saw(4)
    assert witnessed(owner) is None


def test_only_what_is_proven_unused_needs_no_care(tmp_path: Path, journal: DatabaseJournal) -> None:
    """It is removed at once, whether its service says what is online or not."""
    die(journal)
    after = DatabaseJournal(tmp_path)
    after.write([change("launched", State.LAUNCHED)])
    leftovers = after.adopt()
    drawn = [replace(leftover, name="linux-abcdefghijklm") for leftover in leftovers]
    for leftover, mint in zip(leftovers, adopted(drawn, 100.0, 60.0), strict=True):
        assert mint.careful is not leftover.unused
        assert (mint.starts_until <= 100.0) is leftover.unused
    after.close()
