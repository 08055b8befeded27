"""Machines that outlive the host: they boot, connect, run a job and end; and remember what the host did to them."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autoscaler.launchers import LaunchError, OnEnd
from scaleset_client.clock import Clock
from scaleset_hookspecs import JitConfig, RunnerRef
from scaleset_simulator import SimulatorError, SimulatorProcess

__all__ = ["Machines", "RemoteLauncher"]

BOOT = (2.0, 60.0)
"""Simulated seconds from the launch to the moment at which the runner connects."""

LINGER = 60.0
"""Simulated seconds that one machine in twenty lives on when its runner is over."""

LOOK = 3.0
"""Simulated seconds between two looks at the service's runners."""

WATCH = 5.0
"""Simulated seconds between two looks of a host at its machines."""


@dataclass(slots=True, eq=False)
class Machine:
    """One machine.

    Attributes:
        connected: Its runner has reached the service.
        busy_until: Its job, of which the service knows no runner any more, ends then.
        dying_at: It ends then, if its runner is over.
    """

    name: str
    id: int
    scale_set: str
    jit: str
    connected: bool = False
    busy: bool = False
    busy_until: float = 0.0
    dying_at: float | None = None


class Machines:
    """The machines of all scale sets, behind one port of this machine.

    Attributes:
        alive: Those that have not ended.
        most: The most there were of a scale set at once.
        terminated: Jobs that ran on a machine which the host ended.
    """

    def __init__(self, simulator: SimulatorProcess, clock: Clock, chance: random.Random, job_seconds: float) -> None:
        self.alive: dict[str, Machine] = {}
        self.most: Counter[str] = Counter()
        self.terminated = 0
        self.launched = 0
        self._simulator = simulator
        self._clock = clock
        self._chance = chance
        self._job_seconds = job_seconds
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> int:
        """Begin; return the port."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self._keep(server.serve_forever())
        self._keep(self._look())
        return int(server.sockets[0].getsockname()[1])

    async def drop(self) -> int:
        """Let the service drop every registration, as an incident does: jobs that run go on; return how many."""
        await self._see()
        for machine in self.alive.values():
            if machine.busy:
                machine.busy_until = self._clock.monotonic() + self._job_seconds
        dropped = await asyncio.to_thread(self._simulator.control, "POST", "runners/drop", {})
        return int(dropped["dropped"])

    def _keep(self, work: Any) -> None:  # noqa: ANN401  # any coroutine
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        if not line.endswith(b"\n"):  # the host died while it asked
            writer.close()
            return
        asked = json.loads(line)
        answer: object = None
        if asked["do"] == "launch":
            machine = Machine(asked["name"], asked["id"], asked["scale_set"], asked["jit"])
            self.alive[machine.name] = machine
            self.launched += 1
            there = sum(each.scale_set == machine.scale_set for each in self.alive.values())
            self.most[machine.scale_set] = max(there, self.most[machine.scale_set])
            self._keep(self._boot(machine))
        elif asked["do"] == "end":
            await self._see()
            machine_ = self.alive.pop(asked["name"], None)
            if machine_ is not None and (machine_.busy or self._clock.monotonic() < machine_.busy_until):
                self.terminated += 1
        else:
            mine = [each for each in self.alive.values() if each.scale_set == asked["scale_set"]]
            answer = [[each.name, each.id] for each in mine]
        writer.write(json.dumps(answer).encode() + b"\n")
        writer.close()

    async def _boot(self, machine: Machine) -> None:
        await self._clock.sleep(self._chance.uniform(*BOOT))
        while machine.name in self.alive:
            try:
                await asyncio.to_thread(self._simulator.control, "POST", "connect", {"jit": machine.jit})
            except SimulatorError as error:
                if "404" in str(error) or "no such registration" in str(error):
                    self.alive.pop(machine.name, None)  # the runner says so, and exits
                    return
                await self._clock.sleep(10)
            else:
                machine.connected = True
                return

    async def _look(self) -> None:
        while True:
            await self._clock.sleep(LOOK)
            await self._see()

    async def _see(self) -> None:
        """Let those end whose runner is over: its registration is gone, and no job of it runs."""
        known = [machine for machine in self.alive.values() if machine.connected]
        there = {each["name"]: each for each in await asyncio.to_thread(self._simulator.runners)}
        now = self._clock.monotonic()
        for machine in known:
            if (runner := there.get(machine.name)) is not None:
                machine.busy = runner["busy"]
                continue
            machine.busy = False
            if machine.dying_at is None:
                lingers = self._chance.random() < 0.05
                machine.dying_at = max(now, machine.busy_until) + (LINGER if lingers else 0.0)
            if now >= machine.dying_at:
                self.alive.pop(machine.name, None)


class RemoteLauncher:
    """The host's side: asks the machines' port, and hears of an end by looking."""

    outlives_host = True
    watches = True

    def __init__(self, port: int, scale_set: str, clock: Clock, on_end: OnEnd) -> None:
        self._port = port
        self._scale_set = scale_set
        self._clock = clock
        self._on_end = on_end
        self._known: dict[str, RunnerRef] = {}
        self._watching: asyncio.Task[None] | None = None

    async def living(self) -> Sequence[RunnerRef]:
        """Return what an earlier host launched."""
        for name, number in await self._ask(do="living"):
            self._known[name] = RunnerRef(name=name, id=number)
        self._watching = asyncio.create_task(self._watch())
        return tuple(self._known.values())

    async def launch(self, config: JitConfig) -> None:
        """Begin a machine; one in a hundred does not begin."""
        if config.runner_id % 100 == 0:
            raise LaunchError("no machine is free")
        await self._ask(do="launch", name=config.runner_name, id=config.runner_id, jit=config.encoded)
        self._known[config.runner_name] = RunnerRef(name=config.runner_name, id=config.runner_id)

    async def end(self, runner: RunnerRef) -> None:
        """End a machine."""
        await self._ask(do="end", name=runner.name)

    async def drain(self) -> None:
        """Return at once."""

    async def stop(self) -> None:
        """Let go; the machines stay."""
        if self._watching is not None:
            self._watching.cancel()

    async def _watch(self) -> None:
        while True:
            await self._clock.sleep(WATCH)
            known = set(self._known)
            there = {name for name, _ in await self._ask(do="living")}
            for name in known - there:
                self._on_end(self._known.pop(name), 0)

    async def _ask(self, **asked: object) -> Any:  # noqa: ANN401  # as the machines answer
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(json.dumps({"scale_set": self._scale_set, **asked}).encode() + b"\n")
        answer = await reader.readline()
        writer.close()
        return json.loads(answer)
