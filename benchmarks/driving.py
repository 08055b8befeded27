"""The processes of a run: the stand-in for the service, and one peer at a time beside it."""

import contextlib
import json
import os
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from benchmarks.building import CACHE, ROOT, Peer

__all__ = ["PeerFailed", "Program", "Server"]


class Service(Protocol):
    """Whatever plays the service."""

    url: str


class PeerFailed(Exception):
    """A peer's program ended before it answered; the text is its last line."""


class Process:
    """A child that is spoken to over its standard input and output."""

    def __init__(self, command: tuple[str, ...]) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        paths = [str(ROOT), str(ROOT / "plugin"), str(ROOT / "hookspecs")]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
        self._complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed in `close`
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
            env=environment,
            cwd=ROOT,
        )

    def read(self) -> dict[str, Any]:
        """Return the next answer."""
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            self._complaints.seek(0)
            said = self._complaints.read().strip().splitlines()
            raise PeerFailed(said[-1] if said else "it said nothing")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def write(self, order: dict[str, Any]) -> None:
        """Give an order."""
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(order) + "\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            self.read()

    def close(self) -> None:
        """Let it end, and end it if it does not."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.close()
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child.stdout.close()
        self._complaints.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


class Server(Process):
    """The stand-in for the service."""

    def __init__(self, certificate: Path | None = None, ca_file: Path | None = None) -> None:
        more = ("--certificate", str(certificate)) if certificate else ()
        super().__init__((sys.executable, str(ROOT / "benchmarks" / "server.py"), *more))
        self.url: str = self.read()["url"]
        self._context = ssl.create_default_context(cafile=ca_file) if ca_file else None

    def control(self, path: str) -> dict[str, Any]:
        """Send a control; return what it has counted."""
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._context)
        )
        with opener.open(f"{self.url}/_bench/{path}", timeout=30) as answer:
            facts: dict[str, Any] = json.load(answer)
        return facts

    def set_latency(self, milliseconds: float) -> None:
        """Answer that much later from now on."""
        self.control(f"latency/{milliseconds}")


class Program(Process):
    """A peer's program."""

    def __init__(self, peer: Peer) -> None:
        super().__init__(peer.command)
        self.peer = peer
        CACHE.mkdir(parents=True, exist_ok=True)
        self._journal = tempfile.TemporaryDirectory(dir=CACHE, prefix="journal-")

    def order(self, do: str, **more: object) -> dict[str, Any]:
        """Give an order; return what was measured."""
        self.write({"do": do, **more})
        return self.read()

    def connect(self, server: Service, *, concurrency: int, ca_file: Path | None, **more: object) -> dict[str, Any]:
        """Let it open its client and resolve the scale set."""
        return self.order(
            "connect",
            config_url=f"{server.url}/acme",
            token="bench",  # the stand-in takes any
            scale_set="bench-a",
            concurrency=concurrency,
            ca_file=str(ca_file) if ca_file else None,
            one=self.peer.one,
            journal=self._journal.name,
            **{"warm": concurrency, "queues": 1, "slice": "never", **more},
        )

    def close(self) -> None:
        """Let it end; forget its journal."""
        super().close()
        self._journal.cleanup()
