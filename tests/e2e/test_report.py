"""What a host and `scaleset-burst mint` write of a burst, and the page that comes of it."""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scaleset_simulator import SimulatorProcess
from tests.e2e.hosting import configuration, run, run_host, write

SCALE_SET = "e2e"
BURST = str(Path(sys.executable).parent / "scaleset-burst")


@pytest.fixture
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(scale_set=SCALE_SET, latency="5ms") as process:
        yield process


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_burst_by_the_host_and_one_by_the_command_stand_on_one_page(
    simulator: SimulatorProcess, tmp_path: Path
) -> None:
    config = write(tmp_path, configuration(simulator.config_url, plugin=False), simulator.token)
    host = run_host(config, "--once", "12", "--report", "host.jsonl")
    assert host.status == 0, host.err
    mapping = configuration(simulator.config_url)
    mapping["plugins"]["burst"]["batch"] = {"hedge": False}  # a busy machine would have some asked for twice
    write(tmp_path, mapping, simulator.token)
    simulator.faults(["mint:status=503:every 4"])
    mint = run([BURST, "mint", str(config), SCALE_SET, "20", "--report", "mint.jsonl"], folder=tmp_path)
    assert mint.status == 0, mint.err
    by_host, by_command = lines(tmp_path / "host.jsonl"), lines(tmp_path / "mint.jsonl")
    for written, count, plugins in ((by_host, 12, []), (by_command, 20, ["burst"])):
        assert [line["kind"] for line in written] == ["burst", *["runner"] * count, "summary"]
        assert (written[0]["scale_set"], written[0]["count"], written[0]["plugins"]) == (SCALE_SET, count, plugins)
        assert written[-1]["runners_ready"] == count
        for runner in written[1:-1]:
            last = runner["attempts"][-1]
            assert last["result"] == "minted"
            assert written[0]["asked_at"] <= last["started_at"] <= runner["minted_at"] <= runner["ready_at"]
    names = {line["name"] for line in (*by_host, *by_command) if line["kind"] == "runner"}
    assert names == {runner["name"] for runner in simulator.runners()}
    sent = [attempt for line in by_command[1:-1] for attempt in line["attempts"]]
    statuses = Counter(attempt["status"] for attempt in sent)
    assert (len(sent), statuses[200]) == (simulator.counters()["requests"]["mint"] - 12, 20)
    assert statuses[503] == len(sent) - 20 > 0
    secrets = [json.loads(line)["jit_config"] for line in mint.out.splitlines()]
    assert not [secret for secret in secrets if secret in (tmp_path / "mint.jsonl").read_text()]
    page = run([BURST, "report", "host.jsonl", "mint.jsonl"], folder=tmp_path)
    assert (page.status, page.err) == (0, "")
    assert re.findall(r"\d+ of \d+ runners ready", page.out) == ["12 of 12 runners ready", "20 of 20 runners ready"]
    assert page.out.splitlines()[-1] == "burst.html"
    assert len((tmp_path / "burst.html").read_text()) > 10**6, "the library is in the page"


def test_failures_are_told_by_the_hosts_own_hooks_as_well(simulator: SimulatorProcess, tmp_path: Path) -> None:
    simulator.faults(["mint:status=400:every 3"])
    config = write(tmp_path, configuration(simulator.config_url, plugin=False), simulator.token)
    assert run_host(config, "--once", "9", "--report", "host.jsonl").status == 1
    failed = [line for line in lines(tmp_path / "host.jsonl") if line.get("reason")]
    assert [line["reason"] for line in failed] == ["rejected"] * 3
    assert [(one["result"], one["status"]) for line in failed for one in line["attempts"]] == [("rejected", 400)] * 3


def test_a_report_that_cannot_be_written_loses_no_runner(simulator: SimulatorProcess, tmp_path: Path) -> None:
    config = write(tmp_path, configuration(simulator.config_url), simulator.token)
    mint = run([BURST, "mint", str(config), SCALE_SET, "5", "--report", "/dev/full"], folder=tmp_path)
    assert (mint.status, len(mint.out.splitlines()), len(simulator.runners())) == (0, 5, 5)
    assert "the report of a burst is lost: [Errno 28] No space left on device" in mint.err
    refused = run([BURST, "mint", str(config), SCALE_SET, "5", "--report", str(tmp_path)], folder=tmp_path)
    refused.refused(1, f"--report {tmp_path} cannot be written: Is a directory")
    assert len(simulator.runners()) == 5
