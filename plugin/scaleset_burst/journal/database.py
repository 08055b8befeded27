"""The journal on disk: SQLite, one transaction for each wave, shared by any number of processes."""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from scaleset_burst.journal.folders import make_private, refuse_foreign
from scaleset_burst.journal.owner import Owner, dead_owners
from scaleset_burst.journal.states import Change, LeftoverName, State
from scaleset_burst.journal.witness import Witness, forget, witnessed

__all__ = ["SCHEMA_VERSION", "DatabaseJournal", "NewerSchemaError"]

SCHEMA_VERSION = 1
KEPT_SECONDS = 2 * 86_400
"""Delivered names whose launch was never reported are forgotten after this time: a JIT runner that has not connected
within a day is removed by the service itself (protocol 8.3)."""

BUSY_SECONDS = 1.0
"""How long a write waits for another process's: much longer than theirs take, if they are processes like this one."""

_CLOSED = (State.CLOSED, State.LAUNCHED)
_OPEN = (State.RESERVED, State.MINTED, State.AMBIGUOUS, State.UNPROVEN)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS names (
    name TEXT PRIMARY KEY, scale_set_id INTEGER, state TEXT NOT NULL,
    runner_id INTEGER CHECK (typeof(runner_id) IN ('integer', 'null')), owner TEXT NOT NULL, changed REAL NOT NULL
) WITHOUT ROWID;
DROP INDEX IF EXISTS names_by_owner;
CREATE TABLE IF NOT EXISTS registrations (at REAL NOT NULL, count INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS facts (fact TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS registered AFTER UPDATE OF state ON names
WHEN old.state = 'reserved' AND new.state NOT IN ('reserved', 'doubtful')
BEGIN INSERT INTO registrations VALUES (new.changed, 1); END;
CREATE TRIGGER IF NOT EXISTS registered_unreserved AFTER INSERT ON names
WHEN new.state NOT IN ('reserved', 'doubtful')
BEGIN INSERT INTO registrations VALUES (new.changed, 1); END;
CREATE TABLE IF NOT EXISTS owners (owner TEXT PRIMARY KEY, handed_out INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS handed_out AFTER UPDATE OF state ON names WHEN new.state = 'delivered'
BEGIN UPDATE owners SET handed_out = handed_out + 1 WHERE owner = new.owner; END;
CREATE TRIGGER IF NOT EXISTS handed_out_unreserved AFTER INSERT ON names WHEN new.state = 'delivered'
BEGIN UPDATE owners SET handed_out = handed_out + 1 WHERE owner = new.owner; END;
"""
"""The triggers count a registration when it is first heard of, whether its reservation could be written or not; and the
configs that a process handed out, in the statement that says so, which costs no further one."""

_UPSERT = """
INSERT INTO names (name, scale_set_id, state, runner_id, owner, changed)
SELECT key, :scale_set_id, :state, value, :owner, :now FROM json_each(:names) WHERE TRUE
ON CONFLICT (name) DO UPDATE SET state = excluded.state, changed = excluded.changed,
    runner_id = COALESCE(excluded.runner_id, runner_id), scale_set_id = COALESCE(excluded.scale_set_id, scale_set_id)
"""
_DELETE = "DELETE FROM names WHERE name IN (SELECT value FROM json_each(?))"

_LAUNCHES = "INSERT OR IGNORE INTO facts VALUES ('launches', 1)"
_FACT = "INSERT INTO facts VALUES (?, ?) ON CONFLICT (fact) DO UPDATE SET count = excluded.count"


class NewerSchemaError(Exception):
    """The file was written by a later version."""


class DatabaseJournal:
    """The names of one process in a file that several of the same scope may share.

    A process holds a lock on a file of its own for as long as it lives, so that others know for certain when it is
    dead, however it died. Only names, ids, states and times are stored: no secrets.
    """

    def __init__(self, directory: Path, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._directory = directory
        self._window = float(KEPT_SECONDS)
        self._reports = False
        make_private(directory)
        path = directory / "journal.db"
        path.touch(mode=0o600)
        for each in (directory, *directory.glob("journal.db*")):
            refuse_foreign(each)
        self._database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
            self.owner = Owner(directory)
            self._database.execute("INSERT INTO owners VALUES (?, 0)", (self.owner.id,))
        except BaseException:
            self._database.close()
            raise
        self._handed_out = 0
        self._witness = Witness(self.owner.id)

    def write(self, changes: Sequence[Change]) -> None:
        """Write what became of names, in one transaction; durable against the process's death when it returns."""
        # As few statements as can be, and one for a wave as a rule, which is a transaction by itself: after each this
        # thread has to wait for the interpreter's lock, which the loop holds.
        try:
            self._handed_out += self._write(changes)
        except BaseException:
            self.distrust()  # whether it was written may not even be known
            raise
        self._witness.saw(self._handed_out)

    def distrust(self) -> None:
        """Note that a config may be handed out that is not written down; any thread may say so."""
        self._witness.distrust()

    def _write(self, changes: Sequence[Change]) -> int:
        """Write; return of how many names that they are handed out."""
        now = self._now()
        waves = list(_last_of_each(changes))
        statements: list[tuple[str, Mapping[str, object] | tuple[str, ...]]] = [
            (_UPSERT, {**about, "names": json.dumps(names), "owner": self.owner.id, "now": now})
            for about, names in waves
        ]
        if closed := [change.name for change in changes if change.state in _CLOSED]:
            statements.append((_DELETE, (json.dumps(closed),)))
        reports = self._reports or any(change.state is State.LAUNCHED for change in changes)
        if reports and not self._reports:
            statements.append((_LAUNCHES, ()))
        if len(statements) == 1:
            self._database.execute(*statements[0])
        elif statements:
            with self._transaction():
                for statement, values in statements:
                    self._database.execute(statement, values)
        self._reports = reports
        return sum(len(names) for about, names in waves if about["state"] == State.DELIVERED.value)

    def registered(self, window: float) -> tuple[tuple[float, int], ...]:
        """Return what the processes of this file registered in the last `window` seconds: how long ago, how many."""
        self._window = window
        self._tidy()
        now = self._now()
        rows = self._database.execute("SELECT at, SUM(count) FROM registrations GROUP BY at ORDER BY at").fetchall()
        return tuple((max(0.0, now - float(at)), int(count)) for at, count in rows)

    def pause(self, seconds: float) -> None:
        """Write down for how long the service allows no registration from now on."""
        with self._transaction():
            facts = ("pause", math.ceil(seconds)), ("paused_until", math.ceil(self._now() + seconds))
            self._database.executemany(_FACT, facts)

    def pause_left(self) -> float:
        """Return for how many seconds it allows none: never longer than it said, whatever the clock says now."""
        facts: dict[str, int] = dict(self._database.execute("SELECT fact, count FROM facts"))
        return max(0.0, min(facts.get("pause", 0), facts.get("paused_until", 0) - self._now()))

    def adopt(self) -> tuple[LeftoverName, ...]:
        """Take over what dead processes left open; each name is handed out once.

        A delivered name is returned only once the host is known to report launches; until then it may well be in use
        and stays where it is. The others may have been delivered, too, unless it is proven that all that were handed
        out are known: that could not always be written down, and the file may be an older copy of itself.
        """
        leftovers: list[LeftoverName] = []
        self._tidy()
        with dead_owners(self._directory, self.owner.id, self._owners()) as dead:
            for owner in dead:
                with self._transaction():
                    leftovers += self._adopt_from(owner)
                forget(owner)
        return tuple(leftovers)

    def close(self) -> None:
        """Release file and lock; what is still open may have been sent, and is for the next process to look at."""
        self._witness.close()
        try:
            if not self._open_of(self.owner.id):  # nobody will ask
                self._database.execute("DELETE FROM owners WHERE owner = ?", (self.owner.id,))
                forget(self.owner.id)
        finally:
            self._database.close()
            self.owner.release()

    def _owners(self) -> set[str]:
        return {str(row[0]) for row in self._database.execute("SELECT owner FROM names UNION SELECT owner FROM owners")}

    def _open_of(self, owner: str, *others: State) -> list[tuple[str, int | None, int | None, State]]:
        states = (*_OPEN, *others)
        marks = ", ".join("?" * len(states))
        with closing(
            self._database.execute(
                f"SELECT name, scale_set_id, runner_id, state FROM names WHERE owner = ? AND state IN ({marks})",  # noqa: S608
                (owner, *(state.value for state in states)),
            )
        ) as rows:
            return [(name, set_id, number, State(state)) for name, set_id, number, state in rows]

    def _all_known(self, owner: str) -> bool:
        """Whether the file has every name of which a dead process knows that it was handed out."""
        written = self._database.execute("SELECT handed_out FROM owners WHERE owner = ?", (owner,)).fetchone()
        handed_out = witnessed(owner)
        return written is not None and handed_out is not None and int(written[0]) >= handed_out

    def _adopt_from(self, owner: str) -> list[LeftoverName]:
        reports = self._database.execute("SELECT count FROM facts WHERE fact = 'launches'").fetchone() is not None
        known = self._all_known(owner)
        found = [
            LeftoverName(
                name=name,
                scale_set_id=set_id,
                runner_id=number,
                delivered=state is State.DELIVERED,
                unused=known and state not in {State.DELIVERED, State.UNPROVEN},
            )
            for name, set_id, number, state in self._open_of(owner, *([State.DELIVERED] if reports else []))
        ]
        self._database.executemany(
            "UPDATE names SET owner = ?, changed = ? WHERE name = ?",
            [(self.owner.id, self._now(), leftover.name) for leftover in found],
        )
        self._database.executemany(  # what proves the others holds for whoever takes them over from us, too
            "UPDATE names SET state = ? WHERE name = ?",
            [(State.UNPROVEN.value, each.name) for each in found if not (each.delivered or each.unused)],
        )
        self._database.execute("DELETE FROM owners WHERE owner = ?", (owner,))
        return found

    def _prepare(self) -> None:
        self._database.execute("PRAGMA journal_mode = WAL")
        # NORMAL loses nothing when a process dies, only when the machine does, and costs no fsync for each wave.
        self._database.execute("PRAGMA synchronous = NORMAL")
        version = int(self._database.execute("PRAGMA user_version").fetchone()[0])
        if version > SCHEMA_VERSION:
            raise NewerSchemaError(f"schema {version}; this version reads up to {SCHEMA_VERSION}")
        # Every build has had these since 2022, older ones mostly: without them a write would fail, each time anew.
        self._database.execute("SELECT key FROM json_each('{}')").fetchone()
        self._database.executescript(_SCHEMA)
        self._database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self._tidy()

    def _tidy(self) -> None:
        """Forget what is old. What a clock that ran ahead dated in the future counts as of now."""
        now = self._now()
        with self._transaction():
            self._database.execute("UPDATE names SET changed = :now WHERE changed > :now", {"now": now})
            self._database.execute("UPDATE registrations SET at = :now WHERE at > :now", {"now": now})
            self._database.execute("DELETE FROM registrations WHERE at < ?", (now - self._window,))
            self._database.execute(
                "DELETE FROM names WHERE state = ? AND changed < ?",
                (State.DELIVERED.value, now - KEPT_SECONDS),
            )

    def _transaction(self) -> _Transaction:
        return _Transaction(self._database)


def _last_of_each(changes: Sequence[Change]) -> Iterator[tuple[dict[str, object], dict[str, int | None]]]:
    """Return what names became that are still open: their ids by name, for each state and scale set."""
    last: dict[str, Change] = {}
    for change in changes:
        if change.state not in _CLOSED:
            before = last.get(change.name)
            last[change.name] = change if before is None else _merged(before, change)
    alike: dict[tuple[State, int | None], dict[str, int | None]] = {}
    state, set_id, names = None, None, dict[str, int | None]()
    for change in last.values():
        if change.state is not state or change.scale_set_id != set_id:  # most of a wave are alike
            state, set_id = change.state, change.scale_set_id
            names = alike.setdefault((state, set_id), {})
        names[change.name] = change.runner_id
    for (state, scale_set_id), names in alike.items():
        yield {"state": state.value, "scale_set_id": scale_set_id}, names


def _merged(before: Change, change: Change) -> Change:
    """Return a change with what an earlier one of the same name knew and it does not."""
    return Change(
        name=change.name,
        state=change.state,
        runner_id=before.runner_id if change.runner_id is None else change.runner_id,
        scale_set_id=before.scale_set_id if change.scale_set_id is None else change.scale_set_id,
    )


class _Transaction:
    """`BEGIN IMMEDIATE` … `COMMIT`: two processes take turns instead of failing half way."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        try:
            if kind is None:
                self._database.execute("COMMIT")
        finally:
            if self._database.in_transaction:  # a full disk may have ended it already
                self._database.execute("ROLLBACK")
