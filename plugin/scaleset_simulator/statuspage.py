"""The page for people at `/`: one function of values, which needs no other file and renews itself."""

from __future__ import annotations

import base64
import hashlib
import html
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from scaleset_simulator.faults import Fault

__all__ = ["CONTENT_SECURITY_POLICY", "MOST_SHOWN", "Status", "fault_in_words", "page"]

MOST_SHOWN = 50
"""Scale sets and runners shown at most, each."""

RUNNER_STATES = {"offline": "offline (booting, or never came)", "online": "online, idle", "busy": "busy"}

_ACTIONS = {
    "drop-before": "the connection is cut, nothing committed",
    "drop-after": "committed, then the connection is cut",
    "hang-before": "no answer, nothing committed",
    "hang-after": "committed, then no answer",
    "status": "answered {value:g}, nothing committed",
    "status-after": "committed, then answered {value:g}",
    "retry": "429, retry after {value:g} s",
    "retry-date": "429, retry after {value:g} s, as a date",
    "retry-none": "429 without Retry-After",
    "limit": "403 rate limit, retry after {value:g} s",
    "conflict": "committed, then answered that the name is taken",
    "slow": "{value:g} s slower",
    "truncate": "half of the body",
    "html": "an HTML page for a body",
    "text": "a plain text for a body",
    "empty": "an empty body",
    "bom": "a byte order mark before the body",
    "unauthorised": "401, the token is refused",
    "lose-session": "the message session is lost",
    "partial": "every other item of a slice fails",
    "never-online": "the runner never comes online",
    "lives-on": "the runner outlives its job",
}

_STYLE = """
:root{color-scheme:light dark;--ink:#1f2328;--dim:#59636e;--line:#d1d9e0;--card:#fff;--back:#f6f8fa;--bar:#0969da}
@media(prefers-color-scheme:dark){
:root{--ink:#e6edf3;--dim:#9198a1;--line:#3d444d;--card:#151b23;--back:#0d1117;--bar:#4493f8}}
*{box-sizing:border-box}
body{font:14px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--back)}
body{margin:0 auto;max-width:1560px;padding:16px}
h1{font-size:20px;margin:0 0 4px}h2{font-size:15px;margin:0 0 8px}p{margin:0;color:var(--dim)}#state{margin-bottom:16px}
main,main>div{display:grid;gap:16px;align-items:start;align-content:start;min-width:0}
@media(min-width:800px){main{grid-template-columns:minmax(0,5fr) minmax(0,3fr)}}
section{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 16px;min-width:0}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}table+table{margin-top:12px}
th,td{text-align:left;padding:3px 10px 3px 0;border-top:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
th{color:var(--dim);font-weight:400;border-top:0;overflow-wrap:normal}#connection th{white-space:nowrap}
#connection td{border-top:0}#requests th:nth-child(2){width:45%}
.number{text-align:right;padding:3px 0 3px 8px;white-space:nowrap}
code{font:13px ui-monospace,monospace;overflow-wrap:anywhere}
button{font:inherit;color:inherit;background:var(--back);cursor:pointer}
button{border:1px solid var(--line);border-radius:6px;padding:1px 10px}
svg{display:block;width:100%;min-width:60px;height:20px;fill:var(--bar);border-bottom:1px solid var(--line)}
@media(max-width:480px){
body{padding:8px}section{padding:10px}.number{padding-left:5px}#scale-sets table,#requests table,code{font-size:12px}}
"""

_SCRIPT = """
const state = document.getElementById("state"), said = state.textContent;
const held = part => part.contains(document.activeElement)
  || (!getSelection().isCollapsed && getSelection().containsNode(part, true));
async function renew() {
  if (!document.hidden) try {
    const answer = await (await fetch("/", {cache: "no-store"})).text();
    const parts = new DOMParser().parseFromString(answer, "text/html").querySelectorAll("section");
    if (!parts.length) throw new Error("not the page");
    for (const part of parts) {
      const old = document.getElementById(part.id);
      if (old.innerHTML !== part.innerHTML && !held(old)) old.replaceChildren(...part.childNodes);
    }
    state.textContent = said;
  } catch { state.textContent = "The simulator does not answer; what is shown is old."; }
  setTimeout(renew, 1000);
}
setTimeout(renew, 1000);
document.addEventListener("click", async event => {
  const button = event.target.closest("button");
  if (!button) return;
  const value = document.getElementById(button.value);
  try { await navigator.clipboard.writeText(value.textContent); button.textContent = "copied"; }
  catch { getSelection().selectAllChildren(value); button.textContent = "selected"; }
  setTimeout(() => { button.textContent = "copy"; }, 2000);
});
"""


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; script-src {_hash(_SCRIPT)}; style-src {_hash(_STYLE)}; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Only this script and this style run, whatever a name on the page says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the page shows.

    Attributes:
        elapsed: Seconds since the start, on the simulator's clock.
        counted: The counters, as `/_sim/counters` has them.
        lately: Requests by kind in each of the last seconds, the newest last.
        scale_sets: Id and name.
        runners: Name, id of the scale set, state and age in seconds, the newest first.
        jobs: Id of the scale set and state.
    """

    config_url: str
    token: str
    elapsed: float
    counted: Mapping[str, Any]
    lately: Mapping[str, Sequence[int]]
    scale_sets: Sequence[tuple[int, str]]
    runners: Sequence[tuple[str, int, str, float]]
    jobs: Iterable[tuple[int, str]]
    faults: Sequence[Fault]


def page(status: Status) -> bytes:
    """Return the page as HTML. Every text on it that comes from outside is escaped."""
    left = _connection(status) + _scale_sets(status) + _requests(status) + _counters(status.counted) + _faults(status)
    right = _answers(status.counted["statuses"]) + _runners(status)
    head = (
        '<meta charset=utf-8><meta name=viewport content="width=device-width"><title>scale set simulator</title>'
        f'<link rel=icon href="data:,"><noscript><meta http-equiv=refresh content=2></noscript><style>{_STYLE}</style>'
    )
    said = "Renews itself each second; a part in which text is selected waits."
    main = f"<main><div>{left}</div><div>{right}</div></main>"
    body = f"<h1>Scale set simulator</h1><p id=state role=status>{said}</p>{main}"
    return (
        f"<!doctype html><html lang=en><head>{head}</head><body>{body}<script>{_SCRIPT}</script></body></html>".encode()
    )


def fault_in_words(fault: Fault) -> tuple[str, str, str]:
    """Return what a fault does, how often, and when."""
    does = _ACTIONS[fault.action].format(value=fault.value)
    if fault.action in {"html", "text", "empty"} and fault.value:
        does += f", with status {fault.value:g}"
    often = "always" if fault.probability == 1.0 else f"{fault.probability * 100:g}% of them"
    if fault.every is not None:
        often = f"every {fault.every}."
    elif fault.first is not None:
        often = "once" if fault.first == 1 else f"the first {fault.first}"
    when = f"from {fault.start:g} s" if fault.start else "from the start"
    return does, often, when if fault.length is None else f"{when}, for {fault.length:g} s"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _connection(status: Status) -> str:
    rows = [
        f"<tr><th>{name}<td><code id={key}>{html.escape(value)}</code>"
        f"<td class=number><button value={key}>copy</button>"
        for name, key, value in (("config URL", "config-url", status.config_url), ("token", "token", status.token))
    ]
    rows.append(f"<tr><th>runs for<td id=elapsed>{_duration(status.elapsed)}<td>")
    return _section("connection", "Give your host these", f"<table>{''.join(rows)}</table>")


def _scale_sets(status: Status) -> str:
    jobs = Counter(status.jobs)
    runners = Counter((scale_set, state) for _, scale_set, state, _ in status.runners)
    rows = [
        [
            f"{name} ({number})",
            jobs[number, "queued"] + jobs[number, "offered"],
            *(jobs[number, state] for state in ("assigned", "running")),
            *(runners[number, state] for state in RUNNER_STATES),
        ]
        for number, name in status.scale_sets[:MOST_SHOWN]
    ]
    over = "<tr><th><th class=number colspan=3>jobs<th class=number colspan=3>runners"
    heads = ["name (id)", "waiting", "assigned", "running", "offline", "idle", "busy"]
    shown = _table(heads, rows, over) + _more(len(status.scale_sets))
    return _section("scale-sets", "Scale sets", shown)


def _requests(status: Status) -> str:
    totals: Mapping[str, int] = status.counted["requests"]
    rows = []
    for kind, total in sorted(totals.items(), key=lambda each: (-each[1], each[0])):
        counts = status.lately.get(kind, (0,))
        numbers = "".join(f"<td class=number>{number}" for number in (max(counts), sum(counts), total))
        rows.append(f"<tr><td><code>{html.escape(kind)}</code><td>{_bars(counts)}{numbers}")
    heads = "<tr><th>asked for<th>last minute<th class=number>most/s<th class=number>60 s<th class=number>all"
    shown = f"<table>{heads}{''.join(rows)}</table>" if rows else "<p>none yet</p>"
    return _section("requests", "Requests", shown)


def _bars(counts: Sequence[int]) -> str:
    """Draw the counts of each second, the newest at the right, in proportion to the highest."""
    most = max(counts) or 1
    drawn = "".join(f"M{at} 20v-{max(1.0, 20 * n / most):.3g}h.8V20z" for at, n in enumerate(counts) if n)
    label = f"{sum(counts)} in the last minute, at most {max(counts)} in a second"
    return (
        f'<svg viewBox="0 0 {len(counts)} 20" preserveAspectRatio=none role=img aria-label="{label}">'
        f'<path d="{drawn}"></path></svg>'
    )


def _runners(status: Status) -> str:
    states = Counter(state for _, _, state, _ in status.runners)
    names = dict(status.scale_sets)
    counts = _table(["state", "count"], [[words, states[state]] for state, words in RUNNER_STATES.items()])
    rows = [
        [name, names.get(scale_set, "gone"), state, _duration(age)]
        for name, scale_set, state, age in status.runners[:MOST_SHOWN]
    ]
    listed = _table(["name", "scale set", "state", "age"], rows) if rows else ""
    return _section("runners", f"Runners: {len(status.runners)}", counts + listed + _more(len(status.runners)))


def _counters(counted: Mapping[str, Any]) -> str:
    flow = [
        ["connections", counted["connections_open"], counted["most_connections_open"]],
        ["requests in flight", counted["in_flight"], counted["most_in_flight"]],
        ["mints in flight", counted["mints_in_flight"], counted["most_mints_in_flight"]],
    ]
    kept = {
        "registrations": "registrations",
        "most registrations in a window": "max_registrations_in_window",
        "names registered twice": "duplicate_names",
        "answers that refused or told to wait": "refused",
        "mints sent while told to wait": "requests_while_told_to_wait",
        "mints on the wire when told": "crossed_while_told",
        "jobs open": "jobs_open",
        "jobs finished": "jobs_finished",
        "connections made": "connections",
    }
    counts = _table(["counter", "count"], [[words, counted[name]] for words, name in kept.items()])
    return _section("counters", "Counters", _table(["", "now", "most"], flow) + counts)


def _answers(statuses: Mapping[str, int]) -> str:
    words = {str(each.value): f"{each.value} {each.phrase}" for each in HTTPStatus} | {"0": "no answer"}
    rows = [[words.get(status, status), count] for status, count in sorted(statuses.items())]
    return _section("answers", "Answers", _table(["status", "count"], rows) if rows else "<p>none yet</p>")


def _faults(status: Status) -> str:
    rows = [[fault.kind.replace("*", "all"), *fault_in_words(fault)] for fault in status.faults[:MOST_SHOWN]]
    shown = _table(["requests", "what happens", "how often", "when"], rows) if rows else "<p>none set</p>"
    struck = [[action, count] for action, count in sorted(status.counted["faults"].items())]
    shown += _more(len(status.faults)) + (_table(["struck", "count"], struck) if struck else "")
    return _section("faults", "Faults", shown)


def _section(name: str, title: str, shown: str) -> str:
    return f"<section id={name}><h2>{html.escape(title)}</h2>{shown}</section>"


def _more(count: int) -> str:
    return f"<p>and {count - MOST_SHOWN} more</p>" if count > MOST_SHOWN else ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]], over: str = "") -> str:
    """Return a table whose whole numbers stand at the right."""
    listed = list(rows)
    right = [isinstance(cell, int) for cell in listed[0]] if listed else [False] * len(heads)
    shown = "".join(f"<th{_number(at)}>{html.escape(text)}" for at, text in zip(right, heads, strict=True))
    for row in listed:
        shown += "<tr>" + "".join(f"<td{_number(isinstance(cell, int))}>{html.escape(str(cell))}" for cell in row)
    return f"<table>{over}<tr>{shown}</table>"


def _number(right: bool) -> str:  # one letter's choice
    return " class=number" if right else ""
