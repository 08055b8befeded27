"""The status page at `/`: what a person wants to see, without scripts or other files."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from scaleset_simulator.world import World

__all__ = ["page"]

_STYLE = (
    "body{font:14px system-ui;margin:2em;color:#222}table{border-collapse:collapse}h2{font-size:16px}"
    "td,th{padding:2px 12px 2px 0;text-align:left;border-bottom:1px solid #ddd}"
)


def page(world: World, counted: Mapping[str, Any]) -> bytes:
    """Return the page, as HTML."""
    sets = [
        [str(one.id), one.name, *(str(number) for number in world.board.statistics(one.id).values())]
        for one in world.tenant.scale_sets.values()
    ]
    runners = [
        [str(one.id), one.name, "busy" if one.busy else "online" if one.online else "offline"]
        for one in list(world.tenant.runners.values())[:200]
    ]
    counters = [[name, str(value)] for name, value in counted.items() if value not in ({}, None)]
    faults = [[f.kind, f.action, *(str(asdict(f)[name.name]) for name in fields(f)[2:])] for f in world.faults.faults]
    statistics = ("available", "acquired", "assigned", "running", "registered", "busy", "idle")
    parts = [
        _table("Scale sets", ["id", "name", *statistics], sets),
        _table("Counters", ["what", "value"], counters),
        _table("Faults", ["kind", "action", "value", "share", "every", "first", "from", "for"], faults),
        _table(f"Runners ({len(world.tenant.runners)}, at most 200 shown)", ["id", "name", "state"], runners),
    ]
    head = f"<title>scale set simulator</title><meta http-equiv=refresh content=2><style>{_STYLE}</style>"
    shown = "".join(["<h1>scale set simulator</h1>", *parts])
    return f"<!doctype html><html lang=en><head>{head}</head><body>{shown}</body></html>".encode()


def _table(title: str, heads: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return f"<h2>{html.escape(title)}</h2><p>none</p>"
    head = "".join(f"<th>{html.escape(each)}</th>" for each in heads)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<h2>{html.escape(title)}</h2><table><tr>{head}</tr>{body}</table>"
