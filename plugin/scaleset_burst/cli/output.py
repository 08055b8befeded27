"""How commands print: results to stdout, what went wrong to stderr."""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from scaleset_client.clock import Clock
from scaleset_hookspecs import ConfigError, Problem
from scaleset_hookspecs.configuration.listing import Row

__all__ = ["Bar", "SayingClock", "fail", "print_json", "print_line", "print_rows", "refuse"]


def fail(sentence: str, report: Mapping[str, Any] | None = None) -> int:
    """Print why a command failed, in the JSON document if there is to be one; return exit code 1."""
    if report is None:
        _to(sys.stderr).print(Text(f"error: {sentence}"), soft_wrap=True)
    else:
        print_json({**report, "ok": False, "error": sentence})
    return 1


class SayingClock:
    """The machine's clock, which says on standard error that a command waits: it looks hung otherwise."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.monotonic, self.time = clock.monotonic, clock.time

    async def sleep(self, seconds: float) -> None:
        """Say for how long, then wait."""
        _to(sys.stderr).print(Text(f"no usable answer yet; asking again in {seconds:.1f} s"), soft_wrap=True)
        await self._clock.sleep(seconds)


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


class Bar:
    """A progress bar on a terminal's standard error, and what is to be said beside it."""

    def __init__(self, what: str, total: int, *, wanted: bool = True) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        console = Console(stderr=True, highlight=False)
        self._progress = Progress(*columns, console=console, disable=not (wanted and console.is_terminal))
        self._what = what
        self._task = self._progress.add_task(what, total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._progress.disable:  # old versions of rich end with an empty line even so
            self._progress.stop()

    def advance(self) -> None:
        """Show that one more is done."""
        self._progress.advance(self._task)

    def say(self, text: str) -> None:
        """Print a line, above the bar if there is one."""
        self._progress.console.print(Text(text), soft_wrap=True)

    def tell(self, text: str) -> None:
        """Show what is waited for: in the bar, or as a line."""
        if self._progress.disable:
            self.say(text)
        self._progress.update(self._task, description=f"{self._what}: {text}")


def _to(stream: Any) -> Console:  # noqa: ANN401 - a text stream
    return Console(file=stream, highlight=False)


def _plain(problem: Problem) -> dict[str, Any]:
    return {name: getattr(problem, name) for name in ("file", "line", "path", "found", "expected")}
