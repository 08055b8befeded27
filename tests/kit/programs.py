"""Starts our programs as processes of their own, forked from a Python that has loaded them already.

A test starts a program in the usual way, by `subprocess`. To load it takes up to ten times as long as what a test
makes it do, and the tests start some 350. So a Python that has loaded them, `preloaded`, forks itself for each. Such a
process is like any other: its pid, signals, streams, folder, environment, parent and end are its own.

What asks for more than a plain start is started as ever; with PROGRAMS=fresh that is everything, as in `make test-all`.
"""

import ctypes
import inspect
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.kit import preloaded
from tests.kit.preloaded import LONGEST, Order

__all__ = ["preloaded_programs"]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MODULES = ("scaleset_simulator", "scaleset_burst")
PR_SET_CHILD_SUBREAPER = 36
HEEDED = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
PLAIN: dict[str, tuple[object, ...]] = {
    "executable": (None,), "preexec_fn": (None,), "pass_fds": ((),), "shell": (False,), "restore_signals": (True,),
    "gid": (None, -1), "gids": (None,), "uid": (None, -1), "umask": (-1,), "process_group": (None, -1),
}  # fmt: skip
"""What `subprocess` is given for a plain start."""


class _Preloaded:
    """The Python that forks, started when it is first needed."""

    def __init__(self) -> None:
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()  # an answer is that of the order before it

    def start(self, order: Order, streams: Sequence[int]) -> int | None:
        """Start a program; return its pid, or nothing if the order is too long."""
        message = json.dumps(asdict(order)).encode()
        if len(message) > LONGEST:
            return None
        with self._lock:
            channel = self._channel or self._open()
            prctl = ctypes.CDLL(None).prctl
            prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # the program becomes our child as its parent, a go-between, ends
            try:
                socket.send_fds(channel, [message], streams)
                return int(channel.recv(20))
            finally:
                prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)  # what programs leave behind goes where it always goes

    def _open(self) -> socket.socket:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.settimeout(60)
        command = [sys.executable, preloaded.__file__, str(theirs.fileno()), str(EXAMPLES)]
        with theirs:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        assert self._channel.recv(20) == b"ready"
        return self._channel

    def close(self) -> None:
        """End it."""
        if self._channel is not None and self._process is not None:
            self._channel.close()
            self._process.wait(60)


def _named(command: Sequence[str]) -> tuple[str, str, list[str]] | None:
    """Return the module or the path that a command runs, and what it takes for `sys.argv`, if it is one of ours."""
    match command:
        case [path, *rest] if path == str(Path(sys.executable).with_name("scaleset-burst")):
            return "", path, [path, *rest]
        case [sys.executable, "-m", module, *rest] if module in MODULES:
            return module, "", [module, *rest]
        case [sys.executable, path, *rest] if Path(path).parent == EXAMPLES:
            return "", path, [path, *rest]
    return None


def _python(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what tells Python how to run, but for what is heeded here or makes no difference."""
    return {name: value for name, value in environment.items() if name.startswith("PYTHON") and name not in HEEDED}


def _order(asked: Mapping[str, Any]) -> Order | None:
    """Return the order for what `subprocess` was asked for, if it is a plain start of one of ours."""
    environment = dict(os.environ if asked["env"] is None else asked["env"])
    named = None if isinstance(asked["args"], str | bytes) else _named([os.fsdecode(each) for each in asked["args"]])
    plain = all(asked[name] in allowed for name, allowed in PLAIN.items())
    if named is None or not plain or _python(environment) != PYTHON:
        return None
    module, path, arguments = named
    folder, session = str(Path(asked["cwd"] or ".").absolute()), asked["start_new_session"]
    return Order(module=module, path=path, arguments=arguments, folder=folder, environment=environment, session=session)


PYTHON = _python(os.environ)
SERVER = _Preloaded()


class _Program(subprocess.Popen[Any]):
    """A process that is forked where it is a plain start of one of ours."""

    def _execute_child(self, *given: Any) -> None:  # noqa: ANN401  # as many as this Python has
        fresh = super()._execute_child  # type: ignore[misc]
        asked = inspect.signature(fresh).bind(*given).arguments
        order = _order(asked)
        pipes = enumerate((asked["p2cread"], asked["c2pwrite"], asked["errwrite"]))
        streams = [number if pipe == -1 else pipe for number, pipe in pipes]
        pid = None if order is None else SERVER.start(order, streams)
        if pid is None:
            fresh(*given)
        else:
            self.pid, self._child_created = pid, True
            self._close_pipe_fds(*(asked[name] for name in PIPES))  # type: ignore[attr-defined]


@contextmanager
def preloaded_programs() -> Iterator[None]:
    """Let `subprocess` start our programs so until the block ends."""
    if os.environ.get("PROGRAMS") == "fresh" or not sys.platform.startswith("linux"):
        yield
        return
    fresh, subprocess.Popen = subprocess.Popen, _Program  # type: ignore[misc]
    try:
        yield
    finally:
        subprocess.Popen = fresh  # type: ignore[misc]
        SERVER.close()
