"""What is written of a burst: whom it brought up, what failed and why, what was sent for each, and no secret."""

import json
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scaleset_hookspecs import FailureReason, JitConfig, MintAttempt, MintFailure, ScaleSetRef, UsageError
from scaleset_hookspecs.host import RecordFile

LINUX = ScaleSetRef(name="linux", id=7, runner_group="large")
LOST = MintAttempt(started_at=1000.0, seconds=0.25, result="ambiguous")
SENT = MintAttempt(
    started_at=1001.0, seconds=0.5, result="minted", token=0.1, connect=0.2, status=200, request_id="AB:1"
)


def config(number: int = 1) -> JitConfig:
    return JitConfig(
        runner_id=number,
        runner_name=f"linux-{number}",
        scale_set=LINUX,
        encoded="hunter2",
        minted_at=1001.5,
        attempts=(LOST, SENT),
    )


def moments(*values: float) -> Iterator[float]:
    return iter(values)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_burst_is_a_line_and_one_for_each_runner_and_the_sum(tmp_path: Path) -> None:
    unix, steady = moments(1000.0, 1002.0), moments(10.0, 10.5)
    file = RecordFile(tmp_path / "r", plugins=("burst",), time=lambda: next(unix), monotonic=lambda: next(steady))
    record = file.burst(LINUX, 3)
    record.runner_ready(config())
    assert not (tmp_path / "r").exists(), "nothing is written while a burst runs"
    record.end([MintFailure(reason=FailureReason.DEADLINE, message="x" * 1000, attempts=(LOST,))])
    lost = {"started_at": 1000.0, "seconds": 0.25, "result": "ambiguous", "token": 0.0, "connect": 0.0}
    lost |= {"status": None, "request_id": None}
    sent = {"started_at": 1001.0, "seconds": 0.5, "result": "minted", "token": 0.1, "connect": 0.2}
    sent |= {"status": 200, "request_id": "AB:1"}
    burst, *runners, summary = lines(tmp_path / "r")
    assert burst == {
        "kind": "burst",
        "scale_set": "linux",
        "runner_group": "large",
        "count": 3,
        "asked_at": 1000.0,
        "plugins": ["burst"],
    }
    ready = {"kind": "runner", "name": "linux-1", "minted_at": 1001.5, "ready_at": 1002.0, "attempts": [lost, sent]}
    failed = {"kind": "runner", "reason": "deadline", "message": "x" * 500, "attempts": [lost]}
    assert runners == [ready, failed]
    numbers = {"runners_ready": 1, "failures": 2, "seconds": 0.5, "first_runner_seconds": 0.5}
    assert summary == {"kind": "summary", **numbers}, "one of those that failed was not told of"
    assert "hunter2" not in (tmp_path / "r").read_text()


def test_bursts_follow_one_another_and_their_summary_adds_up(tmp_path: Path) -> None:
    steady = moments(10.0, 10.5, 12.0)
    for_both = RecordFile(tmp_path / "r", monotonic=lambda: next(steady))
    for number in (1, 2):
        record = for_both.burst(LINUX, number)
        record.runner_ready(config(number))
        record.end()
    assert [line["kind"] for line in lines(tmp_path / "r")] == ["burst", "runner", "summary"] * 2
    first, second = (line for line in lines(tmp_path / "r") if line["kind"] == "summary")
    assert (first["runners_ready"], first["failures"], first["seconds"]) == (1, 0, 0.5)
    assert (second["runners_ready"], second["failures"], second["seconds"]) == (2, 1, 2.0)
    assert second["first_runner_seconds"] == 0.5


def test_a_line_that_a_killed_host_left_gets_its_end(tmp_path: Path) -> None:
    (tmp_path / "r").write_text('{"kind": "bu')
    for _ in range(2):
        RecordFile(tmp_path / "r").burst(LINUX, 1).end()
    first, *rest = (tmp_path / "r").read_text().splitlines()
    assert first == '{"kind": "bu'
    assert [json.loads(line)["kind"] for line in rest] == ["burst", "summary"] * 2


def test_a_burst_that_is_over_is_not_held() -> None:
    file = RecordFile(None)
    record = file.burst(LINUX, 1)
    record.runner_ready(config())
    record.end()
    gone = weakref.ref(record)
    del record
    assert gone() is None


def test_nothing_ready_is_no_time() -> None:
    file = RecordFile(None)
    file.burst(LINUX, 1).end()
    assert file.summary() == {"runners_ready": 0, "failures": 1, "seconds": None, "first_runner_seconds": None}


@pytest.mark.parametrize("path", ["/dev/full", "/"])
def test_lines_that_cannot_be_written_are_lost_and_nothing_else(path: str, caplog: pytest.LogCaptureFixture) -> None:
    file = RecordFile(Path(path))
    record = file.burst(LINUX, 1)
    record.runner_ready(config())
    record.end()
    assert "the report of a burst is lost" in caplog.text
    assert file.summary()["runners_ready"] == 1


def test_a_file_that_cannot_be_written_is_found_out_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written: Is a directory"):
        RecordFile(tmp_path).check()
    RecordFile(tmp_path / "new").check()
    RecordFile(None).check()
    assert (tmp_path / "new").read_text() == ""
