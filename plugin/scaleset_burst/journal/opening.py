"""Opens the journal: on disk if that can be, else in memory with one warning."""

from __future__ import annotations

import errno
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from scaleset_burst.journal.database import DatabaseJournal, NewerSchemaError
from scaleset_burst.journal.folders import find_out, make_private, refuse_foreign
from scaleset_burst.journal.memory import MemoryJournal
from scaleset_burst.journal.states import Change, LeftoverName

__all__ = ["LazyJournal", "default_directory", "open_journal", "why_unusable"]

MEMORY = ":memory:"

_PASSING_SQLITE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_PASSING_SYSTEM = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE}


def default_directory(environ: Mapping[str, str], home: Callable[[], Path]) -> Path:
    """Return the user's state directory for this program (XDG base directory specification)."""
    base = environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else home() / ".local" / "state") / "scaleset-burst"


def open_journal(
    directory: str | None,
    scope: str,
    *,
    environ: Mapping[str, str],
    home: Callable[[], Path],
    warn: Callable[[str], None],
    now: Callable[[], float] = time.time,
) -> DatabaseJournal | MemoryJournal:
    """Open the journal of a scope.

    Args:
        directory: State directory; `None` for the user's own; `:memory:` to keep nothing.
        scope: The enterprise, organisation or repository; each has a file of its own.
        environ: The environment, for the user's state directory.
        home: Finds the user's home; asked only if it is needed.
        warn: Told once, in one sentence, why names are kept in memory only.
        now: Unix time.

    Raises:
        OSError, sqlite3.OperationalError: The file is locked or the disk full or failing: a later try may do.
    """
    if directory == MEMORY:
        return MemoryJournal()
    place = directory or "the user's state directory"
    try:
        base = Path(directory).expanduser() if directory else default_directory(environ, home)
        # Each scope has a name of its own: names of `acme/web` that are looked for in `acme-web` are never found.
        path = base / quote(scope.lower(), safe="").replace("%2F", "+")
        place = str(path)
        make_private(path)
        refuse_foreign(base)
        return _open(path, warn, now)
    except (OSError, sqlite3.Error, NewerSchemaError, RuntimeError) as error:  # the last one: nobody knows the home
        if _passing(error):
            raise
        reason = str(error).rstrip(".")
        warn(
            f"the journal cannot be kept in {place}: {reason}. Names are kept in memory only, so a crash of this "
            f"process may leave unused runners behind. Set plugins.burst.journal.directory to one that can be written, "
            f"by the user of this process only."
        )
        return MemoryJournal()


def why_unusable(directory: str | None, *, environ: Mapping[str, str], home: Callable[[], Path]) -> str | None:
    """Return why no journal could be kept in a directory, `None` if one could; nothing is made or opened."""
    if directory == MEMORY:
        return None
    try:
        find_out(Path(directory).expanduser() if directory else default_directory(environ, home))
    except (OSError, RuntimeError) as error:
        return str(error).rstrip(".")
    return None


class LazyJournal:
    """Opens a journal with its first use, in the thread that uses it: a file that is locked must not hold up a loop."""

    def __init__(self, open_: Callable[[], DatabaseJournal | MemoryJournal]) -> None:
        self._open = open_
        self._journal: DatabaseJournal | MemoryJournal | None = None
        self._unproven = False

    def write(self, changes: Sequence[Change]) -> None:
        """Write what became of names; durable when it returns."""
        self._opened().write(changes)

    def adopt(self) -> tuple[LeftoverName, ...]:
        """Take over what dead processes left open."""
        return self._opened().adopt()

    def registered(self, window: float) -> tuple[tuple[float, int], ...]:
        """Return what was registered in the last `window` seconds: how long ago, how many."""
        return self._opened().registered(window)

    def pause(self, seconds: float) -> None:
        """Write down for how long nothing may be registered from now on."""
        self._opened().pause(seconds)

    def pause_left(self) -> float:
        """Return for how many seconds nothing may be registered."""
        return self._opened().pause_left()

    def distrust(self) -> None:
        """Note, at once, that a config may be handed out that is not written down."""
        self._unproven = True
        if self._journal is not None:
            self._journal.distrust()

    def close(self) -> None:
        """Release the file, if it was opened."""
        if self._journal is not None:
            self._journal.close()

    def _opened(self) -> DatabaseJournal | MemoryJournal:
        if self._journal is None:
            self._journal = self._open()
            if self._unproven:
                self._journal.distrust()
        return self._journal


def _passing(error: Exception) -> bool:
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING_SQLITE
    return isinstance(error, OSError) and error.errno in _PASSING_SYSTEM


def _open(place: Path, warn: Callable[[str], None], now: Callable[[], float]) -> DatabaseJournal:
    try:
        return DatabaseJournal(place, now=now)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        aside = place / f"journal.db.damaged-{int(now())}"
        (place / "journal.db").rename(aside)
        for rest in ("journal.db-wal", "journal.db-shm"):
            (place / rest).unlink(missing_ok=True)
        warn(f"the journal was damaged ({error}); it was moved to {aside} and a new one begun")
        return DatabaseJournal(place, now=now)
