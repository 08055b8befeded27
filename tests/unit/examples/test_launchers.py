"""A launched command gets its JIT config, is reaped, and takes its whole process group with it when it is ended."""

import asyncio
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from autoscaler.launchers import JIT_CONFIG_VARIABLE, CommandLauncher, LaunchError, SimulatedLauncher
from scaleset_hookspecs import JitConfig, RunnerRef, ScaleSetRef

pytestmark = pytest.mark.anyio

CONFIG = JitConfig(
    runner_id=3, runner_name="r3", scale_set=ScaleSetRef(name="s", id=1), encoded="the-config", minted_at=0
)


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


async def appears(path: Path) -> str:
    async with asyncio.timeout(10):
        while not (path.exists() and path.read_text().endswith("\n")):
            await asyncio.sleep(0.01)
    return path.read_text()


async def test_a_command_finds_its_jit_config_in_its_environment_and_is_reaped(tmp_path: Path) -> None:
    ended: list[tuple[RunnerRef, int]] = []
    command = shell(f'echo "${JIT_CONFIG_VARIABLE}" > {tmp_path}/seen; exit 5')
    launcher = CommandLauncher(command, lambda runner, status: ended.append((runner, status)))
    await launcher.launch(CONFIG)
    await launcher.drain()
    assert (tmp_path / "seen").read_text() == "the-config\n"
    assert ended == [(RunnerRef(name="r3", id=3), 5)]


async def test_a_command_gets_the_hosts_environment_without_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_TOKEN", "hunter2")
    monkeypatch.setenv("SOMETHING_ELSE", "kept")
    command = shell(f"env > {tmp_path}/seen")
    launcher = CommandLauncher(command, lambda _runner, _status: None, hidden={"THE_TOKEN"})
    await launcher.launch(CONFIG)
    await launcher.drain()
    seen = (tmp_path / "seen").read_text()
    assert "hunter2" not in seen
    assert "SOMETHING_ELSE=kept\n" in seen


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process hide its memory")
@pytest.mark.parametrize(("hidden", "readable"), [("()", "1"), ("{'THE_TOKEN'}", "0")])
def test_a_host_with_secrets_hides_its_memory_from_its_jobs(hidden: str, readable: str) -> None:
    """Any job could read the host's token in /proc/PID/environ."""
    program = f"""
import ctypes
from autoscaler.launchers import CommandLauncher
CommandLauncher(["true"], print, hidden={hidden})
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "examples")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == readable


class Stranger(BaseHTTPRequestHandler):
    """A web server that is no simulator, and remembers what it was sent."""

    sent: ClassVar[list[bytes]] = []
    answer = b"{}"

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.answer)

    def do_POST(self) -> None:
        self.sent.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Be quiet."""


async def test_a_jit_config_goes_to_a_simulator_only() -> None:
    """It holds a private key; with a real service's address it was posted to that service."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        launcher = SimulatedLauncher(f"http://127.0.0.1:{server.server_port}/acme", 1, lambda _runner, _status: None)
        with pytest.raises(LaunchError, match=r"there is no simulator at .*: set autoscaler\.launcher to `command`"):
            await launcher.launch(CONFIG)
        assert Stranger.sent == []
        Stranger.answer = b'{"ready":true}'
        await launcher.launch(CONFIG)
        assert Stranger.sent == [b"the-config"]
        await launcher.stop()
        server.shutdown()


async def test_stopping_ends_the_children_of_the_command_too(tmp_path: Path) -> None:
    ended: list[int] = []
    child = f"{sys.executable} -c 'import time; time.sleep(60)' & echo $! > {tmp_path}/child; wait"
    launcher = CommandLauncher(shell(child), lambda _runner, status: ended.append(status))
    await launcher.launch(CONFIG)
    number = int(await appears(tmp_path / "child"))
    await launcher.stop()
    assert len(ended) == 1
    async with asyncio.timeout(10):
        while _alive(number):
            await asyncio.sleep(0.01)


def _alive(number: int) -> bool:
    try:
        os.kill(number, 0)
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_command_that_does_not_exist_is_a_failed_launch() -> None:
    launcher = CommandLauncher(["/nowhere/run.sh"], lambda _runner, _status: None)
    with pytest.raises(LaunchError, match=r"`/nowhere/run.sh` does not start: No such file"):
        await launcher.launch(CONFIG)
    await launcher.stop()


async def test_ending_a_runner_that_is_gone_already_does_nothing() -> None:
    launcher = CommandLauncher(["/bin/true"], lambda _runner, _status: None)
    await launcher.end(RunnerRef(name="nobody"))
