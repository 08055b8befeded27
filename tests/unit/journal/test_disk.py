"""A disk that is locked, slow or hangs; folders of others; a clock that is set; a child that lives on."""

import asyncio
import multiprocessing
import os
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from scaleset_burst.journal import (
    Change,
    DatabaseJournal,
    JournalNames,
    LazyJournal,
    MemoryJournal,
    State,
    open_journal,
)
from scaleset_burst.journal.memory import MOST_DELIVERED
from scaleset_burst.journal.writer import MOST_UNWRITTEN

DAY = 86_400.0


def reserved(*names: str) -> list[Change]:
    return [Change(name=name, state=State.RESERVED, scale_set_id=42) for name in names]


class Disk(MemoryJournal):
    """Hangs, or fails, for as long as it is told to; keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = threading.Event()
        self.error: Exception | None = None
        self.written: list[str] = []

    def write(self, changes: Sequence[Change]) -> None:
        assert self.answers.wait(30)
        if self.error is not None:
            raise self.error
        self.written += [change.name for change in changes]


async def until_written(disk: Disk, count: int) -> None:
    while len(disk.written) < count:
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("error", [None, sqlite3.OperationalError("database is locked"), OSError("full")])
def test_a_disk_that_takes_nothing_is_waited_for_once(error: Exception | None) -> None:
    """The first wave waits, those behind it do not; everything is written in its order when the disk is back."""

    async def main() -> None:
        disk = Disk()
        disk.error = error
        if error is not None:
            disk.answers.set()
        names = JournalNames(disk)
        await names.reserve(42, ["0"])
        assert names.patience == 0.0
        for number in range(1, 200):
            waves = names.reserve(42, [str(number)])
            with pytest.raises(StopIteration):  # it returns without having waited for anything
                waves.send(None)
        assert disk.written == []
        disk.error = None
        disk.answers.set()
        await until_written(disk, 200)
        assert disk.written == [str(number) for number in range(200)]
        while not names.patience:
            await asyncio.sleep(0.02)
        await names.record(reserved("last"))
        assert disk.written[-1] == "last", "a disk that is back is waited for"
        assert names.patience > 0
        assert names.open_names() == 201
        await names.close()

    asyncio.run(main())


@pytest.mark.parametrize("error", [sqlite3.OperationalError("database or disk is full"), OSError("full")])
def test_a_disk_that_is_full_at_the_end_is_one_sentence(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """It is the machine's fault and not ours: a host whose disk was full ended with a traceback."""

    async def main() -> None:
        disk = Disk()
        disk.answers.set()
        disk.error = error
        names = JournalNames(disk)
        await names.reserve(42, ["0"])
        await names.close()

    asyncio.run(main())
    assert [record.levelname for record in caplog.records if "at the end" in record.getMessage()] == ["WARNING"]
    assert not [record for record in caplog.records if record.exc_info]


def test_what_a_disk_lacks_is_bounded() -> None:
    """The newest items are kept."""

    async def main() -> None:
        disk = Disk()
        names = JournalNames(disk)
        await names.reserve(42, ["first"])
        for wave in range(30):
            await names.reserve(42, [f"{wave}-{number}" for number in range(1000)])
        disk.answers.set()
        await until_written(disk, MOST_UNWRITTEN + 1)
        await names.close()
        assert len(disk.written) == MOST_UNWRITTEN + 1
        assert disk.written[-1] == "29-999"

    asyncio.run(main())


def test_a_locked_file_is_opened_when_it_is_free(tmp_path: Path) -> None:
    """Nothing of it happens on the loop, metrics ask no disk, and the names are in the file in the end."""
    DatabaseJournal(tmp_path / "s").close()
    other = sqlite3.connect(tmp_path / "s" / "journal.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def main() -> None:
        names = JournalNames(LazyJournal(lambda: opened(tmp_path)))
        await names.reserve(42, ["a"])
        assert names.open_names() == 1
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            await names.adopt()
        other.execute("ROLLBACK")
        while not names.patience:
            await asyncio.sleep(0.02)
        await names.close()

    asyncio.run(main())
    assert other.execute("SELECT name FROM names").fetchall() == [("a",)]
    other.close()


def opened(place: Path, scope: str = "s", **about: object) -> DatabaseJournal | MemoryJournal:
    return open_journal(str(place), scope, environ={}, home=Path.home, warn=pytest.fail, **about)  # type: ignore[arg-type]


def test_a_name_that_was_reserved_and_minted_in_one_write_is_registered(tmp_path: Path) -> None:
    """What the disk lacked comes in one group: it counts within the window as if it had come wave by wave."""
    journal = DatabaseJournal(tmp_path)
    journal.write(reserved("before"))
    later = [Change(name=name, state=State.MINTED, runner_id=1) for name in ("before", "a", "b")]
    journal.write([*reserved("a", "b", "c"), *later, Change(name="c", state=State.CLOSED)])
    assert sum(count for _, count in journal.registered(60.0)) == 3
    journal.close()


def test_folders_are_made_for_this_user_only(tmp_path: Path) -> None:
    """Whatever the umask is: who can rename a folder above can put another journal there."""
    before = os.umask(0)
    try:
        opened(tmp_path / "a" / "b").close()
    finally:
        os.umask(before)
    for folder in (tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "s"):
        assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("where", ["", "s", "s/journal.db"])
@pytest.mark.parametrize("fault", ["everybody", "another"])
def test_what_others_can_write_is_not_believed(
    where: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One warning names the file, the reason, and the setting."""
    place = tmp_path / "state"
    opened(place).close()
    target = place / where
    if fault == "everybody":
        target.chmod(0o777)
        reason = "everybody"
    elif os.geteuid() == 0:
        os.chown(target, 65534, -1)
        reason = "another user"
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        reason = "another user"
    said: list[str] = []
    journal = open_journal(str(place), "s", environ={}, home=Path.home, warn=said.append)
    assert isinstance(journal, MemoryJournal)
    assert len(said) == 1
    assert reason in said[0]
    assert "plugins.burst.journal.directory" in said[0]


def test_nobody_knows_the_home() -> None:
    """A user without a passwd entry and without HOME has a journal in memory, and one warning."""

    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    said: list[str] = []
    assert isinstance(open_journal(None, "s", environ={}, home=home, warn=said.append), MemoryJournal)
    assert len(said) == 1
    assert "home directory. Names" in said[0]


@pytest.mark.parametrize("off", [DAY, 3600.0, 400 * DAY])
def test_a_clock_that_ran_ahead_fills_one_window_at_most(tmp_path: Path, off: float) -> None:
    """Rows of the future count as of the moment they are found; a pause lasts no longer than it was."""
    now = [1e9 + off]
    journal = DatabaseJournal(tmp_path, now=lambda: now[0])
    journal.write(reserved("a"))
    journal.write([Change(name="a", state=State.DELIVERED, runner_id=1)])
    journal.pause(90.0)
    now[0] = 1e9
    assert journal.registered(300.0) == ((0.0, 1),)
    assert journal.pause_left() == 90.0
    now[0] += 100.0
    assert journal.registered(300.0) == ((100.0, 1),)
    now[0] += 201.0
    assert journal.registered(300.0) == ()
    journal.close()


def test_a_pause_outlives_its_process(tmp_path: Path) -> None:
    """The last one counts."""
    now = [1e9]
    first = DatabaseJournal(tmp_path, now=lambda: now[0])
    first.pause(600.0)
    first.pause(60.0)
    first.close()
    now[0] += 20.0
    second = DatabaseJournal(tmp_path, now=lambda: now[0])
    assert second.pause_left() == 40.0
    now[0] += 41.0
    assert second.pause_left() == 0.0
    second.close()


def test_a_week_leaves_nothing_behind(tmp_path: Path) -> None:
    """Bursts each hour, half of the launches never reported, a process that dies each day."""
    now = [1e9]
    most = 0
    for _day in range(7):
        journal = DatabaseJournal(tmp_path, now=lambda: now[0])
        journal.registered(300.0)
        for hour in range(24):
            names = [f"{now[0]}-{number}" for number in range(100)]
            journal.write(reserved(*names))
            for number in range(0, 100, 10):
                group = names[number : number + 10]
                journal.write([Change(name=name, state=State.DELIVERED, runner_id=number) for name in group])
            journal.write([Change(name=name, state=State.LAUNCHED) for name in names[::2]])
            now[0] += 3600.0
            for leftover in journal.adopt():
                assert hour == 0
                journal.write([Change(name=leftover.name, state=State.CLOSED)])
            count = "SELECT (SELECT COUNT(*) FROM names) + (SELECT COUNT(*) FROM registrations) + COUNT(*) FROM facts"
            most = max(most, journal._database.execute(count).fetchone()[0])
        journal._database.close()
        journal.owner.drop()  # it dies
    assert most <= 2 * 24 * 50 + 20 + 5
    assert len(list(tmp_path.glob("owner-*"))) <= 1


def test_a_year_of_deliveries_in_memory_is_bounded() -> None:
    """What the engine counts for metrics, too."""

    async def main() -> None:
        names = JournalNames(MemoryJournal())
        for wave in range(40):
            names.note([Change(name=f"{wave}-{number}", state=State.DELIVERED) for number in range(1000)])
        assert names.open_names() == MOST_DELIVERED
        await names.close()

    asyncio.run(main())


def _live(pipe: "multiprocessing.connection.Connection") -> None:
    pipe.send("up")
    pipe.recv()


def test_a_child_that_lives_on_does_not_keep_its_parent_alive(tmp_path: Path) -> None:
    """A fork without exec shares the locks of its parent."""
    survivor = DatabaseJournal(tmp_path)
    dying = DatabaseJournal(tmp_path)
    dying.write(reserved("a", "b"))
    fork = multiprocessing.get_context("fork")
    here, there = fork.Pipe()
    child = fork.Process(target=_live, args=(there,))
    child.start()
    try:
        here.recv()
        dying._database.close()
        dying.owner.drop()  # what the kernel does when a process dies
        assert child.is_alive()
        assert len(survivor.adopt()) == 2
    finally:
        here.send("end")
        child.join()
        survivor.close()
