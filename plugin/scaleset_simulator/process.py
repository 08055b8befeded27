"""A simulator in a process of its own, for tests, demos and benchmarks. Standard library only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

__all__ = ["SimulatorError", "SimulatorProcess"]


class SimulatorError(RuntimeError):
    """The simulator did not start, or refused a control."""


class SimulatorProcess:
    """Starts `scaleset-burst simulate` on a free port and ends it; options are the command line's.

    Attributes:
        url: Where it listens.
        config_url: A config URL it serves.
        token: The access token it accepts.
        pid: Its process id.
    """

    def __init__(self, *arguments: str, **options: object) -> None:
        """Choose the options; nothing starts before the context is entered.

        Args:
            arguments: As on the command line.
            options: The same with names: `latency="50ms"`, `scale_set=["a", "b"]`.
        """
        self._arguments = [*arguments, *_flags(options)]
        self._process: subprocess.Popen[str] | None = None
        # A file, not a pipe: nobody reads it while the simulator runs, and a full pipe would stop it.
        self._complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed on exit
        self.url = self.config_url = self.token = ""
        self.pid = 0

    def __enter__(self) -> Self:
        given = any(each == "--port" or each.startswith("--port=") for each in self._arguments)
        port = [] if given else ["--port", "0"]
        command = [sys.executable, "-m", "scaleset_simulator", *port, "--parent", str(os.getpid())]
        self._process = subprocess.Popen(  # noqa: S603  # our own program
            [*command, *self._arguments], stdout=subprocess.PIPE, stderr=self._complaints, text=True
        )
        assert self._process.stdout is not None  # noqa: S101  # piped above
        line = self._process.stdout.readline()
        if not line:
            self._process.wait(10)
            self._complaints.seek(0)
            text = self._complaints.read().strip()
            self.__exit__(None, None, None)
            raise SimulatorError(f"the simulator did not start: {text or 'it said nothing'}")
        about = json.loads(line)
        self.url, self.config_url, self.token = about["url"], about["config_url"], about["token"]
        self.pid = int(about["pid"])
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        process = self._process
        if process is None:
            return
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
        self._complaints.close()

    def counters(self) -> dict[str, Any]:
        """Return what it has counted."""
        value: dict[str, Any] = self.control("GET", "counters")
        return value

    def reset_counters(self) -> None:
        """Begin counting anew."""
        self.control("POST", "counters/reset", {})

    def runners(self) -> list[dict[str, Any]]:
        """Return the registered runners."""
        value: list[dict[str, Any]] = self.control("GET", "runners")
        return value

    def add_jobs(self, scale_set: str, count: int) -> list[str]:
        """Queue jobs; return their ids."""
        value: list[str] = self.control("POST", "jobs", {"scale_set": scale_set, "count": count})["jobs"]
        return value

    def configure(self, **settings: object) -> None:
        """Change settings while it runs."""
        self.control("POST", "settings", settings)

    def faults(self, faults: Sequence[str]) -> None:
        """Replace the faults in force."""
        self.control("POST", "faults", list(faults))

    def recreate(self, scale_set: str) -> int:
        """Delete a scale set and create it again under the same name; return its new id."""
        return int(self.control("POST", "scale-sets/recreate", {"scale_set": scale_set})["id"])

    def drop_runners(self) -> int:
        """Drop every registration, as an incident does; return how many there were."""
        return int(self.control("POST", "runners/drop", {})["dropped"])

    def expire_tokens(self) -> None:
        """Make every admin and queue token invalid at once."""
        self.control("POST", "tokens/expire", {})

    def control(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401  # JSON
        """Send one control request; the path is one of the page on the simulator, with or without `/_sim/`.

        Raises:
            SimulatorError: It was refused.
        """
        import urllib.error  # noqa: PLC0415  # the simulator itself, which loads its package, needs no client
        import urllib.request  # noqa: PLC0415

        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_sim/{path.removeprefix('/_sim/')}", data=data, method=method)  # noqa: S310  # loopback
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise SimulatorError(f"{method} {path}: {error.read().decode(errors='replace')}") from error


def _flags(options: dict[str, object]) -> list[str]:
    flags: list[str] = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            flags.append(flag)
        elif isinstance(value, list | tuple):
            for each in value:
                flags += [flag, str(each)]
        elif value is not None and value is not False:
            flags += [flag, str(value)]
    return flags
