"""The launcher `docker` against a real daemon: containers run the jobs, outlive the host, and are found again."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scaleset_hookspecs import JitConfig, RunnerRef, ScaleSetRef
from scaleset_simulator import SimulatorProcess
from tests.e2e.hosting import EXAMPLES, LIMIT_SECONDS, configuration, listening_host, run_host, wait_until, write
from tests.kit import images
from tests.kit.docker_daemon import DockerDaemon, missing

pytestmark = [pytest.mark.slow, pytest.mark.docker, pytest.mark.skipif(missing() is not None, reason=f"{missing()}")]

IMAGE = "busybox-runner"
SECRET = "hunter2-of-the-host"

RUNNER = """
trap 'exit 143' TERM
wget -q -O /tmp/me --post-data "$ACTIONS_RUNNER_INPUT_JITCONFIG" {control}/connect || exit 3
me=$(grep -o '"id":[0-9]*' /tmp/me)
while wget -q -O - {control}/runners | grep -q "$me,"; do sleep 0.2; done
"""
"""A runner: comes online with its JIT config, and ends when the service has no registration of it any more."""


@pytest.fixture(scope="module")
def daemon() -> Iterator[DockerDaemon]:
    with DockerDaemon() as started, pytest.MonkeyPatch.context() as patch:
        if started.failure:
            pytest.skip(started.failure)
        started.load(IMAGE, images.archive(images.busybox()))
        patch.setenv("DOCKER_HOST", started.url)
        yield started


def docker(simulator: SimulatorProcess, folder: Path, **changes: object) -> Path:
    """Write the configuration of a host that runs its runners in containers."""
    script = RUNNER.format(control=f"{simulator.url}/_sim")
    settings: dict[str, Any] = {
        "launcher": "docker",
        "image": IMAGE,
        "command": ["/bin/sh", "-c", script],
        "container": {"HostConfig": {"NetworkMode": "host"}},
        "max_runners": 4,
        **changes,
    }
    return write(folder, configuration(simulator.config_url, **settings), simulator.token)


def test_a_host_that_is_killed_finds_its_containers_again(daemon: DockerDaemon, tmp_path: Path) -> None:
    """7 lived at `max_runners: 4` after a restart, each job of the killed host's having a second runner."""
    options = {"scale_set": "e2e", "poll_seconds": 1, "session_seconds": 2, "job_seconds": 8}
    with SimulatorProcess(backend="assign", **options) as simulator:
        command = [sys.executable, str(EXAMPLES / "autoscaler"), str(docker(simulator, tmp_path))]
        most = 0

        def left(jobs: int) -> bool:
            nonlocal most
            most = max(most, sum(each["State"] == "running" for each in daemon.containers()))
            return int(simulator.counters()["jobs_finished"]) >= jobs

        simulator.add_jobs("e2e", 10)
        with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as first:
            wait_until(lambda: sum(bool(each["busy"]) for each in simulator.runners()) == 4, "four are busy", first)
            first.kill()
        living = {each["Id"] for each in daemon.containers()}
        assert len(living) == 4
        with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as second:
            try:
                wait_until(lambda: left(10), "all jobs have run", second)
                wait_until(lambda: not daemon.containers(), "the containers are removed", second)
                second.send_signal(signal.SIGTERM)
                _, said = second.communicate(timeout=LIMIT_SECONDS)
            finally:
                second.kill()
        assert second.returncode == 0, said
        assert "4 runners live, 4 are registered" in said
        assert "Traceback" not in said, said
        assert most == 4
        assert simulator.counters()["requests"]["mint"] == 10
        assert simulator.runners() == []


def test_a_stop_removes_idle_containers_and_leaves_the_busy_one(daemon: DockerDaemon, tmp_path: Path) -> None:
    with SimulatorProcess(backend="assign", scale_set="e2e", poll_seconds=1, job_seconds=60) as simulator:
        simulator.add_jobs("e2e", 1)
        config = docker(simulator, tmp_path, min_idle=2)

        def states() -> list[tuple[str, bool]]:
            return sorted((each["status"], bool(each["busy"])) for each in simulator.runners())

        with listening_host(config) as host:
            wait_until(lambda: states() == [("online", False)] * 2 + [("online", True)], "one of three is busy", host)
        assert states() == [("online", True)]
        (left,) = daemon.containers()
        assert left["State"] == "running"
        daemon.call("DELETE", f"/containers/{left['Id']}", params={"force": "1"})


def test_a_job_finds_the_jit_config_and_no_secret_of_the_host(
    daemon: DockerDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads the environment of every process it sees, as `/proc/PPID/environ` once showed the host's token."""
    with SimulatorProcess(backend="assign", scale_set="e2e", token=SECRET) as simulator:
        monkeypatch.setenv("HOST_TOKEN", SECRET)
        config = docker(simulator, tmp_path, command=["/bin/sh", "-c", "cat /proc/[0-9]*/environ; echo; exec sleep 30"])
        config.write_text(config.read_text().replace("$file: token", "$env: HOST_TOKEN"))
        ended = run_host(config, "--once", "1")
        assert ended.status == 0, ended.err
        (container,) = daemon.containers()
        path = f"/containers/{container['Id']}"
        variables = {each.partition("=")[0] for each in daemon.call("GET", f"{path}/json").json()["Config"]["Env"]}
        assert variables == {"ACTIONS_RUNNER_INPUT_JITCONFIG"}
        said = ""
        while "ACTIONS_RUNNER" not in said:
            said = daemon.call("GET", f"{path}/logs", params={"stdout": "1"}).text
            time.sleep(0.1)
        assert SECRET not in said
        daemon.call("DELETE", path, params={"force": "1"})


def test_without_a_daemon_the_host_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SimulatorProcess(backend="assign", scale_set="e2e") as simulator:
        monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
        ended = run_host(docker(simulator, tmp_path), "--once", "1")
        ended.refused(1, "no Docker daemon answers at unix:///nowhere/docker.sock: start it, or say in DOCKER_HOST")
        monkeypatch.setenv("DOCKER_HOST", "nowhere")
        run_host(docker(simulator, tmp_path), "--once", "1").refused(2, "DOCKER_HOST is 'nowhere'; expected unix:///")


def test_an_image_that_is_not_there_is_a_failed_launch(daemon: DockerDaemon, tmp_path: Path) -> None:
    with SimulatorProcess(backend="assign", scale_set="e2e") as simulator:
        ended = run_host(docker(simulator, tmp_path, image="nobody/has:it"), "--once", "2")
        ended.refused(1, "there is no image nobody/has:it on this machine: run `docker pull nobody/has:it`")
    assert daemon.containers() == []


def test_a_user_who_may_not_use_the_daemon_is_told_so(daemon: DockerDaemon) -> None:
    program = f"""
import asyncio, os
from autoscaler.docker import DockerLauncher
async def main():
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
    launcher = DockerLauncher("{IMAGE}", print, scale_set="s", command=(), container={{}})
    try:
        await launcher.living()
    finally:
        await launcher.stop()
asyncio.run(main())
"""
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES)}
    ran = [sys.executable, "-c", program]
    ended = subprocess.run(ran, env=environment, capture_output=True, text=True, check=False)
    assert f"the Docker daemon at {daemon.url} refuses this user: add it to the group" in ended.stderr


def of(number: int) -> JitConfig:
    return JitConfig(
        runner_id=number, runner_name=f"r/{number}", scale_set=ScaleSetRef(name="s"), encoded="x", minted_at=0
    )


async def ends(daemon: DockerDaemon, script: str, what: str) -> list[tuple[RunnerRef, int]]:
    """Launch runners that run a script, and return the ends that were told until there is no container left."""
    from autoscaler.docker import DockerLauncher  # noqa: PLC0415  # not there where these tests are skipped

    told: list[tuple[RunnerRef, int]] = []

    def launcher() -> DockerLauncher:
        return DockerLauncher(
            IMAGE,
            lambda runner, status: told.append((runner, status)),
            scale_set="s",
            command=["/bin/sh", "-c", script],
            container={"HostConfig": {"NetworkMode": "host"}},
        )

    one = launcher()
    assert await one.living() == ()
    await asyncio.gather(*(one.launch(of(number)) for number in range(12)))
    if what == "end":
        await asyncio.gather(*(one.end(RunnerRef(name=f"r/{number}")) for number in range(12)))
    if what == "foreign":
        for each in daemon.containers():
            daemon.call("DELETE", f"/containers/{each['Id']}", params={"force": "1"})
    if what == "restart":  # they end while no host looks
        await one.stop()
        for each in daemon.containers():
            daemon.call("POST", f"/containers/{each['Id']}/wait")
        one = launcher()
        assert len(await one.living()) == 12
    async with asyncio.timeout(60):
        while daemon.containers() or len(told) < 12:
            await asyncio.sleep(0.1)
    await one.stop()
    return sorted(told, key=lambda each: each[0].id or 0)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("what", "script", "status"),
    [("exit", "exit 5", 5), ("restart", "sleep 2; exit 5", 5), ("end", "sleep 60", 137), ("foreign", "sleep 60", 137)],
)
async def test_every_end_is_told_once_and_nothing_is_left(
    daemon: DockerDaemon, what: str, script: str, status: int
) -> None:
    expected = [(RunnerRef(name=f"r/{number}", id=number), status) for number in range(12)]
    assert await ends(daemon, script, what) == expected
