"""The example host as an image and as a service: both run the demo's burst."""

import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from scaleset_simulator import SimulatorProcess
from tests.e2e.hosting import EXAMPLES, LIMIT_SECONDS, ROOT, configuration, write
from tests.kit import images
from tests.kit.docker_daemon import DockerDaemon, missing

pytestmark = [
    pytest.mark.slow,
    pytest.mark.docker,
    pytest.mark.timeout(400),
    pytest.mark.skipif(missing() is not None, reason=f"{missing()}"),
]

RUNNERS = 300
"""Of the demo's burst."""

SOURCES = (
    "pyproject.toml",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "constraints/all.txt",
    "hookspecs",
    "plugin",
    "examples",
)

SERVICE = """
FROM autoscaler
USER 0:0
COPY . /
ENV container=docker
ENTRYPOINT ["/lib/systemd/systemd", "--unit=autoscaler.service"]
"""
"""A machine with systemd, where our service is installed as the page says."""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerDaemon]:
    """A daemon with the image that our Dockerfile makes of this Python and of wheels, as no image can be pulled."""
    wheels = tmp_path_factory.mktemp("wheels")
    builders = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(wheels), *builders]
    wanted = ["--constraint", str(ROOT / "constraints" / "all.txt"), f"{ROOT}[app,docker,metrics]"]
    subprocess.run([*pip, *wanted], check=True, timeout=300)
    with DockerDaemon() as started:
        if started.failure:
            pytest.skip(started.failure)
        started.load("base", images.archive(images.busybox() | images.python()))
        files = [each for name in SOURCES for each in (ROOT / name, *(ROOT / name).rglob("*")) if each.is_file()]
        context = {str(each.relative_to(ROOT)): each for each in files if "__pycache__" not in each.parts}
        context |= {f"wheels/{each.name}": each for each in wheels.iterdir() if "scaleset" not in each.name}
        arguments = {"BASE": "base", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/opt/autoscaler/wheels"}
        started.build("autoscaler", images.archive(context), "examples/autoscaler/Dockerfile", arguments)
        yield started


@pytest.fixture
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(backend="assign", scale_set="e2e", poll_seconds=2, job_seconds=3600) as started:
        started.add_jobs("e2e", RUNNERS)
        yield started


def installed(folder: Path, simulator: SimulatorProcess, token: dict[str, str]) -> list[str]:
    """Write the configuration; return where it is to be seen, as Docker has it."""
    config = configuration(simulator.config_url, max_runners=RUNNERS)
    config["github"]["token"] = token
    config["plugins"]["burst"].pop("journal")  # it is where the image and the unit say
    write(folder, config, simulator.token)
    folder.chmod(0o755)
    return [f"{folder}:/etc/autoscaler"]


def bursts(simulator: SimulatorProcess) -> None:
    """Wait until every job of the demo's burst has a runner."""
    until = time.monotonic() + LIMIT_SECONDS
    while sum(bool(each["busy"]) for each in simulator.runners()) < RUNNERS:
        assert time.monotonic() < until, f"{len(simulator.runners())} of {RUNNERS} runners"
        time.sleep(0.1)


def test_the_image_runs_the_demos_burst(daemon: DockerDaemon, simulator: SimulatorProcess, tmp_path: Path) -> None:
    places = installed(tmp_path, simulator, {"$file": "token"})
    daemon.run("host", "autoscaler", HostConfig={"NetworkMode": "host", "Binds": places})
    bursts(simulator)
    assert "scaleset-burst/127.0.0.1" in daemon.execute("host", "/bin/sh", "-c", "echo /var/lib/autoscaler/*/*")
    daemon.call("POST", "/containers/host/stop", params={"t": "60"})
    state = daemon.call("GET", "/containers/host/json").json()["State"]
    said = daemon.call("GET", "/containers/host/logs", params={"stdout": "1", "stderr": "1"}).text
    assert state["ExitCode"] == 0, said
    assert f"{RUNNERS} of {RUNNERS} runners are up" in said
    assert simulator.counters()["requests"]["mint"] == RUNNERS


def test_the_service_runs_the_demos_burst(daemon: DockerDaemon, simulator: SimulatorProcess, tmp_path: Path) -> None:
    """systemd itself starts and stops it, with all that the unit forbids it, and hands it the token."""
    unit = "etc/systemd/system/autoscaler.service"
    machine: dict[str, Path | str | bytes] = {
        **images.systemd(),
        "Dockerfile": SERVICE.encode(),
        "etc/passwd": b"root:x:0:0::/:/bin/sh\nautoscaler:x:999:999::/:/bin/sh\n",
        "etc/group": b"root:x:0:\nautoscaler:x:999:\n",
        unit: EXAMPLES / "autoscaler" / "autoscaler.service",
        f"{unit}.d/log.conf": b"[Service]\nStandardError=append:/etc/autoscaler/host.log\n",  # there is no journald
    }
    daemon.build("machine", images.archive(machine), "Dockerfile", {})
    places = installed(tmp_path, simulator, {"$env": "GITHUB_TOKEN"})
    (tmp_path / "secrets").write_text(f"GITHUB_TOKEN={simulator.token}\n")
    (tmp_path / "secrets").chmod(0o600)
    (tmp_path / "token").unlink()
    rights = {
        "CapAdd": ["SYS_ADMIN"],  # to mount what the unit asks for
        "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
        "Tmpfs": {"/run": "", "/tmp": ""},
    }
    places.append("/sys/fs/cgroup:/sys/fs/cgroup")
    daemon.run("machine", "machine", HostConfig={"NetworkMode": "host", "Binds": places, **rights})
    assert daemon.execute("machine", "systemd-analyze", "verify", "--man=no", f"/{unit}") == ""
    bursts(simulator)
    assert "scaleset-burst/127.0.0.1" in daemon.execute("machine", "/bin/sh", "-c", "echo /var/lib/autoscaler/*/*")
    daemon.execute("machine", "systemctl", "stop", "autoscaler")
    ended = daemon.execute("machine", "systemctl", "show", "autoscaler", "-p", "Result,ExecMainStatus,ActiveState")
    said = (tmp_path / "host.log").read_text()
    assert set(ended.split()) == {"Result=success", "ExecMainStatus=0", "ActiveState=inactive"}, said
    assert f"{RUNNERS} of {RUNNERS} runners are up" in said
    assert simulator.counters()["requests"]["mint"] == RUNNERS
