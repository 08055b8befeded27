"""A real Docker daemon of our own, on a socket of its own, that leaves nothing behind; no image is pulled for it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

__all__ = ["DockerDaemon", "missing"]

PACKAGES = {"dockerd": "docker.io", "busybox": "busybox-static", "systemd-analyze": "systemd"}
"""Programs, and the Debian packages that have them."""

START_SECONDS = 60.0


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
            transport=httpx.HTTPTransport(uds=str(self._socket)), base_url="http://docker", timeout=180
        )

    def __enter__(self) -> Self:
        self._folder.chmod(0o755)
        command = ["dockerd", "--iptables=false", "--bridge=none", "--host", self.url]
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
        if self.failure is None:
            for each in self.containers():
                self.call("DELETE", f"/containers/{each['Id']}", params={"force": "1", "v": "1"})
        self._api.close()
        if self._process is not None:
            self._process.terminate()  # it ends its containerd
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        left = self._folder / "exec-root" / "netns" / "default"  # a mount that dockerd forgets
        subprocess.run(["umount", str(left)], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self._folder)

    def load(self, name: str, archive: bytes) -> None:
        """Make an image of a tar."""
        self.call("POST", "/images/create", params={"fromSrc": "-", "repo": name}, content=archive)

    def build(self, name: str, context: bytes, dockerfile: str, arguments: Mapping[str, str]) -> None:
        """Build an image of a Dockerfile in a tar."""
        chosen = {"t": name, "dockerfile": dockerfile, "networkmode": "host", "buildargs": json.dumps(arguments)}
        said = self.call("POST", "/build", params=chosen, content=context).text
        assert f"Successfully tagged {name}" in said, said

    def containers(self, **filters: list[str]) -> list[dict[str, Any]]:
        """Return the containers there are, those that have ended too."""
        found: list[dict[str, Any]] = self.call(
            "GET", "/containers/json", params={"all": "1", "filters": json.dumps(filters)}
        ).json()
        return found

    def run(self, name: str, image: str, **body: object) -> None:
        """Create a container on the host's network, and start it."""
        self.call("POST", "/containers/create", params={"name": name}, content=json.dumps({"Image": image, **body}))
        self.call("POST", f"/containers/{name}/start")

    def execute(self, name: str, *command: str) -> str:
        """Run a command in a container, and return what it printed."""
        told = {"AttachStdout": True, "AttachStderr": True, "Tty": True, "Cmd": command}
        number = self.call("POST", f"/containers/{name}/exec", content=json.dumps(told)).json()["Id"]
        return self.call("POST", f"/exec/{number}/start", content=json.dumps({"Tty": True})).text

    def call(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes | str = b""
    ) -> httpx.Response:
        """Call its API.

        Raises:
            httpx.HTTPStatusError: It refused.
        """
        kind = "application/x-tar" if isinstance(content, bytes) else "application/json"
        answer = self._api.request(method, path, params=params, content=content, headers={"content-type": kind})
        return answer.raise_for_status()


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
