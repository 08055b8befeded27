"""The charts of a picture, as values that plotly draws; colours are names of the page's style, for light and dark."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, Final

from scaleset_burst.cli.report.picture import PARTS, Bar, Kind, Picture

__all__ = ["FILES", "charts"]

FILES: Final = (("first", "solid"), ("second", "dashed"))
"""Colour and line of each file, by their names in the style."""

HATCHES: Final = {Kind.MINTED: "", Kind.REFUSED: "/", Kind.UNANSWERED: "x"}

PAST: Final = 1.04
"""How far an axis goes past what is drawn."""

WATERFALL_PIXELS: Final = (150, 520)
"""Height of a waterfall: at least, and at most; a row of a small burst is 14 pixels high."""


def charts(pictures: Sequence[Picture]) -> dict[str, dict[str, Any]]:
    """Return data and layout of each chart by the id of its place on the page."""
    waterfalls = {f"waterfall-{number}": _waterfall(picture) for number, picture in enumerate(pictures)}
    seconds = {"seconds": _seconds(drawn)} if (drawn := [picture for picture in pictures if picture.parts]) else {}
    return {"ready": _ready(pictures), **seconds, **waterfalls}


def _ready(pictures: Sequence[Picture]) -> dict[str, Any]:
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": html.escape(picture.label),
            "x": [0.0, *picture.ready],
            "y": list(range(len(picture.ready) + 1)),
            "line": {"shape": "hv", "width": 2.5, "color": _colour(colour), "dash": dash.removesuffix("ed")},
            "hovertemplate": "%{y} ready after %{x:.3f} s<extra></extra>",
        }
        for picture, (colour, dash) in zip(pictures, FILES, strict=False)
    ]
    long = max((at for picture in pictures for at in picture.ready), default=1.0)
    high = max(1, *(picture.asked for picture in pictures))
    return _chart(
        data, 340, x=_axis("seconds", range=[0, long * PAST]), y=_counting("runners ready", high, [0, high * PAST])
    )


def _seconds(pictures: Sequence[Picture]) -> dict[str, Any]:
    totals = [sum(picture.parts.values()) or 1.0 for picture in pictures]
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "name": part,
            "y": list(range(len(pictures))),
            "x": [100 * picture.parts[part] / total for picture, total in zip(pictures, totals, strict=True)],
            "customdata": [picture.parts[part] for picture in pictures],
            "width": 0.45,
            "marker": {"color": _colour(part)},
            "hovertemplate": f"{part}: %{{customdata:.4f}} s, %{{x:.1f}} %<extra></extra>",
        }
        for part in PARTS
    ]
    titles = [
        {
            "text": f"{html.escape(_short(picture.label, 24))}: {total:.3f} s",
            "x": 0,
            "xref": "paper",
            "xanchor": "left",
            "y": row - 0.24,
            "yanchor": "bottom",
            "showarrow": False,
        }
        for row, (picture, total) in enumerate(zip(pictures, totals, strict=True))
    ]
    y = _axis("", range=[len(pictures) - 0.6, -0.6], showticklabels=False, showgrid=False)
    x = _axis("percent of a runner's seconds", range=[0, 100])
    return _chart(data, 110 + 80 * len(pictures), x=x, y=y, barmode="stack", annotations=titles)


def _waterfall(picture: Picture) -> dict[str, Any]:
    data = [_requests(kind, [bar for bar in picture.bars if bar.kind is kind]) for kind in Kind]
    refused = [bar for bar in picture.bars if bar.kind is not Kind.MINTED]
    retries = [bar for bar in picture.bars if bar.retry]
    data.append(_marks("retry", "triangle-right", 8, [(bar.start, bar.row) for bar in retries]))
    data.append(_marks("not minted", "x-thin-open", 6, [(bar.start + bar.seconds, bar.row) for bar in refused]))
    data.append(_marks("ready", "circle", 3, picture.marks))
    ends = [bar.start + bar.seconds for bar in picture.bars] + [at for at, _ in picture.marks]
    low, high = WATERFALL_PIXELS
    rows = max(1, picture.rows)
    y = _counting("runner", rows, [rows - 0.5, -0.5])
    return _chart(
        data,
        max(low, min(high, 60 + 14 * rows)),
        x=_axis("seconds", range=[0, max(ends, default=1.0) * PAST]),
        y=y,
        barmode="overlay",
    )


def _requests(kind: Kind, bars: Sequence[Bar]) -> dict[str, Any]:
    hatch = {"shape": HATCHES[kind], "fillmode": "overlay", "fgcolor": _colour("card"), "size": 6, "solidity": 0.35}
    return {
        "type": "bar",
        "orientation": "h",
        "name": str(kind),
        "base": [bar.start for bar in bars],
        "x": [bar.seconds for bar in bars],
        "y": [bar.row for bar in bars],
        "width": 0.86,
        "hovertext": [_told(bar) for bar in bars],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {"color": _colour(str(kind)), "pattern": hatch},
    }


def _told(bar: Bar) -> str:
    """Return what is shown of a request; its texts come from a file, and plotly reads HTML in them."""
    attempt = bar.attempt
    status = "no status" if attempt.status is None else f"status {attempt.status}"
    lines = [
        _short(bar.name or "a runner that failed", 64),
        f"{_short(attempt.result, 40)}, {status}{', a retry' if bar.retry else ''}",
        f"sent after {bar.start:.3f} s, {bar.seconds:.3f} s long",
        f"token {attempt.token:.3f} s, connection {attempt.connect:.3f} s",
    ]
    lines += [f"request {_short(attempt.request_id, 60)}"] if attempt.request_id else []
    return "<br>".join(html.escape(line) for line in lines)


def _marks(name: str, symbol: str, size: int, places: Sequence[tuple[float, int]]) -> dict[str, Any]:
    colour = _colour("ready" if name == "ready" else "ink")
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [x for x, _ in places],
        "y": [y for _, y in places],
        "hoverinfo": "skip",
        "marker": {"symbol": symbol, "size": size, "color": colour, "line": {"color": colour, "width": 1}},
    }


def _chart(data: list[dict[str, Any]], height: int, **layout: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    x, y = layout.pop("x"), layout.pop("y")
    whole = {
        "height": height,
        "margin": {"l": 48, "r": 14, "t": 8, "b": 40},
        "paper_bgcolor": _colour("card"),
        "plot_bgcolor": _colour("card"),
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": _colour("ink")},
        "hoverlabel": {"bgcolor": _colour("back"), "bordercolor": _colour("line"), "font": {"color": _colour("ink")}},
        "showlegend": False,
        "hovermode": "closest",
        "xaxis": x,
        "yaxis": y,
    }
    return {"data": data, "layout": {**whole, **layout}}


def _axis(title: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    return {
        "title": {"text": title, "standoff": 6},
        "gridcolor": _colour("line"),
        "zerolinecolor": _colour("line"),
        "linecolor": _colour("line"),
        "automargin": True,
        **more,
    }


def _counting(title: str, most: int, ends: list[float]) -> dict[str, Any]:
    """Return an axis that has no half numbers."""
    return _axis(title, range=ends, **({"dtick": 1} if most < 10 else {"nticks": 6}))


def _colour(name: str) -> str:
    return f"var(--{name})"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
