"""Who takes minted configs from the command line: the reader of standard output, or a program started for each."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import select
import stat
import sys
import termios
from array import array
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

from scaleset_hookspecs import JitConfig

__all__ = ["Commands", "Lines", "NotTaken", "Taker", "secret_variables"]

PART_READ: Final = 0.001
"""Seconds until we look again whether a line that was read in part is read whole."""

JIT_CONFIG_VARIABLE: Final = "ACTIONS_RUNNER_INPUT_JITCONFIG"
"""Where the runner itself looks for its JIT config."""


class NotTaken(Exception):
    """The command failed: the registration of its config is to be undone."""


class Taker(Protocol):
    """Where configs go, so many at once."""

    @property
    def at_once(self) -> int:
        """How many it takes at the same time."""

    async def take(self, config: JitConfig) -> None:
        """Return once somebody has the config.

        Raises:
            NotTaken: Nobody has this one.
            OSError: Nobody has, nor will anybody take another one.
        """

    def close(self) -> None:
        """Take no more; what is half taken is not."""


class Lines:
    """Writes each config as a line of JSON, one after the other; it is taken when the reader has read it.

    A pipe is made to hold one line: what a reader that has gone did not read was not taken. To anything but a pipe the
    line is written, and that is all that can be known.
    """

    at_once = 1

    def __init__(self, file: int) -> None:
        self._file = file
        self._pipe = stat.S_ISFIFO(os.fstat(file).st_mode) and sys.platform == "linux"
        self._held = fcntl.fcntl(file, fcntl.F_GETPIPE_SZ) if self._pipe else 0
        self._ready: asyncio.Future[bool] | None = None
        self._closed = False

    async def take(self, config: JitConfig) -> None:
        """Write one line, and wait until it is read; one that is written whole is left to whoever reads later."""
        line = json.dumps(plain(config)).encode() + b"\n"
        if not self._pipe:
            await asyncio.to_thread(self._write, line)
            return
        with suppress(OSError):  # a pipe of less than a page is none
            fcntl.fcntl(self._file, fcntl.F_SETPIPE_SZ, len(line))
        for start in range(0, len(line), room := fcntl.fcntl(self._file, fcntl.F_GETPIPE_SZ)):
            if not await self._emptied():
                raise BrokenPipeError("told to end")
            os.write(self._file, line[start : start + room])
        await self._emptied()

    def close(self) -> None:
        """Write no more; give the pipe its size back."""
        self._closed = True
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(False)
        if self._pipe:
            with suppress(OSError):
                fcntl.fcntl(self._file, fcntl.F_SETPIPE_SZ, self._held)

    def _write(self, line: bytes) -> None:
        while line:
            line = line[os.write(self._file, line) :]

    async def _emptied(self) -> bool:
        """Wait until the pipe is empty, or until we are told to end: then return `False`.

        Raises:
            BrokenPipeError: The reader has gone and left something.
        """
        while not self._closed:
            gone = await self._writable()
            unread = array("i", [0])
            fcntl.ioctl(self._file, termios.FIONREAD, unread)
            if not unread[0]:
                return True
            if gone:
                raise BrokenPipeError("the reader has gone")
            await asyncio.sleep(PART_READ)
        return False

    async def _writable(self) -> bool:
        """Wait until something was read, if nothing more can be written, or nobody reads: then return `True`."""
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        loop.add_writer(self._file, _set, self._ready)
        try:
            await self._ready
        finally:
            loop.remove_writer(self._file)
        poll = select.poll()
        poll.register(self._file, select.POLLOUT)
        return any(event & select.POLLERR for _, event in poll.poll(0))


def _set(ready: asyncio.Future[bool]) -> None:
    if not ready.done():
        ready.set_result(True)


class Commands:
    """Starts a command for each config, so many at once; it is taken when the command ends with status 0."""

    def __init__(self, command: str, at_once: int, hidden: Iterable[str]) -> None:
        self.at_once = at_once
        self._command = command
        secret = frozenset(hidden)
        self._environment = {name: value for name, value in os.environ.items() if name not in secret}

    async def take(self, config: JitConfig) -> None:
        """Run the command in a shell, with the config in its environment."""
        about = {
            JIT_CONFIG_VARIABLE: config.encoded,
            "SCALESET_RUNNER_NAME": config.runner_name,
            "SCALESET_RUNNER_ID": str(config.runner_id),
            "SCALESET_NAME": config.scale_set.name,
        }
        process = await asyncio.create_subprocess_shell(
            self._command, env={**self._environment, **about}, stdin=asyncio.subprocess.DEVNULL
        )
        if status := await process.wait():
            raise NotTaken(f"the command ended with status {status}")

    def close(self) -> None:
        """Do nothing: what runs has its config, and goes on."""


def plain(config: JitConfig) -> dict[str, Any]:
    """Return a config as plain values: the line that whoever launches it reads."""
    return {
        "runner_id": config.runner_id,
        "runner_name": config.runner_name,
        "scale_set": config.scale_set.name,
        "scale_set_id": config.scale_set.id,
        "runner_group": config.scale_set.runner_group,
        "minted_at": config.minted_at,
        "jit_config": config.encoded,
    }


def secret_variables(config: object) -> Iterable[str]:
    """Return the environment variables that a configuration takes secrets from: a job could read them."""
    if isinstance(config, Mapping):
        named = config.get("$env")
        if isinstance(named, str):
            yield named
        config = list(config.values())
    if isinstance(config, list):
        for each in config:
            yield from secret_variables(each)
