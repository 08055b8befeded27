"""`scaleset-burst report`: one page that shows a burst, from what `--report` wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from scaleset_burst.cli.output import fail, print_line, refuse
from scaleset_burst.cli.report.page import page
from scaleset_burst.cli.report.picture import Picture, picture
from scaleset_burst.cli.report.reading import read
from scaleset_hookspecs import ConfigError, UsageError

__all__ = ["report"]


def report(paths: Sequence[Path], output: Path) -> int:
    """Draw one or two files; return the exit code."""
    try:
        plotly = _plotly()
        pictures = [_picture(label, path) for label, path in zip(_labels(paths), paths, strict=True)]
        _write(output, page(pictures, plotly), paths)
    except ConfigError as error:
        return refuse(error, as_json=False)
    except UsageError as error:
        return fail(str(error))
    for each in pictures:
        seconds = f" in {each.ready[-1]:.3f} s" if each.ready else ""
        print_line(f"{each.label}: {len(each.ready)} of {each.asked} runners ready{seconds}")
    print_line(str(output))
    return 0


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs  # noqa: PLC0415 - it needs the extra
    except ModuleNotFoundError as error:
        raise UsageError("`report` needs plotly: pip install 'scaleset-burst[report]'") from error
    return str(get_plotlyjs())


def _picture(label: str, path: Path) -> Picture:
    bursts, cut = read(path)
    if cut:
        Console(stderr=True, highlight=False).print(
            Text(f"{path}: {cut} lines are cut off and left out, as a host that was killed leaves them"), soft_wrap=True
        )
    return picture(label, bursts)


def _labels(paths: Sequence[Path]) -> list[str]:
    """Name each file by its stem, or by its path where two have the same."""
    stems = Counter(path.stem for path in paths)
    return [path.stem if stems[path.stem] == 1 else str(path) for path in paths]


def _write(output: Path, text: str, sources: Sequence[Path]) -> None:
    if output.exists() and any(output.samefile(source) for source in sources):
        raise UsageError(f"the page would take the place of {output}, which it is drawn from; choose another -o")
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror or error}") from error
