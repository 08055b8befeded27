"""How many configs a process handed out with a write that succeeded: what proves that its journal lacks none of them.

A journal may be behind the truth: a write failed or was lost, or the file is an older copy of itself. So each process
keeps the number in the machine's memory, too, where it outlives the process, though not the machine, and where no disk
is in the way. If the journal has counted as many, each name that it calls undelivered was never given to anybody.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["Witness", "forget", "witnessed"]

MEMORY = Path("/dev/shm")  # noqa: S108  # files of the machine's memory: absent elsewhere, so nothing is proven there


class Witness:
    """The number of one process, until it is in doubt whether it was written."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._file: int | None = None
        if os.path.ismount(MEMORY):
            with suppress(OSError):
                self._file = os.open(_path(owner), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                self.saw(0)

    def saw(self, count: int) -> None:
        """Keep how many configs were handed out by writes that have succeeded."""
        if self._file is None:
            return
        try:
            os.pwrite(self._file, count.to_bytes(8, "big"), 0)
        except OSError:
            self.distrust()

    def distrust(self) -> None:
        """Give up for good: a config may be handed out that was not written down."""
        if self._file is not None:
            forget(self._owner)
            self.close()

    def close(self) -> None:
        """Close the file, which stays for whoever takes the journal over."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def witnessed(owner: str) -> int | None:
    """Return the number that a process of this user left behind; `None` if nothing proves it."""
    try:
        file = os.open(_path(owner), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        kept = os.read(file, 9)
        return int.from_bytes(kept, "big") if os.fstat(file).st_uid == os.geteuid() and len(kept) == 8 else None
    finally:
        os.close(file)


def forget(owner: str) -> None:
    """Remove what a process left behind."""
    with suppress(OSError):
        _path(owner).unlink()


def _path(owner: str) -> Path:
    return MEMORY / f"scaleset-burst-{owner}"
