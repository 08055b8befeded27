"""The script's way in: the one place that runs without the extra `cli`."""

import errno
import os
import sys
from typing import Final, NoReturn

__all__ = ["main"]

EXTRA: Final = frozenset({"typer", "click", "jsonschema", "rich"})
"""What the extra brings."""

UNWRITABLE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What is wrong with an output, not with anything that a command opens."""


def main() -> None:
    """Run the command line; say what to install if the extra is missing, and what became of the output."""
    try:
        from scaleset_burst.cli.app import app  # noqa: PLC0415 - it needs the extra

        try:
            app()
        finally:
            sys.stdout.flush()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRA:
            raise
        _fail("the command line needs its extra: pip install 'scaleset-burst[cli]'")
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        # What is left in the buffer goes nowhere, or the interpreter tries once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _fail(f"the output could not be written: {error.strerror or error}")


def _fail(sentence: str) -> NoReturn:
    print(f"error: {sentence}", file=sys.stderr)  # noqa: T201 - there is nothing else to print with
    sys.exit(1)
