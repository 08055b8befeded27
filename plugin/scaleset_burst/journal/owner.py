"""Who is alive: a lock on a file of one's own, which the kernel releases when the process dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import WeakSet

__all__ = ["Owner", "dead_owners"]


class Owner:
    """This process as an owner of names, for as long as it holds its lock."""

    def __init__(self, directory: Path) -> None:
        self.id = secrets.token_hex(8)
        self._path = directory / f"owner-{self.id}.lock"
        unborn = directory / f"owner-{self.id}.new"
        self._file = os.open(unborn, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # Locked before it has its name, so that nobody finds it unlocked and takes a newborn for dead.
        fcntl.flock(self._file, fcntl.LOCK_EX)
        unborn.rename(self._path)
        self._process = os.getpid()
        _owners.add(self)

    def release(self) -> None:
        """Give up the lock: what is still open belongs to whoever adopts it."""
        if self._process == os.getpid():
            with suppress(FileNotFoundError):
                self._path.unlink()
            self.drop()

    def drop(self) -> None:
        """Close the lock's file; the lock itself ends with the last process that has it open."""
        _owners.discard(self)
        os.close(self._file)


_owners: WeakSet[Owner] = WeakSet()


def _forked() -> None:
    """Let go of the locks in a child: it shares them, and would keep its dead parent alive for as long as it lives."""
    for owner in list(_owners):
        owner.drop()


os.register_at_fork(after_in_child=_forked)


@contextmanager
def dead_owners(directory: Path, own: str, known: Iterable[str]) -> Iterator[list[str]]:
    """Give those of the known owners that are dead, holding their locks so that nobody else adopts meanwhile."""
    held: list[tuple[str, Path, int]] = []
    try:
        for owner in sorted(set(known) - {own}):
            path = directory / f"owner-{owner}.lock"
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(file)
            else:
                held.append((owner, path, file))
        yield [owner for owner, _, _ in held]
    finally:
        for _, path, file in held:
            path.unlink(missing_ok=True)
            os.close(file)
