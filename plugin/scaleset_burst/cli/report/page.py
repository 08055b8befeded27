"""The page: everything in one file that asks nobody for anything, whatever the texts on it say."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import Final

from scaleset_burst.cli.report.charts import FILES, charts
from scaleset_burst.cli.report.picture import PARTS, Kind, Picture

__all__ = ["page"]

NONE: Final = "&ndash;"

_ROWS: Final[tuple[tuple[str, Callable[[Picture], str]], ...]] = (
    ("asked for", lambda one: f"{one.asked:,}"),
    ("ready", lambda one: f"{len(one.ready):,}"),
    ("failures", lambda one: f"{one.failures:,}"),
    ("first ready, seconds", lambda one: f"{one.ready[0]:.3f}" if one.ready else NONE),
    ("last ready, seconds", lambda one: f"{one.ready[-1]:.3f}" if one.ready else NONE),
    ("requests", lambda one: f"{len(one.bars):,}"),
    ("retries", lambda one: f"{one.retries:,}"),
    ("refused", lambda one: f"{one.count(Kind.REFUSED):,}"),
    ("unanswered", lambda one: f"{one.count(Kind.UNANSWERED):,}"),
)

_MEANINGS: Final = {
    "queue": "until it was sent",
    "retry": "earlier requests and the waits between",
    "token": "for credentials",
    "connect": "for a connection",
    "server": "for the answer",
    "delivery": "until it was taken",
    "untold": "nothing is known",
}


def page(pictures: Sequence[Picture], plotly: str) -> str:
    """Return the page as HTML. Every text on it that comes from a file is escaped.

    Args:
        pictures: One, or two side by side.
        plotly: The plotting library's JavaScript.
    """
    style, script = (files(__package__).joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    policy = (
        f"default-src 'none'; script-src {_hash(plotly)} {_hash(script)}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    data = json.dumps(charts(pictures), separators=(",", ":")).replace("<", "\\u003c")
    waterfalls = "".join(_waterfall(number, picture, len(pictures)) for number, picture in enumerate(pictures))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_title(pictures)}</title><style>{style}</style></head>\n<body>"
        f"<header><h1>{_title(pictures)}</h1>{''.join(map(_about, pictures))}</header>\n<main>"
        f'<section id="numbers"><h2>Numbers</h2>{_table(pictures)}{"".join(map(_reasons, pictures))}</section>'
        f'<section><h2>Runners ready over time</h2>{_files_legend(pictures)}<div id="ready"></div></section>'
        f'<section class="wide"><h2>Where the seconds of a runner went, in the mean</h2>{_seconds(pictures)}</section>'
        f"{waterfalls}</main>\n"
        f'<script type="application/json" id="figures">{data}</script>\n'
        f"<script>{plotly}</script>\n<script>{script}</script></body></html>\n"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _title(pictures: Sequence[Picture]) -> str:
    counts = " and ".join(f"{picture.asked:,}" for picture in pictures)
    return f"{'A burst' if len(pictures) == 1 else 'Two bursts'} of {counts} runners"


def _about(picture: Picture) -> str:
    when = datetime.fromtimestamp(picture.asked_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    who = f"plugins: {', '.join(picture.plugins)}" if picture.plugins else "the host's own hooks"
    told = [f"{picture.label}: {', '.join(picture.scale_sets)}", f"asked for at {when}", who]
    told += [f"{picture.calls} calls that overlap"] if picture.calls > 1 else []
    told += [f"{picture.earlier:,} earlier bursts are not shown"] if picture.earlier else []
    told += [f"{picture.left_out:,} runners are not shown"] if picture.left_out else []
    return f"<p>{html.escape('; '.join(told))}</p>"


def _table(pictures: Sequence[Picture]) -> str:
    head = "".join(f"<th>{html.escape(picture.label)}</th>" for picture in pictures)
    rows = [_row(name, (shown(picture) for picture in pictures)) for name, shown in _ROWS]
    for part in _shown_parts(pictures):
        values = (f"{picture.parts[part]:.3f}" if picture.parts else NONE for picture in pictures)
        rows.append(_row(f"{part}, mean seconds", values))
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _row(name: str, values: Iterable[str]) -> str:
    return f"<tr><th>{name}</th>{''.join(f'<td>{value}</td>' for value in values)}</tr>"


def _reasons(picture: Picture) -> str:
    return "".join(
        f"<p>{html.escape(f'{picture.label}: {count} failed, {reason}: {said}')}</p>"
        for reason, (count, said) in picture.reasons.items()
    )


def _files_legend(pictures: Sequence[Picture]) -> str:
    lines = (
        f'<i class="line" style="border-top-style:{dash};border-color:var(--{colour})"></i>' for colour, dash in FILES
    )
    return _legend(zip(lines, (picture.label for picture in pictures), strict=False))


def _seconds(pictures: Sequence[Picture]) -> str:
    if not any(picture.parts for picture in pictures):
        return "<p>No runner was ready.</p>"
    entries = ((_swatch(part), f"{part}: {_MEANINGS[part]}") for part in _shown_parts(pictures))
    return f'{_legend(entries)}<div id="seconds"></div>'


def _shown_parts(pictures: Sequence[Picture]) -> list[str]:
    """Return the parts of which there is something to see, at a thousandth of a second."""
    return [part for part in PARTS if any(picture.parts.get(part, 0.0) >= 0.0005 for picture in pictures)]


def _waterfall(number: int, picture: Picture, of: int) -> str:
    entries = [(_swatch(kind), str(kind)) for kind in Kind if picture.count(kind)]
    entries += [("<b>▶</b>", "a retry begins")] if picture.retries else []
    entries += [("<b>&times;</b>", "ended without a runner")] if picture.count(Kind.MINTED) < len(picture.bars) else []
    entries += [('<b class="ready">●</b>', "ready")] if picture.marks else []
    heading = "Every request" if of == 1 else f"Every request: {html.escape(picture.label)}"
    width = ' class="wide"' if of == 1 else ""
    return f'<section{width}><h2>{heading}</h2>{_legend(entries)}<div id="waterfall-{number}"></div></section>'


def _legend(entries: Iterable[tuple[str, str]]) -> str:
    return f'<ul class="legend">{"".join(f"<li>{mark}{html.escape(text)}</li>" for mark, text in entries)}</ul>'


def _swatch(colour: str) -> str:
    return f'<i style="background:var(--{colour})"></i>'
