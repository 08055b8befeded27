"""A launched command gets its JIT config, is reaped, and takes its whole process group with it when it is ended."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from autoscaler.launchers import JIT_CONFIG_VARIABLE, CommandLauncher, LaunchError
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
