"""A real Docker daemon of our own, on a socket of its own, that leaves nothing behind; no image is pulled for it."""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

__all__ = ["DockerDaemon", "missing"]

PACKAGES = {"dockerd": "docker.io", "busybox": "busybox-static"}
"""Programs, and the Debian packages that have them."""

START_SECONDS = 60.0
APPLETS = ("sh", "wget", "sleep", "grep", "cut", "cat")


def missing() -> str | None:
    """Return why no daemon can be started here, or `None`."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a Docker daemon needs Linux and root"
    absent = [program for program in PACKAGES if shutil.which(program) is None]
    return f"not installed: {', '.join(absent)}" if absent else None


class DockerDaemon:
    """Starts `dockerd` without a network of its own; containers use the host's.

    Attributes:
        url: Where it listens, as `DOCKER_HOST` has it.
        failure: Why it did not start, if it did not.
    """

    def __init__(self) -> None:
        """Choose the place; nothing starts before the context is entered."""
        self._folder = Path(tempfile.mkdtemp(prefix="dockerd-"))  # short: the path of a socket may have 107 bytes
        self._socket = self._folder / "docker.sock"
        self.url = f"unix://{self._socket}"
        self.failure: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._api = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(self._socket)), base_url="http://docker", timeout=60
        )

    def __enter__(self) -> Self:
        self._folder.chmod(0o755)
        command = ["dockerd", "--storage-driver=vfs", "--iptables=false", "--bridge=none", "--host", self.url]
        for option in ("data-root", "exec-root", "pidfile"):
            command += [f"--{option}", str(self._folder / option)]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + START_SECONDS
        while not self._socket.is_socket():  # made when it listens, which is when it is ready
            if self._process.poll() is not None or time.monotonic() > until:
                said = (self._folder / "log").read_text(errors="replace").splitlines()
                self.failure = f"dockerd does not start here: {said[-1] if said else 'it says nothing'}"
                break
            time.sleep(0.1)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._api.close()
        if self._process is not None:
            self._process.terminate()  # it ends its containers, and its containerd
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def busybox(self, name: str) -> None:
        """Make an image of one static program: a shell, and a client of HTTP."""
        program = shutil.which("busybox")
        assert program is not None
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.add(program, "bin/busybox")
            tar.addfile(_entry("tmp", tarfile.DIRTYPE, 0o1777))
            for applet in APPLETS:
                tar.addfile(_entry(f"bin/{applet}", tarfile.SYMTYPE, 0o777, "busybox"))
        self.call("POST", "/images/create", params={"fromSrc": "-", "repo": name}, content=archive.getvalue())

    def containers(self, **filters: list[str]) -> list[dict[str, Any]]:
        """Return the containers there are, those that have ended too."""
        found: list[dict[str, Any]] = self.call(
            "GET", "/containers/json", params={"all": "1", "filters": json.dumps(filters)}
        ).json()
        return found

    def call(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes | None = None
    ) -> httpx.Response:
        """Call its API.

        Raises:
            httpx.HTTPStatusError: It refused.
        """
        return self._api.request(method, path, params=params, content=content).raise_for_status()


def _entry(name: str, kind: bytes, mode: int, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname = kind, mode, target
    return entry


def install(programs: Iterable[str]) -> None:
    """Install what is missing, where there is `apt-get`; what fails is seen by who looks for the programs."""
    packages = [PACKAGES[program] for program in programs if shutil.which(program) is None]
    if not packages or shutil.which("apt-get") is None or os.geteuid() != 0:
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        subprocess.run(
            ["apt-get", "--quiet=2", *command], env=environment, timeout=600, check=False, stdout=subprocess.DEVNULL
        )


def main() -> int:
    """Say whether a daemon can be started; install it if there is none. A machine without is no failure: tests skip."""
    install(PACKAGES)
    print(f"docker: {missing() or 'a daemon of our own'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
