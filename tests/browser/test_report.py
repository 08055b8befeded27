"""The page of a burst in a browser: what is drawn is what was recorded, and a text from the file is only a text."""

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scaleset_simulator import SimulatorProcess
from tests.e2e.hosting import configuration, run, write

if TYPE_CHECKING:
    from playwright.sync_api import Page

BURST = [sys.executable, "-m", "scaleset_burst"]
MARKUP = "</script><img src=x onerror=alert(1)>"
COUNT = 60


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the record of a burst that was refused, left without answers, and tried again."""
    folder = tmp_path_factory.mktemp("recorded")
    with SimulatorProcess(scale_set="e2e", latency="20ms") as simulator:
        simulator.faults(["mint:status=503:every 7", "mint:drop-after:every 11"])
        mapping = configuration(simulator.config_url)
        mapping["plugins"]["burst"]["batch"] = {"hedge": False}  # a busy machine would have some asked for twice
        config = write(folder, mapping, simulator.token)
        command = [*BURST, "mint", str(config), "e2e", str(COUNT), "--report", "faulty.jsonl"]
        done = run(command, folder=folder)
        assert done.status == 0, done.err
    return folder / "faulty.jsonl"


def show(page: "Page", folder: Path, *files: Path) -> None:
    """Make the page of some files, and open it."""
    subprocess.run([*BURST, "report", *map(str, files), "-o", "burst.html"], cwd=folder, check=True, timeout=60)
    page.goto((folder / "burst.html").as_uri())
    page.locator("#waterfall-0 .barlayer .trace").first.wait_for(state="attached")


def drawn(page: "Page", chart: str) -> dict[str, int]:
    """Count what there is to see of each trace of a chart: bars, or marks."""
    counted: dict[str, int] = page.evaluate(
        """id => Object.fromEntries(document.getElementById(id).calcdata.map(([{trace}]) => {
            const item = trace.type === "bar" ? ".point path" : "path.point";
            const drawn = [...document.querySelectorAll(`#${id} .trace`)]
              .find(each => each.__data__[0].trace.name === trace.name);
            const seen = [...(drawn?.querySelectorAll(item) ?? [])];
            return [trace.name, seen.filter(each => each.getBoundingClientRect().width > 0).length];
        }))""",
        chart,
    )
    return counted


def colour(page: "Page") -> str:
    """Return the colour of the first minted bar, as it is painted."""
    painted: str = page.locator("#waterfall-0 .bars .point path").first.evaluate("bar => getComputedStyle(bar).fill")
    return painted


def numbers(page: "Page") -> dict[str, list[str]]:
    """Return the rows of the table."""
    rows: list[list[str]] = page.eval_on_selector_all(
        "#numbers tbody tr", "rows => rows.map(row => [...row.cells].map(cell => cell.innerText))"
    )
    return {name: values for name, *values in rows}


def test_every_request_is_a_bar_and_what_went_wrong_is_marked(page: "Page", recorded: Path, tmp_path: Path) -> None:
    show(page, tmp_path, recorded)
    lines: list[dict[str, Any]] = [json.loads(line) for line in recorded.read_text().splitlines()]
    attempts = [attempt for line in lines for attempt in line.get("attempts", ())]
    minted = sum(attempt["result"] == "minted" for attempt in attempts)
    refused = sum(attempt["status"] == 503 for attempt in attempts)
    assert (minted, refused > 3, len(attempts) - minted - refused > 3) == (COUNT, True, True)
    assert drawn(page, "waterfall-0") == {
        "minted": minted,
        "refused": refused,
        "unanswered": len(attempts) - minted - refused,
        "retry": len(attempts) - COUNT,
        "not minted": len(attempts) - minted,
        "ready": COUNT,
    }
    table = numbers(page)
    assert (table["ready"], table["requests"], table["refused"]) == ([str(COUNT)], [str(len(attempts))], [str(refused)])
    curve = page.evaluate("(({x, y}) => [x.at(-1), y.at(-1)])(document.getElementById('ready').data[0])")
    assert (f"{curve[0]:.3f}", curve[1]) == (table["last ready, seconds"][0], COUNT)
    assert page.locator("#ready path.js-line").count() == 1
    assert page.locator("#seconds .point path").count() > 3
    page.locator("#waterfall-0 .bars").nth(1).locator(".point path").first.hover(force=True)
    page.locator("#waterfall-0 .hovertext", has_text="status 503").wait_for()


def test_two_files_stand_side_by_side_and_the_colours_follow_the_scheme(
    page: "Page", recorded: Path, tmp_path: Path
) -> None:
    other = tmp_path / "a-file-with-a-name-as-long-as-people-give-them-when-they-keep-many.jsonl"
    other.write_text(recorded.read_text())
    show(page, tmp_path, recorded, other)
    assert drawn(page, "waterfall-0") == drawn(page, "waterfall-1")
    assert page.locator("#ready path.js-line").count() == 2
    assert [len(values) for values in numbers(page).values()] == [2] * len(numbers(page))
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    before = colour(page)
    page.emulate_media(color_scheme="light" if dark else "dark")
    page.wait_for_function(
        "before => getComputedStyle(document.querySelector('#waterfall-0 .bars .point path')).fill !== before",
        arg=before,
    )
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.wait_for_function(
        "before => getComputedStyle(document.querySelector('#waterfall-0 .bars .point path')).fill === before",
        arg=before,
    )


def test_markup_in_a_file_is_text(page: "Page", tmp_path: Path) -> None:
    attempt = {"started_at": 1000.1, "seconds": 0.5, "result": MARKUP, "request_id": MARKUP, "status": 400}
    lines = [
        {"kind": "burst", "scale_set": MARKUP, "count": 2, "asked_at": 1000.0, "plugins": [MARKUP]},
        {"kind": "runner", "name": MARKUP, "ready_at": 1001.0, "attempts": [attempt]},
        {"kind": "runner", "reason": MARKUP, "message": MARKUP, "attempts": []},
    ]
    path = tmp_path / "<img src=x onerror=alert(2)>.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    show(page, tmp_path, path)
    assert page.locator("img").count() == 0
    assert MARKUP in page.locator("header").inner_text()
    assert "<img src=x onerror=alert(2)>: 1 failed" in page.locator("#numbers").inner_text()
    assert "<img src=x" in (page.locator("#seconds .annotation-text").text_content() or "")
    page.locator("#waterfall-0 .bars .point path").first.hover(force=True)
    hover = page.locator("#waterfall-0 .hovertext")
    hover.wait_for()
    assert MARKUP in (hover.text_content() or "")


def test_a_burst_that_brought_up_nobody_is_a_page_as_well(page: "Page", tmp_path: Path) -> None:
    attempt = {"started_at": 1000.1, "seconds": 0.5, "result": "item_rejected", "status": 400}
    lines = [
        {"kind": "burst", "scale_set": "linux", "count": 3, "asked_at": 1000.0},
        {"kind": "runner", "reason": "rejected", "message": "no", "attempts": [attempt]},
    ]
    (tmp_path / "none.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    show(page, tmp_path, tmp_path / "none.jsonl")
    table = numbers(page)
    assert (table["ready"], table["failures"], table["last ready, seconds"]) == (["0"], ["3"], ["–"])  # noqa: RUF001
    assert drawn(page, "waterfall-0")["refused"] == 1
    assert page.get_by_text("No runner was ready.").is_visible()
