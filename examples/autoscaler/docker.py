"""Runners in containers, through the Docker API: they outlive the host; its next life finds them by their labels."""

import asyncio
import json
import logging
import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from autoscaler.launchers import JIT_CONFIG_VARIABLE, LaunchError, OnEnd
from scaleset_hookspecs import JitConfig, RunnerRef, UsageError

try:
    from aiodocker import Docker, DockerError
    from aiodocker.containers import DockerContainer
    from aiohttp import ClientError
except ImportError as missing:
    raise UsageError("the launcher `docker` needs aiodocker: pip install 'scaleset-burst[docker]'") from missing

__all__ = ["DockerLauncher"]

logger = logging.getLogger(__name__)

LABEL: Final = "scaleset-autoscaler."
"""What the labels of our containers begin with: `scale-set`, `runner-name`, `runner-id`."""

CALLS_AT_ONCE: Final = 8
CALL_SECONDS: Final = 60.0
"""Time the daemon has for one call; while many containers start, each of them starts slowly."""

SWEEP_SECONDS: Final = 1.0
"""From one look at the containers to the next."""

OVER: Final = frozenset({"created", "exited", "dead"})
"""States of a container that does not run; a host that dies while it launches one leaves it `created`."""

KILLED: Final = 137
"""The exit status of a container that was killed, by us or by somebody else."""


UNREACHABLE: Final = 900
"""What aiodocker gives for a status when there was no connection."""


class DockerLauncher:
    """Runs a container per runner, with the JIT config in its environment and nothing else of this host.

    Args:
        image: The image. It has to be there: a burst is no time to pull it.
        on_end: Hears when a container has ended.
        scale_set: Tells the containers of this scale set from all others on this daemon.
        command: What runs in it; the image's own command if empty.
        container: What else the Docker API is to be told when it creates one, such as its `HostConfig`.
    """

    outlives_host = True
    watches = True

    def __init__(
        self, image: str, on_end: OnEnd, *, scale_set: str, command: Sequence[str], container: Mapping[str, Any]
    ) -> None:
        self._url = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
        try:
            self._docker = Docker(self._url)
        except ValueError as error:
            raise UsageError(f"DOCKER_HOST is {self._url!r}; expected unix:///PATH or tcp://HOST:PORT") from error
        self._image = image
        self._on_end = on_end
        self._scale_set = scale_set
        self._body = {**container, "Image": image, **({"Cmd": [*command]} if command else {})}
        self._known: dict[str, tuple[RunnerRef, DockerContainer]] = {}
        self._in_hand: set[str] = set()  # being launched or ended; no business of the sweeps
        self._places = asyncio.Semaphore(CALLS_AT_ONCE)
        self._sweeper: asyncio.Task[None] | None = None

    async def living(self) -> Sequence[RunnerRef]:
        """Take over what an earlier host launched. What has ended since is among it, and reported soon."""
        for name, container in (await self._list()).items():
            self._known[name] = RunnerRef(name=name, id=int(container["Labels"][LABEL + "runner-id"])), container
        self._sweeper = asyncio.create_task(self._sweep_for_ever())
        return tuple(runner for runner, _ in self._known.values())

    async def launch(self, config: JitConfig) -> None:
        """Create and start a container."""
        name, own, container = config.runner_name, self._body, None
        labels = {"scale-set": self._scale_set, "runner-name": name, "runner-id": str(config.runner_id)}
        body = {
            **own,
            "Env": [*own.get("Env", ()), f"{JIT_CONFIG_VARIABLE}={config.encoded}"],
            "Labels": {**own.get("Labels", {}), **{LABEL + key: value for key, value in labels.items()}},
        }
        self._in_hand.add(name)
        try:
            async with self._call():
                container = await self._docker.containers.create(body, name=_container_name(name))
                await container.start()
            self._known[name] = RunnerRef(name=name, id=config.runner_id), container
        except BaseException:
            if container is not None:
                await self._remove(name, container)
            raise
        finally:
            self._in_hand.discard(name)

    async def end(self, runner: RunnerRef) -> None:
        """Kill and remove the container: without a registration the runner has no job, and never will."""
        name = runner.name or ""
        if name in self._known:
            self._in_hand.add(name)
            if await self._remove(name, self._known[name][1]):
                self._ended(name, KILLED)
            self._in_hand.discard(name)

    async def drain(self) -> None:
        """Return at once: the containers outlive the host."""

    async def stop(self) -> None:
        """Let go of the daemon; the containers stay."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait({self._sweeper})
        await self._docker.close()

    async def _sweep_for_ever(self) -> None:
        level = logging.WARNING
        while True:
            try:
                await self._sweep()
                level = logging.WARNING
            except LaunchError as error:  # until it succeeds again, all that is not known to be over counts as living
                logger.log(level, "the containers cannot be looked after: %s", error)
                level = logging.DEBUG
            await asyncio.sleep(SWEEP_SECONDS)

    async def _sweep(self) -> None:
        """Report and remove containers that are over; report those that somebody else removed."""
        known = self._known.keys() - self._in_hand
        found = await self._list()
        for name in known - found.keys():
            self._ended(name, KILLED)
        over = [name for name, each in found.items() if each["State"] in OVER and name not in self._in_hand]
        await asyncio.gather(*(self._bury(name, found[name]) for name in over))

    async def _bury(self, name: str, container: DockerContainer) -> None:
        async with self._call():
            state = (await container.show())["State"]
            if state["Status"] in OVER:  # it may have been started since it was listed
                self._ended(name, int(state["ExitCode"]))
                await container.delete(v=True)  # without force, so that nothing that runs is removed

    def _ended(self, name: str, status: int) -> None:
        if name in self._known:
            self._on_end(self._known.pop(name)[0], status)

    async def _remove(self, name: str, container: DockerContainer) -> bool:
        try:
            async with self._call():
                await container.delete(force=True, v=True)
        except LaunchError as error:  # it ends by itself, for want of a registration, and is swept up then
            logger.warning("the container of runner %s stays for now: %s", name, error)
            return False
        return True

    async def _list(self) -> dict[str, DockerContainer]:
        """Return our containers by the names of their runners."""
        labels = [f"{LABEL}scale-set={self._scale_set}", LABEL + "runner-name", LABEL + "runner-id"]
        async with self._call():
            found = await self._docker.containers.list(all=True, filters=json.dumps({"label": labels}))
        return {each["Labels"][LABEL + "runner-name"]: each for each in found}

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[None]:
        """Wait for a place, bound the time, and say of a failure what is to be done about it."""
        try:
            async with self._places, asyncio.timeout(CALL_SECONDS):
                yield
        except TimeoutError as error:
            raise LaunchError(f"the Docker daemon at {self._url} did not answer within {CALL_SECONDS:g} s") from error
        except (DockerError, ClientError) as error:
            raise LaunchError(self._advice(error)) from error

    def _advice(self, error: Exception) -> str:
        status, text = (error.status, error.message) if isinstance(error, DockerError) else (UNREACHABLE, str(error))
        if "Permission denied" in text:
            return f"the Docker daemon at {self._url} refuses this user: add it to the group that owns the socket"
        if "No such image" in text:
            return f"there is no image {self._image} on this machine: run `docker pull {self._image}`"
        if status == UNREACHABLE:
            return f"no Docker daemon answers at {self._url}: start it, or say in DOCKER_HOST where it is ({text})"
        return f"the Docker daemon refuses: {text}"


def _container_name(runner_name: str) -> str:
    return "runner-" + re.sub(r"[^a-zA-Z0-9_.-]", "-", runner_name)
