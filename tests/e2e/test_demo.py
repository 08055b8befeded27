"""The demo runs one burst twice and ends with one JSON object; arguments that make no sense are refused."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.e2e.hosting import EXAMPLES, run

KEYS = {
    "runners_ready",
    "failures",
    "seconds",
    "first_runner_seconds",
    "mint_requests",
    "metadata_requests",
    "token_requests",
    "connections",
}


def test_both_runs_bring_up_every_runner_and_the_last_line_says_so(tmp_path: Path) -> None:
    ended = run([sys.executable, str(EXAMPLES / "demo.py"), "--runners=25", "--latency=2ms", "--json"], folder=tmp_path)
    assert ended.status == 0, ended.err
    result = json.loads(ended.out.splitlines()[-1])
    assert (result["runners"], result["latency_seconds"]) == (25, 0.002)
    assert result["speedup"] > 0
    for side in ("default", "plugin"):
        assert set(result[side]) == KEYS
        assert (result[side]["runners_ready"], result[side]["failures"]) == (25, 0)
        assert result[side]["mint_requests"] == 25
    assert result["plugin"]["metadata_requests"] <= 3
    assert "burst of demo-linux: 25 delivered" in ended.err
    assert ended.err.splitlines()[-1] == "a picture of both: build/demo/burst.html"
    page = (tmp_path / "build" / "demo" / "burst.html").read_text()
    assert "<h1>Two bursts of 25 and 25 runners</h1>" in page
    assert "; the host&#x27;s own hooks</p>" in page
    assert "; plugins: burst</p>" in page


@pytest.mark.parametrize(
    "arguments",
    [
        ["--runners", "0"],
        ["--runners=-5"],
        ["--runners", "many"],
        ["--runners", "1501"],
        ["--latency", "5 parsecs"],
        ["--latency", "9s"],
        ["--rounds", "0"],
        ["--nonsense"],
    ],
    ids=" ".join,
)
def test_arguments_that_make_no_sense_are_refused(tmp_path: Path, arguments: list[str]) -> None:
    run([sys.executable, str(EXAMPLES / "demo.py"), *arguments], folder=tmp_path).refused(2, "error: ")


def test_a_simulator_that_does_not_start_is_a_failure_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "uvicorn.py").write_text("raise SystemExit('broken on purpose')\n")
    command = [sys.executable, str(EXAMPLES / "demo.py"), "--runners", "1"]
    ended = run(command, folder=tmp_path, environment={"PYTHONPATH": str(tmp_path)})
    ended.refused(1, "error: the simulator did not start: broken on purpose")


def test_the_host_runs_as_a_module_as_well(tmp_path: Path) -> None:
    path = os.pathsep.join([str(EXAMPLES), os.environ.get("PYTHONPATH", "")])
    ended = run([sys.executable, "-m", "autoscaler", "--help"], folder=tmp_path, environment={"PYTHONPATH": path})
    assert ended.status == 0
    assert "--once" in ended.out
