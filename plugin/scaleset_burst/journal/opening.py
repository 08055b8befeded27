"""Opens the journal: on disk if that can be, else in memory with one warning."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

from scaleset_burst.journal.database import DatabaseJournal, NewerSchemaError
from scaleset_burst.journal.memory import MemoryJournal

__all__ = ["default_directory", "open_journal"]

MEMORY = ":memory:"


def default_directory(environ: Mapping[str, str], home: Path) -> Path:
    """Return the user's state directory for this program (XDG base directory specification)."""
    base = environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else home / ".local" / "state") / "scaleset-burst"


def open_journal(
    directory: str | None,
    scope: str,
    *,
    environ: Mapping[str, str],
    home: Path,
    warn: Callable[[str], None],
    now: Callable[[], float] = time.time,
) -> DatabaseJournal | MemoryJournal:
    """Open the journal of a scope.

    Args:
        directory: State directory; `None` for the user's own; `:memory:` to keep nothing.
        scope: The enterprise, organisation or repository; each has a file of its own.
        environ: The environment, for the user's state directory.
        home: The user's home.
        warn: Told once, in one sentence, why names are kept in memory only.
        now: Unix time.
    """
    if directory == MEMORY:
        return MemoryJournal()
    base = Path(directory).expanduser() if directory else default_directory(environ, home)
    # Each scope has a name of its own: names of `acme/web` that are looked for in `acme-web` are never found.
    place = base / quote(scope.lower(), safe="").replace("%2F", "+")
    try:
        return _open(place, warn, now)
    except (OSError, sqlite3.Error, NewerSchemaError) as error:
        warn(
            f"the journal cannot be kept in {place}: {error}. Names are kept in memory only, so a crash of this "
            f"process may leave unused runners behind. Set plugins.burst.journal.directory to one that can be written."
        )
        return MemoryJournal()


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
