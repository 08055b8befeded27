"""From lines to a page: what is believed, what is drawn of it, and what is said where something is wrong."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from scaleset_burst.cli.app import app
from scaleset_burst.cli.report import reading
from scaleset_burst.cli.report.charts import charts
from scaleset_burst.cli.report.page import page
from scaleset_burst.cli.report.picture import PARTS, Kind, parts_of, picture
from scaleset_burst.cli.report.reading import Attempt, Burst, Recorded, Runner, read

ASKED = 1_700_000_000.0
MARKUP = "</script><img src=x onerror=alert(1)>"


def burst(at: float = 0.0, count: int = 2, **more: object) -> dict[str, Any]:
    return {"kind": "burst", "scale_set": "linux", "count": count, "asked_at": ASKED + at, **more}


def attempt(at: float, seconds: float = 0.1, result: str = "minted", **more: object) -> dict[str, Any]:
    return {"started_at": ASKED + at, "seconds": seconds, "result": result, **more}


def runner(*attempts: dict[str, Any], **more: object) -> dict[str, Any]:
    return {"kind": "runner", "attempts": attempts, **more}


def ready(at: float, name: str = "linux-1") -> dict[str, Any]:
    return runner(attempt(at - 0.2), name=name, minted_at=ASKED + at - 0.1, ready_at=ASKED + at)


def written(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


moments = st.floats(0, 1000)
attempts = st.builds(
    Attempt,
    started_at=moments,
    seconds=moments,
    result=st.sampled_from(["minted", "throttled", "ambiguous"]),
    token=moments,
    connect=moments,
    status=st.sampled_from([None, 200, 429, 503]),
)
runners = st.builds(
    Runner,
    kind=st.just("runner"),
    attempts=st.lists(attempts, max_size=5).map(tuple),
    name=st.none() | st.text(max_size=20),
    minted_at=st.none() | moments,
    ready_at=st.none() | moments,
    reason=st.none() | st.sampled_from(["deadline", "rejected"]),
    message=st.none() | st.text(max_size=20),
)


@given(asked=moments, ready=moments, one=runners)
def test_the_parts_of_a_runner_are_its_seconds_whatever_the_clocks_say(asked: float, ready: float, one: Runner) -> None:
    parts = parts_of(asked, ready, one)
    assert tuple(parts) == PARTS
    assert min(parts.values()) >= 0
    assert sum(parts.values()) == pytest.approx(max(0.0, ready - asked), abs=1e-6)


@given(asked=st.lists(moments, min_size=1, max_size=4), of=st.lists(runners, max_size=12))
def test_a_picture_shows_everything_that_its_bursts_hold(asked: Sequence[float], of: Sequence[Runner]) -> None:
    bursts = [
        Recorded(
            burst=Burst(kind="burst", scale_set="a", count=20, asked_at=at), runners=list(of[number :: len(asked)])
        )
        for number, at in enumerate(asked)
    ]
    shown = picture("a", bursts)
    if shown.earlier == 0:
        assert len(shown.ready) == sum(each.ready_at is not None for each in of)
        assert len(shown.bars) == sum(len(each.attempts) for each in of)
        assert shown.failures == shown.asked - len(shown.ready)
    assert shown.calls + shown.earlier == len(asked)
    assert list(shown.ready) == sorted(shown.ready)
    assert {bar.row for bar in shown.bars} <= set(range(shown.rows))
    drawn = charts([shown, shown])
    (curve, _) = drawn["ready"]["data"]
    assert (curve["x"][-1], curve["y"][-1]) == ((shown.ready or (0.0,))[-1], len(shown.ready))
    assert sum(len(trace["y"]) for trace in drawn["waterfall-0"]["data"] if trace["type"] == "bar") == len(shown.bars)
    json.dumps(drawn, allow_nan=False)


def test_each_request_is_marked_by_how_it_was_answered(tmp_path: Path) -> None:
    told = [
        runner(
            attempt(0.1, result="throttled", status=429, request_id="AB:1"),
            attempt(0.3, result="ambiguous"),
            attempt(0.5, result="ambiguous", status=200),
            attempt(0.8, token=0.02, connect=0.03, status=200),
            name="linux-1",
            minted_at=ASKED + 0.9,
            ready_at=ASKED + 1.0,
        ),
        runner(attempt(0.2, result="item_rejected", status=400), reason="rejected", message="no"),
        runner(reason="deadline", message="never sent"),
    ]
    bursts, cut = read(written(tmp_path / "r", burst(count=3), *told))
    shown = picture("r", bursts)
    assert cut == 0
    assert [(bar.row, bar.kind, bar.retry) for bar in shown.bars] == [
        (0, Kind.REFUSED, False),
        (0, Kind.UNANSWERED, True),
        (0, Kind.UNANSWERED, True),
        (0, Kind.MINTED, True),
        (1, Kind.REFUSED, False),
    ]
    assert (shown.asked, len(shown.ready), shown.failures, shown.retries) == (3, 1, 2, 3)
    assert shown.reasons == {"rejected": (1, "no"), "deadline": (1, "never sent")}
    expected = {"queue": 0.1, "retry": 0.7, "token": 0.02, "connect": 0.03, "server": 0.05, "delivery": 0.1}
    assert shown.parts == pytest.approx({**expected, "untold": 0.0}, abs=1e-5)
    drawn = charts([shown])["waterfall-0"]["data"]
    assert {trace["name"]: len(trace["y"]) for trace in drawn} == {
        "minted": 1,
        "refused": 2,
        "unanswered": 2,
        "retry": 3,
        "not minted": 4,
        "ready": 1,
    }
    assert "request AB:1" in drawn[1]["hovertext"][0]


def test_a_demand_that_rises_while_a_burst_runs_is_drawn_with_it_and_an_earlier_one_is_not(tmp_path: Path) -> None:
    lines = [burst(), ready(2.0), burst(100), ready(102.0), burst(101), ready(101.5), ready(103.0)]
    shown = picture("r", read(written(tmp_path / "r", *lines))[0])
    assert (shown.calls, shown.earlier, shown.asked, shown.asked_at) == (2, 1, 4, ASKED + 100)
    assert shown.ready == pytest.approx([1.5, 2.0, 3.0])


def test_what_plotly_is_given_is_what_it_knows(tmp_path: Path) -> None:
    shown = picture(MARKUP, read(written(tmp_path / "r", burst(), ready(1.0), ready(1.2)))[0])
    drawn = charts([shown, shown])
    assert list(drawn) == ["ready", "seconds", "waterfall-0", "waterfall-1"]
    for figure in drawn.values():
        plotly.graph_objects.Figure(figure)  # raises at a name or a value that it does not know


def test_texts_of_a_file_are_texts_on_the_page(tmp_path: Path) -> None:
    failed = runner(reason=MARKUP, message=MARKUP)
    named = {**ready(1.0, MARKUP), "attempts": [attempt(0.1, result=MARKUP, request_id=MARKUP)]}
    lines = burst(scale_set=MARKUP, plugins=[MARKUP]), named, failed
    text = page([picture(MARKUP, read(written(tmp_path / "r", *lines))[0])], "")
    assert "<img" not in text
    assert text.count("</script>") == 3
    assert "&lt;img" in text


def test_a_page_is_written_and_says_what_is_on_it(tmp_path: Path) -> None:
    one = written(tmp_path / "one.jsonl", burst(count=1), ready(1.5))
    other = written(tmp_path / "other.jsonl", burst(count=3, plugins=["burst"]), ready(0.5), ready(0.25))
    done = run(one, other, "-o", tmp_path / "page.html")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "one: 1 of 1 runners ready in 1.500 s",
        "other: 2 of 3 runners ready in 0.500 s",
        str(tmp_path / "page.html"),
    ]
    text = (tmp_path / "page.html").read_text()
    assert "Two bursts of 1 and 3 runners" in text
    assert "; the host&#x27;s own hooks</p>" in text
    assert "; plugins: burst</p>" in text
    assert '<section class="wide"><h2>Every' not in text


def test_files_with_one_name_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    paths = [tmp_path / name / "r.jsonl" for name in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        written(path, burst(count=1), ready(1.0))
    assert [line.partition(": ")[0] for line in run(*paths, "-o", tmp_path / "p").stdout.splitlines()[:2]] == [
        str(path) for path in paths
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{nonsense}", "line: found no JSON; expected one JSON object"),
        ("[1]", "expected"),
        ('{"runners_ready": 3}', "kind: found none that is known; expected `burst`, `runner` or `summary`"),
        ('{"kind": "beans"}', "kind: found none that is known"),
        ('{"kind": "runner"}', "attempts: found nothing; expected the field, as `--report` writes it"),
        ('{"kind": "runner", "attempts": [{"started_at": 1, "seconds": -1, "result": ""}]}', "attempts.0.seconds: "),
        ('{"kind": "runner", "attempts": [{"started_at": NaN, "seconds": 1, "result": ""}]}', "started_at: "),
        ('{"kind": "runner", "attempts": [], "ready_at": "1"}', 'ready_at: found `"1"`; expected a valid number'),
        ('{"kind": "runner", "attempts": [], "name": 3}', "name: found `3`; expected a valid string"),
        ('{"kind": "burst", "scale_set": "a", "count": 1}', "asked_at: found nothing"),
        ('{"kind": "burst", "scale_set": "a", "count": true, "asked_at": 1}', "count: found"),
    ],
)
def test_a_line_that_is_none_of_ours_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = written(tmp_path / "r.jsonl", burst(), ready(1.0))
    path.write_text(f"{path.read_text()}{line}\n{json.dumps(burst())}\n")
    done = run(path, "-o", tmp_path / "page")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"{path}:3: "), done.stderr
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "page").exists()


def test_runners_of_no_burst_are_named(tmp_path: Path) -> None:
    done = run(written(tmp_path / "r", ready(1.0)), "-o", tmp_path / "page")
    assert (done.exit_code, done.stderr) == (
        2,
        f"{tmp_path / 'r'}:1: kind: found a runner; expected a burst before its runners\n",
    )


@pytest.mark.parametrize("length", [1, 5, 50])
def test_a_line_that_a_killed_host_left_is_left_out(tmp_path: Path, length: int) -> None:
    path = written(tmp_path / "r", burst(), ready(1.0), ready(2.0))
    path.write_text(f"{path.read_text()[:-30]}\n\n{json.dumps(burst(1))}\n{json.dumps(ready(3.0))[:length]}")
    done = run(path, "-o", tmp_path / "page")
    assert done.exit_code == 0, done.stderr
    assert done.stderr == f"{path}: 2 lines are cut off and left out, as a host that was killed leaves them\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read: No such file"),
        ("", "holds no burst; a host writes one"),
        ('{"kind": "summary"}', "holds"),
    ],
)
def test_a_file_without_a_burst_is_an_error_with_a_hint(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "r"
    if text is not None:
        path.write_text(text)
    done = run(path, "-o", tmp_path / "page")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: ")
    assert said in done.stderr


def test_what_is_kept_has_a_bound_and_the_page_says_what_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_RUNNERS", 3)
    lines = [burst(), ready(1.0), ready(1.0), burst(10, count=5), *(ready(11.0 + number) for number in range(5))]
    bursts, _ = read(written(tmp_path / "r", *lines))
    assert [(len(each.runners), each.left_out) for each in bursts] == [(3, 2)]
    shown = picture("r", bursts)
    assert (len(shown.ready), shown.left_out, shown.failures) == (3, 2, 0)
    assert "2 runners are not shown" in page([shown], "")


def test_a_line_without_an_end_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LONGEST_LINE", 1000)
    path = written(tmp_path / "r", burst(), {**ready(1.0), "name": "x" * 5000})
    assert f"{path}:2: line: found no JSON" in run(path, "-o", tmp_path / "page").stderr


def test_the_record_is_not_overwritten_by_its_page(tmp_path: Path) -> None:
    path = written(tmp_path / "r.jsonl", burst(), ready(1.0))
    before = path.read_text()
    done = run(path, "-o", path)
    assert (done.exit_code, path.read_text()) == (1, before)
    assert "choose another -o" in done.stderr
    assert "Is a directory" in run(path, "-o", tmp_path).stderr


def test_without_the_extra_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    done = run(written(tmp_path / "r", burst(), ready(1.0)), "-o", tmp_path / "page")
    assert (done.exit_code, done.stderr) == (
        1,
        "error: `report` needs plotly: pip install 'scaleset-burst[report]'\n",
    )


def test_three_files_are_one_too_many(tmp_path: Path) -> None:
    done = run(tmp_path, tmp_path, tmp_path)
    assert done.exit_code == 2
    assert "found 3 files" in done.stderr
