"""The emulator in the published Rust crate `scaleset`, as a second server: what others believe of the service.

`make emulator` builds it. Our client goes through its whole cycle, and the example host with our plugin through a
burst, undisturbed and with the emulator's own faults.
"""

import asyncio
import base64
import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from scaleset_client import MessageSession, ScaleSetClient, TokenCredentials
from scaleset_client.types import AnyJobEvent
from scaleset_hookspecs import ServiceError
from tests.conformance.lines import Value
from tests.e2e.hosting import configuration, listening_host, write

__all__ = ["BINARY", "SCENARIOS", "Emulator"]

BINARY: Final = Path(__file__).resolve().parents[2] / ".cache" / "conformance" / "rust" / "bin" / "scaleset-emulator"
TOKEN: Final = "ghp_emulator"
GROUP: Final = "special"
BURST: Final = 300
BURST_SECONDS: Final = 120.0

FAULTS: Final[tuple[tuple[str, dict[str, object], int], ...]] = (
    ("generateJitConfig", {"kind": "status", "status": 503}, 20),
    ("generateJitConfig", {"kind": "rateLimit", "status": 429, "retryAfterSecs": 1, "primary": False}, 2),
    ("generateJitConfig", {"kind": "delay", "millis": 500}, 5),
    ("acquireJobs", {"kind": "status", "status": 503}, 2),
    ("getMessage", {"kind": "status", "status": 503}, 3),
    ("deleteMessage", {"kind": "status", "status": 500}, 2),
)


class Emulator:
    """One emulator on a free port, in a process of its own."""

    def __init__(self) -> None:
        command = [str(BINARY), "--port", "0", "--long-poll-ms", "1000", "--runner-group", GROUP]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        about = json.loads(self._process.stdout.readline())
        self.config_url, self._control = about["config_url"], about["control_url"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def control(self, method: str, path: str, body: object = None) -> Value:
        """Send one request of its control API."""
        data = json.dumps({} if body is None else body).encode() if method == "POST" else None
        request = urllib.request.Request(
            f"{self._control}/{path}", data=data, method=method, headers={"Content-Type": "application/json"}
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def state(self) -> Value:
        """Return what it holds."""
        return self.control("GET", "state")

    def add_jobs(self, scale_set_id: int, count: int) -> None:
        """Queue jobs."""
        for _ in range(count):
            self.control("POST", "jobs", {"scaleSetId": scale_set_id, "labels": []})


async def refused(call: Awaitable[object], name: str) -> None:
    """Assert that a call is refused with that type."""
    said = "success"
    try:
        await call
    except ServiceError as error:
        said = error.type_name or str(error)
    assert name in said, f"{said}; expected {name}"


async def messages(session: MessageSession, kind: str, count: int) -> list[AnyJobEvent]:
    """Poll, acquire what is offered and acknowledge, until so many events of a kind came."""
    found: list[AnyJobEvent] = []
    for _ in range(20):
        message = await session.poll(10)
        if message is None:
            continue
        offers = [event.request_id for event in message.events if type(event).__name__ == "JobAvailable"]
        if offers:
            assert sorted(await session.acquire(offers)) == sorted(offers)
        await session.acknowledge(message)
        found += [event for event in message.events if type(event).__name__ == kind]
        if len(found) >= count:
            return found
    raise AssertionError(f"{len(found)} events {kind} in 20 polls; expected {count}")


async def _cycle(emulator: Emulator) -> None:
    async with ScaleSetClient(emulator.config_url, TokenCredentials(token=TOKEN)) as client:
        group = await client.get_runner_group(GROUP)
        assert (await client.get_runner_group("default")).id == 1
        made = await client.create_scale_set("linux", runner_group_id=group.id)
        assert made.runner_group_id == group.id
        assert await client.get_scale_set_by_name("linux", group.id) is not None
        await refused(client.create_scale_set("linux", runner_group_id=group.id), "RunnerScaleSetExistsException")
        session = await client.open_session(made.id, "conformance")
        emulator.add_jobs(made.id, 2)
        await messages(session, "JobAssigned", 2)
        assert session.statistics.assigned_jobs == 2
        minted = [await client.generate_jit_config(made.id, f"r-{number}", "_work") for number in range(3)]
        first, second, idle = (each.runner for each in minted)
        assert len({each.encoded_jit_config for each in minted}) == 3
        await refused(client.generate_jit_config(made.id, "r-0", "_work"), "AgentExistsException")
        assert await client.find_runner("r-1") == await client.get_runner(second.id)
        jobs = [job["id"] for job in emulator.state()["jobs"]]
        for job, runner in zip(jobs, (first, second), strict=True):
            emulator.control("POST", f"jobs/{job}/start", {"runnerName": runner.name})
        await messages(session, "JobStartedEvent", 2)
        await refused(client.remove_runner(first.id), "JobStillRunningException")
        for job in jobs:
            emulator.control("POST", f"jobs/{job}/complete", {"result": "succeeded"})
        done = await messages(session, "JobCompletedEvent", 2)
        assert {getattr(event, "runner_name", "") for event in done} == {"r-0", "r-1"}
        await client.remove_runner(idle.id)
        assert await client.find_runner("r-2") is None
        await session.close()
        await client.delete_scale_set(made.id)
        assert await client.get_scale_set_by_name("linux", group.id) is None
    left = emulator.state()
    assert (left["runners"], left["sessions"]) == ([], []), left


def cycle(emulator: Emulator) -> str:
    """Groups, scale sets, session, offers, acquisition, JIT configs, runners, completion, and nothing left."""
    asyncio.run(_cycle(emulator))
    return ""


class Machines:
    """The machines that a host starts: a job runs only where its JIT config arrived, and ends its machine.

    Args:
        log: Where each machine writes its process id and its JIT config.
    """

    def __init__(self, emulator: Emulator, log: Path) -> None:
        self._emulator = emulator
        self._log = log
        self._pids: dict[str, int] = {}
        self._taken: set[str] = set()
        self.started: list[str] = []
        self.done = 0

    def work(self) -> None:
        """Start assigned jobs on machines that are up, and complete them."""
        lines = self._log.read_text().splitlines(keepends=True) if self._log.exists() else []
        for line in lines[len(self.started) :]:
            if not line.endswith("\n"):
                break
            pid, config = line.split()
            name = json.loads(base64.b64decode(config))["runnerName"]
            self.started.append(name)
            self._pids[name] = int(pid)
        state = self._emulator.state()
        registered = {runner["name"] for runner in state["runners"]}
        idle = [name for name in self._pids if name in registered and name not in self._taken]
        waiting = [job["id"] for job in state["jobs"] if job["state"] == "assigned"]
        for name, job in zip(idle, waiting, strict=False):
            self._taken.add(name)
            self._emulator.control("POST", f"jobs/{job}/start", {"runnerName": name})
            self._emulator.control("POST", f"jobs/{job}/complete", {"result": "succeeded"})
            self.done += 1
            with suppress(ProcessLookupError):
                os.kill(self._pids[name], signal.SIGTERM)


def _burst(emulator: Emulator, disturbances: Sequence[str]) -> str:
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        log = Path(folder) / "machines"
        command = ["sh", "-c", f'echo "$$ $ACTIONS_RUNNER_INPUT_JITCONFIG" >> {log}; exec sleep 600']
        options: dict[str, Value] = {
            "scale_set": "linux",
            "max_runners": 400,
            "create_scale_set": True,
            "command": command,
        }
        config = write(Path(folder), configuration(emulator.config_url, launcher="command", **options), TOKEN)
        machines = Machines(emulator, log)
        began = time.monotonic()
        with listening_host(config):
            (scale_set,) = _until(lambda: emulator.state()["scaleSets"] if emulator.state()["sessions"] else [])
            emulator.add_jobs(scale_set["id"], BURST)
            waiting = [each.format(id=scale_set["id"]) for each in disturbances]

            def all_ran() -> bool:
                machines.work()
                if waiting and machines.done > BURST / 10:
                    emulator.control("POST", waiting.pop())
                return machines.done >= BURST

            _until(all_ran)
        took, left = time.monotonic() - began, emulator.state()
    assert len(set(machines.started)) == len(machines.started), "a JIT config was handed out twice"
    assert [job["state"] for job in left["jobs"]] == ["completed"] * BURST
    assert (left["runners"], left["sessions"]) == ([], []), f"left: {len(left['runners'])} runners"
    return f"  {BURST} jobs, {len(machines.started)} runners, none left, {took:.1f} s"


def burst(emulator: Emulator) -> str:
    """300 jobs through the example host with the plugin."""
    return _burst(emulator, ())


def disturbed_burst(emulator: Emulator) -> str:
    """The same while mints, polls, acquisitions and acknowledgements fail, tokens end and the session is lost."""
    for endpoint, response, times in FAULTS:
        emulator.control("POST", "faults", {"endpoint": endpoint, "response": response, "times": times})
    return _burst(emulator, ("expire/session/{id}", "expire/queue-token/{id}", "expire/admin-tokens"))


def _until(asked: Callable[[], Value]) -> Value:
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + BURST_SECONDS
    while not (answer := asked()):
        assert time.monotonic() < deadline, f"not within {BURST_SECONDS:g} s"
        time.sleep(0.05)
    return answer


SCENARIOS: Final[dict[str, Callable[[Emulator], str]]] = {
    "emulator: cycle": cycle,
    "emulator: burst": burst,
    "emulator: faults": disturbed_burst,
}
