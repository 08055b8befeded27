"""Runs the example autoscaler as an operator does: a process, a YAML file, an exit status and what it printed."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scaleset_simulator import SimulatorProcess

__all__ = [
    "EXAMPLES",
    "ROOT",
    "Ended",
    "configuration",
    "free_port",
    "listening_host",
    "run",
    "run_host",
    "wait_until",
    "wait_until_carried_out",
    "write",
]

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
LIMIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a program ended."""

    status: int
    out: str
    err: str

    def refused(self, status: int, *said: str) -> None:
        """Assert that it failed with this status, said this in the end, and spared us a traceback."""
        assert self.status == status, f"exit status {self.status}, not {status}:\n{self.err}"
        for text in said:
            assert text in self.err, f"{text!r} is not in:\n{self.err}"
        assert "Traceback" not in self.out + self.err, self.err


def run(command: list[str], *, folder: Path, environment: Mapping[str, str] | None = None) -> Ended:
    """Run a program to its end."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    return Ended(status=done.returncode, out=done.stdout, err=done.stderr)


def run_host(config: Path, *arguments: str, python: str = sys.executable) -> Ended:
    """Run the example autoscaler to its end."""
    return run([python, str(EXAMPLES / "autoscaler"), str(config), *arguments], folder=config.parent)


def configuration(config_url: str, *, plugin: bool = True, **autoscaler: object) -> dict[str, Any]:
    """Return a right configuration, ready to be spoilt. The token is expected in a file beside it."""
    return {
        "github": {"config_url": config_url, "token": {"$file": "token"}},
        "autoscaler": {"scale_set": "e2e", "max_runners": 20, "launcher": "simulated", **autoscaler},
        "plugins": {"burst": {"enabled": plugin, "journal": {"directory": "journal"}}},
    }


def write(folder: Path, config: object, token: str) -> Path:
    """Write a configuration and its token; return the configuration's path."""
    (folder / "token").write_text(token)
    path = folder / "config.yaml"
    path.write_text(config if isinstance(config, str) else yaml.safe_dump(config))
    return path


def free_port() -> int:
    """Return a port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def listening_host(config: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the example autoscaler in its listener until the block ends; it then has to stop cleanly."""
    command = [sys.executable, str(EXAMPLES / "autoscaler"), str(config), *arguments]
    with (config.parent / "host.log").open("w") as log:
        host = subprocess.Popen(command, cwd=config.parent, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True)
        try:
            yield host
            host.send_signal(signal.SIGTERM)
            status = host.wait(LIMIT_SECONDS)
        finally:
            host.kill()
            host.wait()
    said = (config.parent / "host.log").read_text()
    assert status == 0, said
    assert "Traceback" not in said, said


def wait_until(held: Callable[[], bool], what: str, host: subprocess.Popen[str]) -> None:
    """Wait until something holds, for as long as the host runs."""
    until = time.monotonic() + LIMIT_SECONDS
    while not held():
        assert host.poll() is None, f"the host ended with status {host.returncode}; still not: {what}"
        assert time.monotonic() < until, f"after {LIMIT_SECONDS:.0f} s still not: {what}"
        time.sleep(0.1)


def wait_until_carried_out(simulator: SimulatorProcess) -> None:
    """Wait until the service has done what a program had asked for when it ended; only our own connection is open."""
    until = time.monotonic() + LIMIT_SECONDS
    while (counters := simulator.counters())["in_flight"] or counters["connections_open"] > 1:
        assert time.monotonic() < until, f"after {LIMIT_SECONDS:.0f} s {counters['in_flight']} are still under way"
        time.sleep(0.05)
