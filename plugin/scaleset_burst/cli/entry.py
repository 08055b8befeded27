"""The script's way in: the one place that runs without the extra `cli`."""

import sys
from typing import Final

__all__ = ["main"]

EXTRA: Final = frozenset({"typer", "click", "rich"})
"""What the extra brings."""


def main() -> None:
    """Run the command line; say what to install if the extra is missing."""
    try:
        from scaleset_burst.cli.app import app  # noqa: PLC0415 - it needs the extra

        app()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRA:
            raise
        print(  # noqa: T201 - there is nothing else to print with
            "error: the command line needs its extra: pip install 'scaleset-burst[cli]'", file=sys.stderr
        )
        sys.exit(1)
