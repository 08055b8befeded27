"""The report counts from the moment the demand was known, over all bursts."""

import json
from pathlib import Path

import pytest

from autoscaler.report import Report


def test_writes_what_the_burst_took_on_a_line_of_its_own(tmp_path: Path) -> None:
    moments = iter([10.0, 10.5, 12.0])
    report = Report(tmp_path / "r.jsonl", now=lambda: next(moments))
    report.demand_known()
    report.demand_known()
    report.runner_ready()
    report.write()
    report.runner_ready()
    report.failed(3)
    report.write()
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert lines == [
        {"runners_ready": 1, "failures": 0, "seconds": 0.5, "first_runner_seconds": 0.5},
        {"runners_ready": 2, "failures": 3, "seconds": 2.0, "first_runner_seconds": 0.5},
    ]


def test_nothing_ready_is_no_time() -> None:
    report = Report(None)
    report.demand_known()
    report.failed(1)
    assert report.values() == {"runners_ready": 0, "failures": 1, "seconds": None, "first_runner_seconds": None}


def test_a_line_that_cannot_be_written_is_lost_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Report(tmp_path).write()
    assert "the report is lost" in caplog.text
