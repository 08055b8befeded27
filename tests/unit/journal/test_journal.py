"""One behaviour for both journals, and what only the one on disk can do."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleset_burst.journal import Change, DatabaseJournal, Journal, JournalNames, MemoryJournal, State, open_journal
from scaleset_burst.journal.memory import MOST_DELIVERED
from tests.kit.examples import examples

OPEN = (State.RESERVED, State.MINTED, State.AMBIGUOUS, State.UNPROVEN)


@pytest.fixture(params=["memory", "disk"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    """Give each kind of journal in turn."""
    journal = MemoryJournal() if request.param == "memory" else DatabaseJournal(tmp_path)
    yield journal
    journal.close()


def change(name: str, state: State, runner_id: int | None = None) -> Change:
    """Make a change in scale set 42."""
    return Change(name=name, state=state, runner_id=runner_id, scale_set_id=42)


def test_a_name_is_open_until_it_is_closed() -> None:
    """Every state but LAUNCHED and CLOSED counts as open."""
    journal = MemoryJournal()
    journal.write([change("a", State.RESERVED), change("b", State.RESERVED), change("c", State.RESERVED)])
    journal.write([change("a", State.DELIVERED, 1), change("b", State.AMBIGUOUS)])
    assert journal.open_names() == 3
    journal.write([change("a", State.LAUNCHED, 1), change("b", State.CLOSED), change("c", State.CLOSED)])
    assert journal.open_names() == 0


def test_the_living_are_not_robbed(journal: Journal) -> None:
    """Nothing of a process that lives is adopted, by itself or by others."""
    journal.write([change("a", State.RESERVED)])
    assert journal.adopt() == ()


def die(journal: DatabaseJournal) -> None:
    """Release what the kernel releases when a process dies, and nothing else."""
    journal._database.close()
    journal.owner.drop()


def states(journal: DatabaseJournal) -> dict[str, str]:
    """Return the state of each name in the file."""
    return dict(journal._database.execute("SELECT name, state FROM names"))


@settings(max_examples=examples(40), deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 20), st.sampled_from(list(State))), max_size=40), reports=st.booleans())
def test_what_the_dead_left_is_adopted_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, State]], reports: bool
) -> None:
    """Each name goes to exactly one survivor, as it is; delivered ones only if launches are reported."""
    place = tmp_path_factory.mktemp("journal")
    first, second, third = (DatabaseJournal(place) for _ in range(3))
    last: dict[str, State] = {}
    for number, state in steps:
        first.write([change(f"n{number}", state, number)])
        last[f"n{number}"] = state
    if reports:
        first.write([change("launched", State.LAUNCHED)])
    launches = reports or State.LAUNCHED in (state for _, state in steps)
    die(first)
    before = states(second)
    adopted = [*second.adopt(), *third.adopt()]
    delivered = {name for name, state in last.items() if state is State.DELIVERED}
    expected = {
        name: state is State.DELIVERED
        for name, state in last.items()
        if state in OPEN or (state is State.DELIVERED and launches)
    }
    assert {leftover.name: leftover.delivered for leftover in adopted} == expected
    assert len(adopted) == len(expected)
    third.write([change("reported", State.LAUNCHED)])
    late = third.adopt()
    assert {leftover.name for leftover in late} == delivered - set(expected), (
        "delivered names wait for the first report"
    )
    die(second)
    again = {leftover.name: leftover.delivered for leftover in third.adopt()}
    assert again == expected
    assert states(third) == before, "nobody learns more of a name by taking it over"
    third.close()


def test_a_clean_end_leaves_only_what_is_open(tmp_path: Path) -> None:
    """A name that was not closed may have been sent, whatever the end was; the lock goes with the process."""
    first, second = DatabaseJournal(tmp_path), DatabaseJournal(tmp_path)
    first.write([change("never-sent", State.RESERVED), change("hung", State.RESERVED)])
    first.write([change("never-sent", State.CLOSED)])
    first.close()
    assert [leftover.name for leftover in second.adopt()] == ["hung"]
    second.close()
    assert list(tmp_path.glob("owner-*")) == []


def test_a_killed_process_is_found_dead(tmp_path: Path) -> None:
    """SIGKILL releases the lock and loses no transaction."""
    program = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from scaleset_burst.journal import Change, DatabaseJournal, State
        journal = DatabaseJournal(Path(sys.argv[1]))
        journal.write([Change(name=f"n{i}", state=State.RESERVED, scale_set_id=7) for i in range(50)])
        print("written", flush=True)
        time.sleep(60)
        """
    )
    survivor = DatabaseJournal(tmp_path)
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "written\n"
        assert survivor.adopt() == ()
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    assert len(survivor.adopt()) == 50
    survivor.close()


def test_a_directory_that_cannot_be_written_is_warned_of_once(tmp_path: Path) -> None:
    """The burst must not depend on a disk: names stay in memory, with one sentence that says what to do."""
    (tmp_path / "file").write_text("")
    warnings: list[str] = []
    journal = open_journal(str(tmp_path / "file"), "s", environ={}, home=lambda: tmp_path, warn=warnings.append)
    assert isinstance(journal, MemoryJournal)
    assert len(warnings) == 1
    assert "plugins.burst.journal.directory" in warnings[0]


def test_every_scope_has_a_file_of_its_own(tmp_path: Path) -> None:
    """A repository and an organisation whose names differ in a slash only do not take each other's names for theirs."""
    scopes = ["github.com/acme/web", "github.com/acme-web", "ghe.example:8443/acme/web", "github.com/enterprises/a+b"]
    journals = [open_journal(str(tmp_path), one, environ={}, home=lambda: tmp_path, warn=pytest.fail) for one in scopes]
    for journal in journals:
        journal.close()
    assert len(list(tmp_path.iterdir())) == len(scopes)


def test_a_damaged_file_is_moved_aside(tmp_path: Path) -> None:
    """Nothing is deleted: the damaged file stays, under another name."""
    place = tmp_path / "github.com+acme"
    place.mkdir()
    (place / "journal.db").write_bytes(b"this is no database" * 100)
    warnings: list[str] = []
    journal = open_journal(str(tmp_path), "github.com/acme", environ={}, home=lambda: tmp_path, warn=warnings.append)
    assert isinstance(journal, DatabaseJournal)
    journal.close()
    assert len(list(place.glob("journal.db.damaged-*"))) == 1
    assert "moved" in warnings[0]


def test_a_later_schema_is_left_alone(tmp_path: Path) -> None:
    """A file of a later version is not touched."""
    DatabaseJournal(tmp_path / "s").close()
    with sqlite3.connect(tmp_path / "s" / "journal.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    warnings: list[str] = []
    assert isinstance(
        open_journal(str(tmp_path), "s", environ={}, home=lambda: tmp_path, warn=warnings.append), MemoryJournal
    )
    assert "schema 99" in warnings[0]


def test_only_the_user_can_read_it(tmp_path: Path) -> None:
    """Runner names are nobody else's business."""
    place = tmp_path / "state"
    journal = DatabaseJournal(place)
    assert place.stat().st_mode & 0o777 == 0o700
    assert (place / "journal.db").stat().st_mode & 0o777 == 0o600
    journal.close()


def test_many_changes_share_few_transactions(tmp_path: Path) -> None:
    """What gathers while one group is written goes with the next."""
    written: list[int] = []

    class Counting(MemoryJournal):
        def write(self, changes: object) -> None:
            written.append(len(changes))  # type: ignore[arg-type]

    async def main() -> None:
        names = JournalNames(Counting())
        await asyncio.gather(*(names.record([change(f"n{i}", State.MINTED)]) for i in range(300)))
        await names.close()

    asyncio.run(main())
    assert sum(written) == 300
    assert len(written) <= 3


def test_nothing_to_write_is_written_at_once() -> None:
    """A call that minted nothing hands over nothing, and must not wait for somebody else's write."""

    async def main() -> None:
        names = JournalNames(MemoryJournal())
        await asyncio.wait_for(names.record([]), 5.0)
        await names.close()

    asyncio.run(main())


def test_a_disk_that_was_full_is_told_later(tmp_path: Path) -> None:
    """What could not be written is written before what comes next: no name stays in an older state of it."""
    program = textwrap.dedent(
        """
        import asyncio, resource, signal, sys
        from pathlib import Path
        from scaleset_burst.journal import Change, DatabaseJournal, JournalNames, State

        async def main():
            journal = DatabaseJournal(Path(sys.argv[1]))
            names = JournalNames(journal)
            await names.reserve(42, ["a", "b", "c"])
            full = (Path(sys.argv[1]) / "journal.db-wal").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
            failed = 0
            for change in (
                [Change(name=f"r{i}", state=State.RESERVED, scale_set_id=42) for i in range(500)],
                [Change(name="a", state=State.DELIVERED, runner_id=1), Change(name="b", state=State.AMBIGUOUS)],
            ):
                try:
                    await names.record(change)
                except Exception:
                    failed += 1
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            await names.record([Change(name="c", state=State.MINTED, runner_id=3)])
            while len(names._writer._gathering) or not names._writer._idle.is_set():
                await asyncio.sleep(0.02)
            rows = journal._database.execute("SELECT name, state FROM names WHERE name NOT LIKE 'r%'")
            count = journal._database.execute("SELECT COUNT(*) FROM names").fetchone()[0]
            print(failed, count, *sorted(f"{name}={state}" for name, state in rows))
            await names.close()

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        asyncio.run(main())
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["0", "503", "a=delivered", "b=ambiguous", "c=minted"]


def test_what_can_never_be_written_holds_up_nothing(tmp_path: Path) -> None:
    """An error that is no matter of time fails its own wave only."""

    async def main() -> None:
        journal = DatabaseJournal(tmp_path)
        names = JournalNames(journal)
        with pytest.raises(sqlite3.IntegrityError):
            await names.record([change("a", State.MINTED, 2**70)])
        await names.record([change("b", State.MINTED, 2)])
        assert states(journal) == {"b": "minted"}
        await names.close()

    asyncio.run(main())


def test_memory_is_bounded_by_what_is_delivered_and_never_reported() -> None:
    """A host that never reports a launch loses the oldest names, and none that is in doubt."""
    journal = MemoryJournal()
    journal.write([change(f"r{number}", State.RESERVED) for number in range(100)])
    for number in range(3 * MOST_DELIVERED):
        journal.write([change(f"d{number}", State.DELIVERED, number)])
    assert journal.open_names() == MOST_DELIVERED + 100
    journal.write([change(f"d{3 * MOST_DELIVERED - 1}", State.LAUNCHED), change("r1", State.CLOSED)])
    assert journal.open_names() == MOST_DELIVERED + 98
