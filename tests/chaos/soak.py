"""Hours of the example host's life: three scale sets, every fault there is, the host killed and upgraded."""

import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from scaleset_simulator import SimulatorProcess
from scaleset_simulator.clock import ScaledClock
from tests.chaos.machines import Machines
from tests.chaos.outcome import ChaosResult

NAMES = ("linux", "windows", "gpu")
CAPACITY = 40
JOB_SECONDS = 60.0
LIFE = (300.0, 2400.0)
"""Simulated seconds that one life of the host lasts; it then is killed, or told to stop for an upgrade."""

INCIDENT = 2500.0
"""Simulated seconds between two incidents in which the service drops every registration."""

PATIENCE = 9000.0
"""Simulated seconds after the last hour in which jobs may still end."""

FAULTS = (
    "poll:lose-session:every 61",
    "poll:unauthorised:every 83",
    "poll:drop-before:2%",
    "poll:drop-after:2%",
    "poll:status=503:1%",
    "poll:status=404:0.5%",
    "poll:truncate:1%",
    "poll:empty:1%",
    "poll:hang-after:0.3%",
    "acknowledge:drop-after:4%",
    "acknowledge:drop-before:2%",
    "acknowledge:status=503:2%",
    "acquire:status=503:4%",
    "acquire:status=404:2%",
    "acquire:drop-before:2%",
    "refresh_session:status=503:10%",
    "open_session:status=503:10%",
    "admin:status=503:10%",
    "registration:status=503:10%",
    "mint:drop-after:1%",
    "mint:status=503:1%",
    "mint:status=403:0.5%",
    "mint:status=422:0.2%",
    "find_runner:status=503:3%",
    "remove_runner:status=503:3%",
    "remove_runner:drop-after:2%",
    "connect:never-online:1%",
    "connect:lives-on:1%",
)


def run_soak(hours: float, seed: int, speed: float) -> ChaosResult:
    """Listen to both backends, side by side."""
    with ProcessPoolExecutor(2) as processes:
        work = {backend: processes.submit(soak, hours, seed, speed, backend) for backend in ("assign", "offer")}
        outcomes = {backend: each.result() for backend, each in work.items()}
    broken = [
        f"{backend}: {promise}" for backend, outcome in outcomes.items() for promise in outcome["broken_promises"]
    ]
    return outcomes | {"seed": seed, "broken_promises": broken}


def soak(hours: float, seed: int, speed: float, backend: str) -> ChaosResult:
    """Live for so many simulated hours; the last one is calm, so that everything can end."""
    started, origin = time.monotonic(), time.time()
    faults = [part for fault in FAULTS for part in ("--fault", fault)]
    sets = [part for name in NAMES for part in ("--scale-set", name)]
    options = ("--backend", backend, "--job-seconds", str(JOB_SECONDS), "--seed", str(seed), "--speed", str(speed))
    with (
        tempfile.TemporaryDirectory() as place,
        SimulatorProcess(*options, "--origin", str(origin), *sets, *faults) as simulator,
    ):
        clock = ScaledClock(speed, origin)
        outcome = asyncio.run(_Soak(simulator, Path(place), clock, seed).run(hours * 3600))
        counters = simulator.counters()
    outcome |= {
        "hours": hours,
        "finished": counters["jobs_finished"],
        "jobs_lost": outcome["jobs"] - counters["jobs_finished"],
        "ghosts": counters["runners"],
        "faults": counters["faults"],
        "requests": counters["requests"],
        "seconds": round(time.monotonic() - started, 1),
    }
    outcome["broken_promises"] = [
        promise
        for promise, kept in (
            ("no job is terminated by the host", outcome["jobs_terminated_by_host"] == 0),
            ("every job ran", outcome["jobs_lost"] == 0),
            ("never more runners than the maximum", max(outcome["most_live"].values()) <= CAPACITY),
            ("nothing is left registered", outcome["ghosts"] == 0),
            ("no machine is left", outcome["machines_left"] == 0),
        )
        if not kept
    ]
    return outcome


class _Soak:
    def __init__(self, simulator: SimulatorProcess, place: Path, clock: ScaledClock, seed: int) -> None:
        self._simulator = simulator
        self._place = place
        self._clock = clock
        self._seed = seed
        self._chance = random.Random(seed)
        self._machines = Machines(simulator, clock, self._chance, JOB_SECONDS)
        self._lives = {"killed": 0, "upgraded": 0}
        self._dropped = 0

    async def run(self, seconds: float) -> ChaosResult:
        """Return what happened to jobs and machines."""
        port = await self._machines.serve()
        calm = self._clock.monotonic() + seconds - min(3600.0, seconds / 3)
        hosting = asyncio.create_task(self._host(port, calm))
        jobs, incident = 0, self._clock.monotonic() + INCIDENT
        while self._clock.monotonic() < calm and not hosting.done():
            await self._clock.sleep(self._chance.expovariate(1 / 60))
            count = self._chance.choice((1, 1, 2, 5, 30))
            await asyncio.to_thread(self._simulator.add_jobs, self._chance.choice(NAMES), count)
            jobs += count
            if self._clock.monotonic() > incident:
                incident += INCIDENT
                self._dropped += await self._machines.drop()
        await asyncio.to_thread(self._simulator.faults, [])
        # A loaded machine may need longer for the rest than the clock, which runs ahead of it, allows.
        end = calm + PATIENCE
        while self._clock.monotonic() < end and (await self._unfinished(jobs) or self._machines.alive):
            await self._clock.sleep(30)
        hosting.cancel()
        await asyncio.wait({hosting})
        until = self._clock.monotonic() + 600
        while self._machines.alive and self._clock.monotonic() < until:
            await self._clock.sleep(10)
        return {
            "jobs": jobs,
            "launched": self._machines.launched,
            "jobs_terminated_by_host": self._machines.terminated,
            "most_live": dict(self._machines.most),
            "machines_left": len(self._machines.alive),
            "lives": self._lives,
            "registrations_dropped": self._dropped,
        }

    async def _unfinished(self, jobs: int) -> bool:
        counters = await asyncio.to_thread(self._simulator.counters)
        return bool(counters["jobs_finished"] < jobs)

    async def _host(self, port: int, calm: float) -> None:
        """Run one life of the host after another; told to stop at the very end, it drains."""
        told = json.dumps(
            {
                "config_url": self._simulator.config_url,
                "scale_sets": NAMES,
                "capacity": CAPACITY,
                "journal": str(self._place),
                "port": port,
                "speed": self._clock.speed,
                "origin": self._clock.origin,
            }
        )
        environment = {**os.environ, "CHAOS_TOKEN": self._simulator.token}
        while True:
            command = (sys.executable, "-m", "tests.chaos.soakhost", told)
            with (self._place / "host.log").open("ab") as log:
                host = await asyncio.create_subprocess_exec(*command, env=environment, stderr=log)
            lasts = self._chance.uniform(*LIFE)
            if self._clock.monotonic() + lasts > calm:
                lasts = 1e9
            number = self._chance.choice((signal.SIGKILL, signal.SIGTERM))
            try:
                await asyncio.wait_for(host.wait(), lasts / self._clock.speed)
            except TimeoutError:
                self._lives["killed" if number is signal.SIGKILL else "upgraded"] += 1
                host.send_signal(number)
                await host.wait()
            except asyncio.CancelledError:
                host.send_signal(signal.SIGTERM)
                await host.wait()
                raise
            else:
                self._lives["died"] = self._lives.get("died", 0) + 1
                if self._lives["died"] > 20:
                    raise RuntimeError(f"the host ends by itself; see its log: {self._tail()}")

    def _tail(self) -> Sequence[str]:
        return (self._place / "host.log").read_text().splitlines()[-5:]
