"""Who takes minted configs from the command line: the reader of standard output, or a program started for each."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import stat
import sys
import termios
from array import array
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

from scaleset_hookspecs import JitConfig

__all__ = ["Commands", "Lines", "NotTaken", "Taker", "secret_variables"]

PIPE_BYTES: Final = 4096
"""Bytes that a pipe holds while configs go through it; the system may make it a page of its own."""

JIT_CONFIG_VARIABLE: Final = "ACTIONS_RUNNER_INPUT_JITCONFIG"
"""Where the runner itself looks for its JIT config."""


class NotTaken(Exception):
    """The command failed: the registration of its config is to be undone."""


class Taker(Protocol):
    """Where a config goes."""

    async def take(self, config: JitConfig) -> None:
        """Return once somebody has the config.

        Raises:
            NotTaken: Nobody has this one.
            OSError: Nobody has, nor will anybody take another one.
        """

    def close(self) -> None:
        """Take no more: who waits for a turn is refused."""


class Lines:
    """Writes each config as a line of JSON; it is taken when the reader has read it.

    A pipe is made so small that it holds no second line: what a reader that has gone did not read was not taken. To
    anything but a pipe the line is written, and that is all that can be known.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._turn = asyncio.Lock()
        self._closed = False
        self._emptied: asyncio.Future[bool] | None = None
        self._size = self._had = 0
        if stat.S_ISFIFO(os.fstat(file).st_mode) and sys.platform == "linux":
            with suppress(OSError):  # it is full of something else
                self._had = fcntl.fcntl(file, fcntl.F_GETPIPE_SZ)
                self._size = fcntl.fcntl(file, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    async def take(self, config: JitConfig) -> None:
        """Write one line, in turn."""
        line = json.dumps(plain(config)).encode() + b"\n"
        async with self._turn:
            if self._closed:
                raise BrokenPipeError("nothing more is written")
            try:
                await (self._through_pipe(line) if self._size else asyncio.to_thread(self._write, line))
            except OSError:
                self.close()
                raise

    def close(self) -> None:
        """Write no more; give the pipe its size back."""
        self._closed = True
        if self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(False)
        if self._size:
            with suppress(OSError):
                fcntl.fcntl(self._file, fcntl.F_SETPIPE_SZ, self._had)

    def _write(self, line: bytes) -> None:
        while line:
            line = line[os.write(self._file, line) :]

    async def _through_pipe(self, line: bytes) -> None:
        for start in range(0, len(line), self._size):
            if not await self._is_empty():
                raise BrokenPipeError("told to end with half a line written")
            os.write(self._file, line[start : start + self._size])
        await self._is_empty()  # told to end, we leave a whole line to whoever reads later

    async def _is_empty(self) -> bool:
        """Wait until the pipe is empty, or closed by us: with room for one page it can only be written to when it is.

        Raises:
            BrokenPipeError: The reader has gone and left something.
        """
        if self._closed:
            return False
        loop, self._emptied = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
        loop.add_writer(self._file, _set, self._emptied)
        try:
            empty = await self._emptied
        finally:
            loop.remove_writer(self._file)
        unread = array("i", [0])
        fcntl.ioctl(self._file, termios.FIONREAD, unread)
        if empty and unread[0]:
            raise BrokenPipeError("the reader has gone")
        return empty


def _set(emptied: asyncio.Future[bool]) -> None:
    if not emptied.done():
        emptied.set_result(True)


class Commands:
    """Starts a command for each config, so many at once; it is taken when the command ends with status 0."""

    def __init__(self, command: str, at_once: int, hidden: Iterable[str]) -> None:
        self._command = command
        self._places = asyncio.Semaphore(at_once)
        secret = frozenset(hidden)
        self._environment = {name: value for name, value in os.environ.items() if name not in secret}
        self._closed = False

    async def take(self, config: JitConfig) -> None:
        """Run the command in a shell, with the config in its environment."""
        async with self._places:
            if self._closed:
                raise BrokenPipeError("no command is started any more")
            about = {
                JIT_CONFIG_VARIABLE: config.encoded,
                "SCALESET_RUNNER_NAME": config.runner_name,
                "SCALESET_RUNNER_ID": str(config.runner_id),
                "SCALESET_NAME": config.scale_set.name,
            }
            process = await asyncio.create_subprocess_shell(
                self._command, env={**self._environment, **about}, stdin=asyncio.subprocess.DEVNULL
            )
            status = await process.wait()
        if status:
            raise NotTaken(f"the command ended with status {status}")

    def close(self) -> None:
        """Start no more; what runs has its config and goes on."""
        self._closed = True


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
