"""`scaleset-burst runners` and `prune`: ghosts go, and nothing else."""

import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from scaleset_burst.minting.names import draw_names
from scaleset_simulator import SimulatorProcess
from tests.e2e.hosting import configuration, run, wait_until, wait_until_carried_out, write

SCALE_SET = "e2e"
BURST = str(Path(sys.executable).parent / "scaleset-burst")
DAY = 86_400


@pytest.fixture
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(scale_set=[SCALE_SET, "other"]) as process:
        yield process


@pytest.fixture
def config(simulator: SimulatorProcess, tmp_path: Path) -> Path:
    return write(tmp_path, configuration(simulator.config_url), simulator.token)


def add(simulator: SimulatorProcess, count: int, *, state: str = "offline", age: float = DAY, **more: object) -> None:
    names = draw_names(SCALE_SET, count, random.getrandbits)
    simulator.control("POST", "runners", {"scale_set": SCALE_SET, "names": names, "state": state, "age": age, **more})


def states(simulator: SimulatorProcess) -> Counter[str]:
    return Counter("busy" if one["busy"] else one["status"] for one in simulator.runners())


def test_ghosts_go_and_nothing_else(simulator: SimulatorProcess, config: Path) -> None:
    add(simulator, 2000)
    add(simulator, 50, state="busy")
    add(simulator, 50, state="online")
    add(simulator, 50, age=60)
    alive = {one["name"] for one in simulator.runners()[2000:]}
    dry = run([BURST, "runners", str(config), SCALE_SET, "prune"], folder=config.parent)
    assert dry.status == 0, dry.err
    assert "2000 of 2150 runners would be removed" in dry.out
    assert len(simulator.runners()) == 2150
    done = run([BURST, "runners", str(config), SCALE_SET, "prune", "--yes"], folder=config.parent)
    assert done.status == 0, done.err
    assert "2000 of 2150 runners were removed" in done.out
    assert "stay: 50 have a job, 50 are online, 50 are younger than 1h" in done.out
    assert {one["name"] for one in simulator.runners()} == alive
    counted = simulator.counters()
    assert counted["requests"]["remove_runner"] == 2000
    assert 1 < counted["most_in_flight"] <= 32


def test_what_comes_online_meanwhile_stays(simulator: SimulatorProcess, config: Path) -> None:
    minted = run([BURST, "mint", str(config), SCALE_SET, "100"], folder=config.parent)
    last = sorted((json.loads(line) for line in minted.out.splitlines()), key=lambda one: int(one["runner_id"]))[-10:]
    simulator.configure(latency="300ms")
    command = [BURST, "runners", str(config), "prune", "--yes", "--older-than", "0s"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        wait_until(lambda: len(simulator.runners()) < 100, "the first is removed", process)
        for one in last:  # a third of the time is over: they were offline in the list
            simulator.control("POST", "connect", {"jit": one["jit_config"]})
        out, _ = process.communicate(timeout=60)
    assert "stay: 10 are online" in out
    assert {one["name"] for one in simulator.runners()} == {one["runner_name"] for one in last}


def test_a_prune_that_is_ended_goes_on_where_it_was(simulator: SimulatorProcess, config: Path) -> None:
    add(simulator, 400)
    simulator.configure(latency="50ms")
    command = [BURST, "runners", str(config), "prune", "--yes"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        wait_until(lambda: len(simulator.runners()) < 350, "some ghosts are removed", process)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "are ghosts still; the same command goes on with them" in out
    wait_until_carried_out(simulator)
    left = len(simulator.runners())
    assert 0 < left < 350
    again = run(command, folder=config.parent)
    assert again.status == 0, again.err
    assert f"{left} of {left} runners were removed" in again.out
    assert simulator.runners() == []


def test_a_pause_that_the_service_asks_for_is_kept(simulator: SimulatorProcess, config: Path) -> None:
    add(simulator, 60)
    simulator.faults(["remove_runner:retry=1:every 25"])
    done = run([BURST, "runners", str(config), "prune", "--yes"], folder=config.parent)
    assert "60 of 60 runners were removed" in done.out, done.err
    assert simulator.counters()["faults"]["retry"] >= 2


def test_a_service_that_fails_ends_it_with_what_was_done(simulator: SimulatorProcess, config: Path) -> None:
    add(simulator, 60)
    simulator.faults(["remove_runner:status=403"])
    done = run([BURST, "runners", str(config), "prune", "--yes"], folder=config.parent)
    done.refused(1, "removing a runner failed")
    assert "0 of 60 runners were removed" in done.out
    assert len(simulator.runners()) == 60


def test_the_list_shows_scale_set_state_and_age(simulator: SimulatorProcess, config: Path) -> None:
    add(simulator, 2, age=7200)
    add(simulator, 1, state="busy", age=60)
    other = draw_names("other", 1, random.getrandbits)
    simulator.control("POST", "runners", {"scale_set": "other", "names": other, "state": "online"})
    shown = run([BURST, "runners", str(config)], folder=config.parent)
    assert shown.status == 0, shown.err
    assert "4 runners: 2 offline, 1 busy, 1 idle" in shown.out
    listed = json.loads(run([BURST, "runners", str(config), SCALE_SET, "--json"], folder=config.parent).out)
    assert [one["state"] for one in listed] == ["offline", "offline", "busy"]
    assert all(7190 < one["age_seconds"] < 7300 for one in listed[:2])
    assert states(simulator) == {"offline": 2, "busy": 1, "online": 1}
