"""The example's listener for hours of the service's life: tokens end, sessions are lost, messages come twice."""

import asyncio
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from scaleset_burst.engine import Engine
from scaleset_burst.hooks import BurstPlugin
from scaleset_burst.settings import load_settings
from scaleset_client import ConnectionOptions, Listener, Message, ScaleSetClient, TokenCredentials
from scaleset_client.opening import SessionEvent
from scaleset_client.session import MessageSession
from scaleset_hookspecs import ScaleSetRef, ServiceError, Statistics, Unavailable
from scaleset_hookspecs.host import AsyncHost, create_manager
from scaleset_simulator import SimulatorProcess
from scaleset_simulator.clock import ScaledClock
from tests.chaos.outcome import ChaosResult

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from autoscaler.autoscaling import Autoscaler
from autoscaler.launchers import SimulatedLauncher
from autoscaler.report import Report

NAME = "demo-linux"
CAPACITY = 60
CRASH_EVERY = 1000.0
"""Simulated seconds after which the listener dies without closing its session."""
PATIENCE = 6000.0
"""Simulated seconds after the last hour in which jobs may still end."""

FAULTS = (
    "poll:lose-session:every 61",
    "poll:unauthorised:every 83",
    "poll:drop-before:2%",
    "poll:drop-after:2%",
    "poll:status=503:1%",
    "poll:truncate:1%",
    "poll:empty:1%",
    "poll:hang-after:0.3%",
    "acknowledge:drop-after:4%",
    "acknowledge:drop-before:2%",
    "acknowledge:status=503:2%",
    "acquire:status=503:4%",
    "acquire:drop-before:2%",
    "refresh_session:status=503:10%",
    "open_session:status=503:10%",
    "admin:status=503:10%",
    "registration:status=503:10%",
)


@dataclass(slots=True)
class Account:
    """What the listener was told, and what it did about it.

    Attributes:
        handled: How often each message was handled to its end.
        acknowledged: How often each message's deletion was confirmed.
        life: What happened to the sessions.
    """

    handled: Counter[int] = field(default_factory=Counter)
    acknowledged: Counter[int] = field(default_factory=Counter)
    life: Counter[str] = field(default_factory=Counter)
    crashes: int = 0


class WatchedSession:
    """A message session whose messages are counted."""

    def __init__(self, session: MessageSession, account: Account) -> None:
        self._session = session
        self._account = account
        self.dying = False
        self.dead = asyncio.Event()

    @property
    def statistics(self) -> Statistics:
        """The latest counters."""
        return self._session.statistics

    async def poll(self, capacity: int) -> Message | None:
        """Wait for a message."""
        return await self._session.poll(capacity)

    async def close(self) -> None:
        """Leave it open: a host that dies closes nothing."""

    async def acquire(self, request_ids: Iterable[int]) -> Collection[int]:
        """Take jobs."""
        return await self._session.acquire(request_ids)

    async def acknowledge(self, message: Message) -> None:
        """Note that it was handled, then delete it; a dying host dies between the two."""
        self._account.handled[message.id] += 1
        if self.dying:
            self.dead.set()
            raise Unavailable("the host died before it acknowledged this")
        await self._session.acknowledge(message)
        self._account.acknowledged[message.id] += 1


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
    """Listen for so many simulated hours; the last one is calm, so that everything can end."""
    started = time.monotonic()
    origin = time.time()
    faults = [part for fault in FAULTS for part in ("--fault", fault)]
    options = ("--backend", backend, "--job-seconds", "40", "--seed", str(seed), "--speed", str(speed))
    with (
        tempfile.TemporaryDirectory() as place,
        SimulatorProcess(*options, "--origin", str(origin), *faults) as simulator,
    ):
        clock = ScaledClock(speed, origin)
        jobs, account = asyncio.run(_listen(simulator, Path(place), clock, hours * 3600, seed))
        counters = simulator.counters()
    outcome: ChaosResult = {
        "hours": hours,
        "jobs": jobs,
        "finished": counters["jobs_finished"],
        "runners_demanded": counters["registrations"],
        "runners_left": counters["runners"],
        "messages": len(account.handled),
        "handled_again": sum(count - 1 for count in account.handled.values()),
        "not_acknowledged": len(set(account.handled) - set(account.acknowledged)),
        "crashes": account.crashes,
        "sessions": dict(account.life),
        "faults": counters["faults"],
        "requests": counters["requests"],
        "seconds": round(time.monotonic() - started, 1),
    }
    outcome["broken_promises"] = [
        promise
        for promise, kept in (
            ("every job ran", outcome["finished"] == jobs),
            ("each job's runner was demanded once", outcome["runners_demanded"] == jobs),
            ("nothing is left", outcome["runners_left"] == 0),
            ("every message was acknowledged", outcome["not_acknowledged"] == 0),
        )
        if not kept
    ]
    return outcome


async def _listen(
    simulator: SimulatorProcess, place: Path, clock: ScaledClock, seconds: float, seed: int
) -> tuple[int, Account]:
    os.environ["CHAOS_TOKEN"] = simulator.token
    chance = random.Random(seed)
    account = Account()
    # The transport's time limits are the machine's, so they shrink with the clock.
    options = ConnectionOptions(poll_timeout=max(0.5, 100.0 / clock.speed), read_timeout=5.0)
    credentials = TokenCredentials(token=simulator.token)
    client = ScaleSetClient(simulator.config_url, credentials, options=options, clock=clock, chance=chance)
    section = {
        "github": {"config_url": simulator.config_url, "token": {"$env": "CHAOS_TOKEN"}},
        "journal": {"directory": str(place)},
        "budget": {"registrations": 100_000},
    }
    settings = load_settings({"plugins": {"burst": section}}, environ=os.environ, read_file=lambda _: "")
    engine = Engine(settings, clock=clock, random=chance)
    manager = create_manager(
        {"plugins": {}}, plugins=[("burst", BurstPlugin(engine, settings))], load_entry_points=False
    )
    hooks = AsyncHost(manager)
    found = await client.get_scale_set_by_name(NAME)
    assert found is not None
    launcher = SimulatedLauncher(simulator.config_url)
    autoscaler = Autoscaler(
        hooks,
        client,
        launcher,
        ScaleSetRef(name=NAME, id=found.id),
        min_idle=0,
        max_runners=CAPACITY,
        report=Report(None),
    )
    listening = asyncio.create_task(_crashing(client, autoscaler, clock, account, found.id))
    jobs = 0
    calm = clock.monotonic() + seconds
    while clock.monotonic() < calm - 900:
        await clock.sleep(chance.expovariate(1 / 120))
        count = chance.choice((1, 1, 2, 5, 20))
        await asyncio.to_thread(simulator.add_jobs, NAME, count)
        jobs += count
        if listening.done():
            break
    await asyncio.to_thread(simulator.faults, [])
    # A loaded machine may need longer for the rest than the clock, which runs ahead of it, allows.
    while clock.monotonic() < calm or (await _unfinished(simulator, jobs) and clock.monotonic() < calm + PATIENCE):
        await clock.sleep(30)
    listening.cancel()
    await asyncio.wait({listening})
    await autoscaler.stop()
    await client.aclose()
    if not listening.cancelled():
        listening.result()  # it ends of itself only by an error, and then every other count means nothing
    return jobs, account


async def _unfinished(simulator: SimulatorProcess, jobs: int) -> bool:
    counters = await asyncio.to_thread(simulator.counters)
    return bool(counters["jobs_finished"] < jobs)


async def _crashing(
    client: ScaleSetClient, autoscaler: Autoscaler, clock: ScaledClock, account: Account, scale_set_id: int
) -> None:
    def hear(event: SessionEvent) -> None:
        account.life[event.kind.value] += 1

    watched: list[WatchedSession] = []

    async def open_session() -> WatchedSession:
        watched.append(WatchedSession(await client.open_session(scale_set_id, "soak", on_event=hear), account))
        return watched[-1]

    async def listen() -> None:
        async with Listener(open_session, lambda: CAPACITY, clock=clock) as listener:
            async for message in listener:
                for event in message.events:
                    autoscaler.on_event(event)
                autoscaler.on_statistics(message.statistics)

    while True:
        watched.clear()
        listening = asyncio.create_task(listen())
        try:
            await asyncio.wait({listening}, timeout=CRASH_EVERY / clock.speed)
            if watched:
                watched[-1].dying = True
                death = asyncio.create_task(watched[-1].dead.wait())
                await asyncio.wait({listening, death}, return_when=asyncio.FIRST_COMPLETED)
                account.crashes += 1
        finally:
            listening.cancel()
            await asyncio.wait({listening})
        if not listening.cancelled() and isinstance(listening.exception(), ServiceError):
            account.life["not opened"] += 1
        elif not listening.cancelled():
            listening.result()
