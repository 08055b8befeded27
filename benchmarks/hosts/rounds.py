"""Runs nested-runner's own loop against a simulator, in its own venv: rounds with its code and with the hooks.

What is no part of the scale set service stands still: the tools and repositories that its start asks for, the list of
its workflow runs, the encryption. A dispatch hands the JIT config to the simulator, which starts the runner.
"""

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from nested_runner import controller

from benchmarks.hosts.adapter import adopt
from scaleset_hookspecs.host import SyncHost, create_manager

WAIT_SECONDS = 60.0


class Lab:
    """One simulator, and which runners were started in it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.started: list[int] = []
        self._of_thread = threading.local()

    def control(self, path: str, body: bytes) -> Any:
        """Send one control over the thread's own connection: a launch is to cost both ways next to nothing."""
        if not hasattr(self._of_thread, "connection"):
            self._of_thread.connection = HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        self._of_thread.connection.request("POST", f"/_sim/{path}", body)
        answer = self._of_thread.connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise OSError(said)
        return json.loads(said)

    def dispatch(self, home: str, target: str, jit: str, branch: str) -> bool:
        """Start a runner, instead of a workflow that starts one."""
        del home, target, branch
        self.started.append(self.control("connect", jit.encode())["id"])
        return True


def main() -> None:
    """Print a line of JSON for each round."""
    about = json.loads(sys.argv[1])
    runners, lab = about["runners"], Lab(about["url"])
    os.environ |= {
        "GH_TOKEN": about["token"],
        "GH_REPO": "acme/home",
        "GITHUB_API_URL": f"{lab.url}/api/v3",
        "GITHUB_SERVER_URL": lab.url,
        "NESTED_MAX": str(runners),
        "NO_PROXY": "127.0.0.1",
    }
    still: dict[str, Any] = {
        "preflight": lambda *_: None,
        "default_branch": lambda *_: "main",
        "list_runs": lambda *_: [],
        "list_runners": lambda *_: [],
        "encrypt": lambda text: text,
        "dispatch": lab.dispatch,
    }
    for name, instead in still.items():
        setattr(controller, name, instead)
    own = controller._dispatch_many
    for number in range(about["rounds"]):
        for way in ("own", "hooks"):
            controller._dispatch_many = own
            with ExitStack() as stack:
                if way == "hooks":
                    adopt(stack.enter_context(_host(about, stack.enter_context(tempfile.TemporaryDirectory()))))
                seconds = _round(lab, runners)
            distinct = len(set(lab.started))
            print(json.dumps({"round": number, "way": way, "seconds": seconds, "started": distinct}), flush=True)
            lab.started.clear()


def _host(about: dict[str, Any], folder: str) -> SyncHost:
    os.environ["NESTED_BURST_TOKEN"] = about["token"]
    github = {"config_url": f"{about['url']}/acme/app", "token": {"$env": "NESTED_BURST_TOKEN"}}
    return SyncHost(create_manager({"plugins": {"burst": {"github": github, "journal": {"directory": folder}}}}))


def _round(lab: Lab, runners: int) -> float:
    """Return the seconds from the decision that all runners are needed to the last of them started."""
    took: list[float] = []
    dispatch_many: Callable[..., int] = controller._dispatch_many

    def timed(ctx: controller.Ctx, count: int) -> int:
        began = time.monotonic()
        sent = dispatch_many(ctx, count)
        took.append(time.monotonic() - began)
        return sent

    controller._dispatch_many = timed
    stop = threading.Event()
    loop = threading.Thread(target=controller.run, args=("acme/app", stop))
    loop.start()
    until = time.monotonic() + WAIT_SECONDS
    while not _queued(lab, runners) and time.monotonic() < until:
        time.sleep(0.05)
    while len(lab.started) < runners and time.monotonic() < until:
        time.sleep(0.05)
    stop.set()
    loop.join(WAIT_SECONDS)
    return sum(took)


def _queued(lab: Lab, count: int) -> bool:
    """Queue the jobs, once the loop has made its scale set."""
    try:
        lab.control("jobs", json.dumps({"scale_set": "nested", "count": count}).encode())
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
