"""How commands print: results to stdout, what went wrong to stderr."""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from scaleset_burst.settings.listing import Row
from scaleset_hookspecs import ConfigError, Problem

__all__ = ["fail", "print_json", "print_line", "print_rows", "refuse"]


def fail(sentence: str) -> int:
    """Print why a command failed; return exit code 1."""
    _to(sys.stderr).print(Text(f"error: {sentence}"), soft_wrap=True)
    return 1


def refuse(error: ConfigError, *, as_json: bool) -> int:
    """Print every problem of a configuration, one a line; return exit code 2."""
    if as_json:
        print_json({"ok": False, "problems": [_plain(problem) for problem in error.problems]})
    else:
        for problem in error.problems:
            _to(sys.stderr).print(Text(str(problem)), soft_wrap=True)
    return 2


def print_json(value: Mapping[str, Any]) -> None:
    """Print a value as JSON."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def print_line(text: str, style: str = "") -> None:
    """Print a line, whatever the width of the terminal."""
    _to(sys.stdout).print(Text(text, style=style), soft_wrap=True)


def print_rows(rows: Iterable[Row]) -> None:
    """Print settings in columns: path, value, and whether it is the default."""
    listed = tuple(rows)
    paths = max((len(row.path) for row in listed), default=0)
    values = max((len(row.value) for row in listed), default=0)
    console = _to(sys.stdout)
    for row in listed:
        note = "  default" if row.is_default else ""
        line = f"{row.path:<{paths}}  {row.value:<{values}}{note}".rstrip()
        console.print(Text(line, style="dim" if row.is_default else "bold"), soft_wrap=True)


def _to(stream: Any) -> Console:  # noqa: ANN401 - a text stream
    return Console(file=stream, highlight=False)


def _plain(problem: Problem) -> dict[str, Any]:
    return {name: getattr(problem, name) for name in ("file", "line", "path", "found", "expected")}
