"""One process for several scale sets, watched as an operator does: /metrics, /healthz, /readyz, and lines of JSON."""

import json
import re
import socket
import urllib.error
import urllib.request
from pathlib import Path

from scaleset_simulator import SimulatorProcess
from tests.e2e.hosting import configuration, free_port, listening_host, run_host, wait_until, write


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def test_several_scale_sets_are_served_and_watched(tmp_path: Path) -> None:
    port = free_port()
    with SimulatorProcess(scale_set=["a", "b"], job_seconds=1, poll_seconds=0.25) as simulator:
        host_config = configuration(simulator.config_url)
        del host_config["autoscaler"]["scale_set"]
        host_config["autoscaler"]["scale_sets"] = [{"name": "a", "max_runners": 5}, {"name": "b"}]
        host_config["plugins"]["burst"]["metrics"] = True
        config = write(tmp_path, host_config, simulator.token)
        simulator.add_jobs("a", 12)
        simulator.add_jobs("b", 12)
        with listening_host(config, "--metrics-port", str(port), "--log-format", "json") as host:
            wanted = re.compile(
                r'autoscaler_runners{life="busy",scale_set="a"} [1-5]\.0.*desired_runners{scale_set="a"} [1-5]\.0',
                re.DOTALL,
            )
            wait_until(lambda: bool(wanted.search(get(port, "/metrics")[1])), "demand and busy runners are shown", host)
            wait_until(lambda: bool(simulator.counters()["jobs_finished"] == 24), "all jobs finished", host)
            wait_until(lambda: get(port, "/readyz")[0] == 200, "both sessions have polled", host)
            status, health = get(port, "/healthz")
            assert (status, json.loads(health)["live"]) == (200, True)
            assert set(json.loads(health)["polled_seconds_ago"]) == {"a", "b"}
            _, metrics = get(port, "/metrics")
            assert 'outcome="minted"' in metrics
            assert 'scale_set="a"' in metrics
            assert 'scale_set="b"' in metrics
    lines = [json.loads(line) for line in (tmp_path / "host.log").read_text().splitlines()]
    assert {"asctime", "levelname", "name", "message"} <= set(lines[0])
    assert any(line["message"] == "a: listening" for line in lines)


def test_a_host_that_hears_nothing_is_not_ready(tmp_path: Path) -> None:
    port = free_port()
    with SimulatorProcess(scale_set="e2e") as simulator:
        simulator.faults(["poll:hang-before"])
        config = write(tmp_path, configuration(simulator.config_url), simulator.token)
        with listening_host(config, "--metrics-port", str(port)) as host:
            wait_until(lambda: get(port, "/healthz")[0] == 200, "it lives", host)
            assert get(port, "/readyz")[0] == 503


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken, SimulatorProcess(scale_set="e2e") as simulator:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config = write(tmp_path, configuration(simulator.config_url), simulator.token)
        ended = run_host(config, "--metrics-port", str(port))
        ended.refused(2, f"127.0.0.1:{port} cannot be used for metrics: ")


def test_a_scale_set_that_is_made_anew_is_found_by_its_name(tmp_path: Path) -> None:
    """It has another id then; the host went on with the old one, and no job ran."""
    with SimulatorProcess(scale_set="e2e", job_seconds=0.2, poll_seconds=0.25) as simulator:
        config = write(tmp_path, configuration(simulator.config_url), simulator.token)
        with listening_host(config) as host:
            simulator.add_jobs("e2e", 2)
            wait_until(lambda: bool(simulator.counters()["jobs_finished"] == 2), "the first jobs ran", host)
            simulator.recreate("e2e")
            wait_until(lambda: simulator.counters()["requests"]["open_session"] >= 2, "another session is open", host)
            simulator.add_jobs("e2e", 2)
            wait_until(lambda: bool(simulator.counters()["jobs_finished"] == 4), "the later jobs ran", host)
