"""Folders that nobody else can write to: whoever can write the journal can name runners that a start removes."""

import os
from pathlib import Path

__all__ = ["find_out", "make_private", "refuse_foreign"]


def make_private(directory: Path) -> None:
    """Make a folder and those above it that are missing, each for this user only, whatever the umask is."""
    if not directory.is_dir():
        make_private(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)


def find_out(directory: Path) -> None:
    """Raise if a folder could not be made or written to, or is not to be trusted; nothing is changed."""
    there = next(place for place in (directory, *directory.absolute().parents) if place.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"{there} is no folder")
    if there == directory:
        refuse_foreign(directory)
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"{there} cannot be written to by this user")


def refuse_foreign(path: Path) -> None:
    """Raise if a file or folder belongs to another user than root and us, or may be written by everybody."""
    about = path.stat()
    if about.st_uid not in {0, os.geteuid()}:
        raise PermissionError(f"{path} belongs to another user (uid {about.st_uid}), whose names are not trusted")
    if about.st_mode & 0o002:
        raise PermissionError(f"{path} may be written by everybody (chmod o-w mends it), so its names are not trusted")
