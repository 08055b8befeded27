"""What a JIT config becomes: a process of this machine, or a runner inside the simulator (or a container: `docker`)."""

import asyncio
import ctypes
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import httpx

from scaleset_client import ConnectionOptions
from scaleset_client.transport import BurstTransport, Head, MaybeSent, NotSent, Response
from scaleset_hookspecs import JitConfig, RunnerRef

__all__ = ["CommandLauncher", "LaunchError", "Launcher", "OnEnd", "SimulatedLauncher"]

logger = logging.getLogger(__name__)

JIT_CONFIG_VARIABLE: Final = "ACTIONS_RUNNER_INPUT_JITCONFIG"
"""Where the runner's own start script looks for its JIT config (protocol section 8.2)."""

GRACE_SECONDS: Final = 10.0
"""Time a runner has to end by itself when it is told to."""

CONNECTS_AT_ONCE: Final = 8

WATCH_SECONDS: Final = 0.5

ANSWER_SECONDS: Final = 30.0
"""Time the simulator has to answer."""

PR_SET_DUMPABLE: Final = 4
"""Of prctl(2)."""

OnEnd = Callable[[RunnerRef, int], None]
"""Called with a runner and its exit status when its process has ended."""


class LaunchError(Exception):
    """The runner could not be started, or what runs cannot be found out; the text says what to do."""


class Launcher(Protocol):
    """Starts runners, and ends them.

    Attributes:
        outlives_host: Whether the runners go on when the host stops.
        watches: Whether `on_end` hears of each machine that ends.
    """

    outlives_host: bool
    watches: bool

    async def living(self) -> Sequence[RunnerRef]:
        """Return the runners of an earlier life of this host, and look after them. Called once, before any launch.

        Raises:
            LaunchError: It cannot be found out which runners live.
        """

    async def launch(self, config: JitConfig) -> None:
        """Start the runner; return once it is accepted.

        Raises:
            LaunchError: It did not start.
        """

    async def end(self, runner: RunnerRef) -> None:
        """End a runner whose registration is gone."""

    async def drain(self) -> None:
        """Wait until every runner that would not outlive the host has ended by itself."""

    async def stop(self) -> None:
        """End every runner that would not outlive the host, and let go of everything."""


class CommandLauncher:
    """Runs a command per runner, in a process group of its own, with the JIT config in its environment.

    Args:
        command: The program with its arguments.
        on_end: Hears when a process has ended.
        hidden: Variables of this process that the command does not get: a job could read the host's own secrets. Nor
            can it read them in `/proc`, unless it runs as root.
    """

    outlives_host = False
    watches = True

    def __init__(self, command: Sequence[str], on_end: OnEnd, *, hidden: Collection[str] = ()) -> None:
        self._command = tuple(command)
        self._on_end = on_end
        self._hidden = frozenset(hidden)
        if self._hidden:
            _hide_memory()
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._reapers: set[asyncio.Task[None]] = set()

    async def living(self) -> Sequence[RunnerRef]:
        """Return none: they end with the host."""
        return ()

    async def launch(self, config: JitConfig) -> None:
        """Start the command."""
        environment = {name: value for name, value in os.environ.items() if name not in self._hidden}
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                env={**environment, JIT_CONFIG_VARIABLE: config.encoded},
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise LaunchError(f"`{self._command[0]}` does not start: {error.strerror}") from error
        self._processes[config.runner_name] = process
        runner = RunnerRef(name=config.runner_name, id=config.runner_id)
        reaper = asyncio.create_task(self._reap(runner, process))
        self._reapers.add(reaper)
        reaper.add_done_callback(self._reapers.discard)

    async def end(self, runner: RunnerRef) -> None:
        """Tell the runner's process group to end; kill what is left of it after the grace."""
        process = self._processes.get(runner.name or "")
        if process is None:
            return
        _signal_group(process, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), GRACE_SECONDS)
        except TimeoutError:
            logger.warning("runner %s does not end; killing it", runner.name)
        _signal_group(process, signal.SIGKILL)  # children may have outlived the first process

    async def drain(self) -> None:
        """Wait for the processes."""
        if self._reapers:
            await asyncio.wait(set(self._reapers))

    async def stop(self) -> None:
        """End every process group."""
        await asyncio.gather(*(self.end(RunnerRef(name=name)) for name in list(self._processes)))
        await self.drain()

    async def _reap(self, runner: RunnerRef, process: asyncio.subprocess.Process) -> None:
        status = await process.wait()
        del self._processes[runner.name or ""]
        self._on_end(runner, status)


def _hide_memory() -> None:
    """Keep other processes of this user from reading our memory and `/proc/PID/environ`, where secrets stand.

    Linux only; root reads everything, so a host whose jobs must not see its secrets does not run as root.
    """
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        logger.warning("jobs may read the host's secrets in /proc: %s", os.strerror(ctypes.get_errno()))


def _signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # the group is gone already
        os.killpg(process.pid, number)


class SimulatedLauncher:
    """Brings runners online inside the simulator that plays the service.

    Args:
        config_url: The host's config URL; the simulator's own endpoints are on the same address.
        scale_set_id: Whose runners these are.
        on_end: Hears when a runner is not registered any more.
        every: Seconds from one look at the runners to the next.
    """

    outlives_host = True
    watches = True

    def __init__(self, config_url: str, scale_set_id: int, on_end: OnEnd, *, every: float = WATCH_SECONDS) -> None:
        parts = urlsplit(config_url)
        self._url = f"{parts.scheme}://{parts.netloc}/_sim"
        self._scale_set_id = scale_set_id
        self._on_end = on_end
        self._every = every
        self._found = False
        self._transport = BurstTransport(ConnectionOptions(max_connections=CONNECTS_AT_ONCE + 1))
        self._places = asyncio.Semaphore(CONNECTS_AT_ONCE)
        self._living: dict[str, RunnerRef] = {}
        self._watcher: asyncio.Task[None] | None = None

    async def living(self) -> Sequence[RunnerRef]:
        """Return the runners of the scale set that are online."""
        await self._look_for_simulator()
        for each in await self._registered():
            if each["status"] == "online":
                self._look_after(RunnerRef(name=each["name"], id=each["id"]))
        return tuple(self._living.values())

    async def launch(self, config: JitConfig) -> None:
        """Hand the JIT config to the simulator, once it is known to be one: a JIT config holds a private key."""
        async with self._places:
            await self._look_for_simulator()
            answer = await self._ask("POST", "/connect", config.encoded.encode())
        if not 200 <= answer.status < 300:
            raise LaunchError(f"the simulator refused the runner with status {answer.status}")
        self._look_after(RunnerRef(name=config.runner_name, id=config.runner_id))

    async def end(self, runner: RunnerRef) -> None:
        """Do nothing: a simulated runner ends with its registration."""

    async def drain(self) -> None:
        """Return at once."""

    async def stop(self) -> None:
        """Close the connections; the runners stay."""
        if self._watcher is not None:
            self._watcher.cancel()
        await self._transport.aclose()

    def _look_after(self, runner: RunnerRef) -> None:
        self._living[runner.name or ""] = runner
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while self._living:
            await asyncio.sleep(self._every)
            known = set(self._living)
            try:
                there = {each["name"] for each in await self._registered()}
            except LaunchError as error:
                logger.debug("the runners cannot be looked after: %s", error)
                continue
            for name in known - there:
                self._on_end(self._living.pop(name), 0)
        self._watcher = None

    async def _registered(self) -> Sequence[dict[str, Any]]:
        listed: list[dict[str, Any]] = json.loads((await self._ask("GET", "/runners")).body)
        return [each for each in listed if each["runnerScaleSetId"] == self._scale_set_id]

    async def _look_for_simulator(self) -> None:
        if self._found:
            return
        answer = await self._ask("GET", "/health")
        try:
            self._found = answer.status == 200 and json.loads(answer.body) == {"ready": True}
        except ValueError:  # not even JSON
            self._found = False
        if not self._found:
            raise LaunchError(f"there is no simulator at {self._url}: set autoscaler.launcher to `command`")

    async def _ask(self, method: str, path: str, body: bytes = b"") -> Response:
        try:
            head = Head(method, httpx.URL(self._url + path), [])
            return await self._transport.exchange(head, body, ANSWER_SECONDS)
        except (NotSent, MaybeSent) as error:
            raise LaunchError(f"the simulator does not answer: {error}") from error
