"""SIGTERM at an unlucky moment: the host ends cleanly, and leaves nothing registered."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scaleset_simulator import SimulatorProcess
from tests.e2e.hosting import (
    EXAMPLES,
    LIMIT_SECONDS,
    configuration,
    listening_host,
    wait_until,
    wait_until_carried_out,
    write,
)


def test_stops_cleanly_while_it_still_looks_for_its_scale_set(tmp_path: Path) -> None:
    with SimulatorProcess(backend="assign", scale_set="e2e") as simulator:
        simulator.faults(["find_scale_set:hang-before"])
        config = write(tmp_path, configuration(simulator.config_url), simulator.token)
        with listening_host(config) as host:
            wait_until(lambda: bool(simulator.counters()["faults"]), "the look-up hangs", host)


@pytest.mark.parametrize("plugin", [True, False], ids=["plugin", "default"])
def test_a_single_burst_that_is_told_to_stop_leaves_no_runner(tmp_path: Path, plugin: bool) -> None:
    with SimulatorProcess(backend="assign", scale_set="e2e") as simulator:
        simulator.faults(["mint:slow=1s"])
        command = ["/bin/sh", "-c", "exec sleep 60"]
        host_config = configuration(simulator.config_url, plugin=plugin, launcher="command", command=command)
        config = write(tmp_path, host_config, simulator.token)
        with listening_host(config, "--once", "5") as host:
            wait_until(lambda: "slow" in simulator.counters()["faults"], "mints are on their way", host)
        wait_until_carried_out(simulator)  # what was cut off is registered all the same
        assert simulator.runners() == []


def test_a_session_that_cannot_be_closed_does_not_hold_up_the_rest(tmp_path: Path) -> None:
    """It ends by itself; the runners would stay, if somebody loses patience with the host."""
    with SimulatorProcess(backend="assign", scale_set="e2e", poll_seconds=0.25) as simulator:
        simulator.faults(["close_session:hang-before"])
        command = ["/bin/sh", "-c", "exec sleep 60"]
        host_config = configuration(simulator.config_url, launcher="command", command=command)
        config = write(tmp_path, host_config, simulator.token)
        simulator.add_jobs("e2e", 3)
        with listening_host(config) as host:
            wait_until(lambda: len(simulator.runners()) == 3, "three runners registered", host)
        assert simulator.counters()["requests"]["close_session"] == 1
        assert simulator.runners() == []


def test_a_host_that_the_queue_refuses_lives_on_and_is_not_disturbed_at_its_end(tmp_path: Path) -> None:
    """Refused polls ended it, and every job; a second signal comes while the idle runners are being removed."""
    with SimulatorProcess(backend="assign", scale_set="e2e", poll_seconds=0.25) as simulator:
        command = ["/bin/sh", "-c", "exec sleep 60"]
        config = write(
            tmp_path, configuration(simulator.config_url, launcher="command", command=command), simulator.token
        )
        simulator.add_jobs("e2e", 3)
        ran = [sys.executable, str(EXAMPLES / "autoscaler"), str(config)]
        with subprocess.Popen(ran, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as host:
            try:
                wait_until(lambda: len(simulator.runners()) == 3, "three runners registered", host)
                simulator.faults(["poll:status=403", "remove_runner:slow=1s"])
                wait_until(lambda: simulator.counters()["faults"].get("status", 0) >= 3, "it was refused", host)
                assert len(simulator.runners()) == 3
                host.send_signal(signal.SIGTERM)
                wait_until(lambda: "slow" in simulator.counters()["faults"], "they are being removed", host)
                host.send_signal(signal.SIGTERM)
                _, said = host.communicate(timeout=LIMIT_SECONDS)
            finally:
                host.kill()
        assert "listening has failed 3 times since" in said
        assert "Traceback" not in said
        assert host.returncode == 0
        assert simulator.runners() == []


RUNNER = """
import os, pathlib, time, urllib.request
config = os.environ["ACTIONS_RUNNER_INPUT_JITCONFIG"].encode()
urllib.request.urlopen(urllib.request.Request({connect!r}, data=config, method="POST"))
time.sleep(3)
pathlib.Path({folder!r}, f"ended-{{os.getpid()}}").touch()
"""


@pytest.mark.parametrize("signals", [1, 2])
def test_runners_that_have_a_job_finish_it_unless_a_second_signal_comes(tmp_path: Path, signals: int) -> None:
    """Every upgrade sends one: running jobs were terminated within 0.3 s."""
    with SimulatorProcess(backend="assign", scale_set="e2e", poll_seconds=0.25, job_seconds=60) as simulator:
        connect = simulator.config_url.rpartition("/")[0] + "/_sim/connect"
        command = [sys.executable, "-c", RUNNER.format(connect=connect, folder=str(tmp_path))]
        host_config = configuration(simulator.config_url, launcher="command", command=command)
        config = write(tmp_path, host_config, simulator.token)
        simulator.add_jobs("e2e", 3)
        ran = [sys.executable, str(EXAMPLES / "autoscaler"), str(config)]
        with subprocess.Popen(ran, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as host:
            try:
                wait_until(lambda: sum(bool(each["busy"]) for each in simulator.runners()) == 3, "all are busy", host)
                for _ in range(signals):
                    host.send_signal(signal.SIGTERM)
                    time.sleep(0.3)
                _, said = host.communicate(timeout=LIMIT_SECONDS)
            finally:
                host.kill()
        assert host.returncode == 0
        assert "Traceback" not in said
        assert ("a second signal came: ending 3 runners" in said) is (signals == 2)
        assert len(list(tmp_path.glob("ended-*"))) == (3 if signals == 1 else 0)
