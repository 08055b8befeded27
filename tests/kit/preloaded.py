"""A Python that has loaded our programs, and starts each by forking itself; see `programs`."""

import gc
import importlib
import json
import os
import runpy
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LONGEST", "Order"]

LONGEST = 100_000
"""Bytes of an order."""

PROGRAMS = (
    "autoscaler.main", "autoscaler.watching", "encodings.idna", "encodings.utf_8_sig", "jsonschema", "markdown_it",
    "pydantic.type_adapter", "rich.progress", "scaleset_burst.cli.app", "scaleset_burst.cli.bench_cache",
    "scaleset_burst.cli.check", "scaleset_burst.cli.doctor", "scaleset_burst.cli.mint",
    "scaleset_burst.cli.report.command", "scaleset_burst.cli.rules", "scaleset_burst.cli.runners",
    "scaleset_burst.cli.simulate", "scaleset_burst.hooks", "scaleset_hookspecs.host", "scaleset_simulator.serving",
    "uvicorn.lifespan.off", "uvicorn.protocols.http.httptools_impl", "uvloop",
)  # fmt: skip
"""What our programs load, and what they load later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to start; its standard streams come with it as file descriptors.

    Attributes:
        module: What to run, as after `python -m`; or "".
        path: Else a file or a folder to run, as after `python`.
        arguments: What `sys.argv` is to be.
        folder: The working folder.
        environment: All of it.
        session: Whether it is to lead a session of its own.
    """

    module: str
    path: str
    arguments: list[str]
    folder: str
    environment: dict[str, str]
    session: bool


def _preload(examples: str) -> None:
    sys.path.insert(0, examples)
    for name in PROGRAMS:
        importlib.import_module(name)
    del sys.path[0]
    gc.collect()
    gc.freeze()


def _take(channel: socket.socket) -> Order | None:
    """Fork for each order, and return it in the child; return nothing once nobody orders any more.

    The child is a grandchild whose parent has ended: so the one who ordered, who adopts such children, can
    wait for it like for any program it started.
    """
    while True:
        message, streams, _, _ = socket.recv_fds(channel, LONGEST, 3)
        if not message:
            return None
        if (between := os.fork()) == 0:
            between = os.getpid()
            if os.fork():
                os._exit(0)
            while os.getppid() == between:
                time.sleep(0.0005)
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            channel.send(str(os.getpid()).encode())
            channel.close()
            return Order(**json.loads(message))
        os.waitpid(between, 0)
        for stream in streams:
            os.close(stream)


def _become(order: Order) -> None:
    """Make this process what a Python is that was started by this order."""
    if order.session:
        os.setsid()
    os.chdir(order.folder)
    os.environ.clear()
    os.environ.update(order.environment)
    sys.argv[:] = order.arguments
    sys.path[0] = order.folder if order.module else str(Path(order.path).parent)
    unbuffered = bool(order.environment.get("PYTHONUNBUFFERED"))
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", 1 if os.isatty(1) else -1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stdout.reconfigure(write_through=unbuffered)


def main() -> None:
    """Load, say so, and take orders on the given socket."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    _preload(sys.argv[2])
    channel.send(b"ready")
    order = _take(channel)
    if order is None:
        return
    _become(order)
    if order.module:
        runpy.run_module(order.module, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(order.path, run_name="__main__")


if __name__ == "__main__":
    main()
