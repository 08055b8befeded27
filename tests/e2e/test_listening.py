"""Through the listener: every job gets a runner and ends, whoever answers the hooks and whatever the session does."""

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from scaleset_simulator import SimulatorProcess
from tests.e2e.hosting import configuration, listening_host, wait_until, write

SCALE_SET = "e2e"
JOBS = 60
"""More than the 50 events of one message."""


def finished(simulator: SimulatorProcess, jobs: int) -> Callable[[], bool]:
    return lambda: bool(simulator.counters()["jobs_finished"] == jobs)


def simulator_for(backend: str, **options: object) -> SimulatorProcess:
    return SimulatorProcess(backend=backend, scale_set=SCALE_SET, job_seconds=0.2, poll_seconds=0.25, **options)


@pytest.mark.parametrize("backend", ["assign", "offer"])
@pytest.mark.parametrize("plugin", [True, False], ids=["plugin", "default"])
def test_every_job_gets_a_runner_and_nothing_is_left(tmp_path: Path, backend: str, plugin: bool) -> None:
    with simulator_for(backend) as simulator:
        config = write(tmp_path, configuration(simulator.config_url, plugin=plugin), simulator.token)
        simulator.add_jobs(SCALE_SET, JOBS)
        with listening_host(config) as host:
            wait_until(finished(simulator, JOBS), "all jobs finished", host)
        counters = simulator.counters()
        assert counters["registrations"] == JOBS
        assert counters["runners"] == 0


@pytest.mark.parametrize(
    "trouble",
    [
        ["poll:lose-session:every 2"],
        ["poll:status=503:every 3"],
        ["acknowledge:status=503:first 2"],
        ["poll:drop-before:first 3"],
        ["acquire:status=503:first 2"],
        ["acquire:status=404:every 2"],
        ["acquire:text=404:first 1"],
        ["acknowledge:text=404:first 3"],
        ["poll:text=404:every 3"],
        ["poll:unauthorised:every 2", "acquire:unauthorised:every 2"],
    ],
    ids=[
        "lost session",
        "failing polls",
        "failing acknowledgements",
        "dropped polls",
        "failing acquisitions",
        "missing acquisitions",
        "a missing first acquisition",
        "missing acknowledgements",
        "missing polls",
        "refused tokens",
    ],
)
def test_no_message_is_lost_in_trouble(tmp_path: Path, trouble: list[str]) -> None:
    with simulator_for("offer", queue_token_ttl=2, session_seconds=2) as simulator:
        config = write(tmp_path, configuration(simulator.config_url), simulator.token)
        simulator.faults(trouble)
        simulator.add_jobs(SCALE_SET, 5)
        with listening_host(config) as host:
            wait_until(finished(simulator, 5), "the first jobs finished", host)
            simulator.add_jobs(SCALE_SET, 5)
            wait_until(finished(simulator, 10), "the later jobs finished", host)


def test_a_404_for_a_poll_is_no_reason_for_another_session(tmp_path: Path) -> None:
    """The host was deaf for two minutes: its own session was in the way of the next one."""
    with simulator_for("assign", session_seconds=3600) as simulator:
        config = write(tmp_path, configuration(simulator.config_url), simulator.token)
        simulator.faults(["poll:text=404:first 1", "poll:status=410:first 2"])
        with listening_host(config) as host:
            wait_until(lambda: simulator.counters()["requests"].get("refresh_session", 0) >= 1, "a refresh", host)
            simulator.add_jobs(SCALE_SET, 2)
            wait_until(finished(simulator, 2), "the jobs finished", host)
        requests = simulator.counters()["requests"]
        assert (requests["open_session"], requests["close_session"]) == (1, 1)


def test_tokens_revoked_again_and_again_end_no_host(tmp_path: Path) -> None:
    """Five times in half a second did, with every running job."""
    with simulator_for("assign") as simulator:
        config = write(tmp_path, configuration(simulator.config_url), simulator.token)
        with listening_host(config) as host:
            for number in range(1, 6):
                simulator.add_jobs(SCALE_SET, 2)
                for _ in range(5):
                    simulator.expire_tokens()
                wait_until(finished(simulator, 2 * number), "the jobs finished", host)


def test_waits_for_a_session_that_a_dead_host_left_open(tmp_path: Path) -> None:
    with simulator_for("assign", session_seconds=3) as simulator:
        config = write(tmp_path, configuration(simulator.config_url), simulator.token)
        _open_session_and_die(simulator)
        simulator.add_jobs(SCALE_SET, 3)
        with listening_host(config) as host:
            wait_until(finished(simulator, 3), "the jobs finished", host)
        assert simulator.counters()["statuses"]["409"] >= 1
    assert "has an active session" in (tmp_path / "host.log").read_text(), "nobody waits for minutes without a word"


def _open_session_and_die(simulator: SimulatorProcess) -> None:
    """Walk the token chain by hand up to an open session, and never poll it."""

    def post(url: str, authorization: str, body: object) -> dict[str, str]:
        data = json.dumps(body).encode()
        headers = {"Authorization": authorization, "Content-Type": "application/json"}
        request = urllib.request.Request(url, data=data, headers=headers, method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            value: dict[str, str] = json.load(answer)
        return value

    api = f"{simulator.url}/api/v3"
    registration = post(f"{api}/orgs/acme/actions/runners/registration-token", f"Bearer {simulator.token}", {})
    admin = post(
        f"{api}/actions/runner-registration",
        f"RemoteAuth {registration['token']}",
        {"url": simulator.config_url, "runner_event": "register"},
    )
    base, _, query = admin["url"].partition("?")
    sessions = f"{base}/_apis/runtime/runnerscalesets/1/sessions?api-version=6.0-preview&{query}"
    assert post(sessions, f"Bearer {admin['token']}", {"ownerName": "dead"})["sessionId"]


def test_a_command_is_launched_with_its_config_and_ended_with_the_host(tmp_path: Path) -> None:
    script = 'echo "$ACTIONS_RUNNER_INPUT_JITCONFIG" >> configs; exec sleep 60'
    with simulator_for("assign") as simulator:
        command = ["/bin/sh", "-c", script]
        config = write(
            tmp_path,
            configuration(simulator.config_url, launcher="command", command=command, max_runners=3),
            simulator.token,
        )
        simulator.add_jobs(SCALE_SET, 5)
        seen = tmp_path / "configs"
        with listening_host(config) as host:
            wait_until(lambda: seen.exists() and len(seen.read_text().split()) == 3, "three commands launched", host)
        assert len(set(seen.read_text().split())) == 3
        assert simulator.runners() == []
