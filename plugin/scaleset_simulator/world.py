"""Everything one simulator holds, made from its options."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from scaleset_simulator.clock import Clock
from scaleset_simulator.faults import Fault, Faults
from scaleset_simulator.gauge import Gauge
from scaleset_simulator.jobs import Board
from scaleset_simulator.latency import Latency, parse_latency
from scaleset_simulator.tenant import Limits, Tenant
from scaleset_simulator.tokens import AppKey, Tokens

__all__ = ["OVERLOADS", "Options", "World"]

OVERLOADS = ("queue", "refuse")

WIRE_SECONDS = 0.05
"""Real seconds an answer may need until the client has acted on it, on a busy machine."""


@dataclass(slots=True, kw_only=True)
class Options:
    """What can be chosen; times in seconds. Those marked * can be changed while it runs.

    Attributes:
        latency: * How long every answer of the Actions service takes, but polls.
        jitter: * Share of the latency by which it varies.
        capacity: * Mints worked on at once; 0 is no limit.
        overload: * Beyond the capacity: `queue` (latency grows) or `refuse` (503 before the commit).
        slices: * Whether several settings may come in one request.
        seed: * Of every chance; changed while it runs, of the latencies from then on.
        unready: Answers 401 to the first so many admin connections (protocol 3.3).
        bom: * Every body begins with a byte order mark.
    """

    latency: Latency = field(default_factory=lambda: parse_latency("0"))
    jitter: float = 0.0
    capacity: int = 0
    overload: str = "queue"
    slices: bool = False
    unready: int = 0
    bom: bool = False
    poll_seconds: float = 50.0
    token: str = "simulator-token"  # noqa: S105  # no secret: the simulator's own
    backend: str = "assign"
    admin_token_seconds: float = 3600.0
    queue_token_seconds: float = 3000.0
    job_seconds: float = 1.0
    session_seconds: float = 90.0
    registrations: int = 0
    window: float = 300.0
    group_capacity: int = 10_000
    running_status: int = 400
    absent_status: int = 204
    seed: int = 0
    speed: float = 1.0
    app: AppKey | None = None
    scale_sets: tuple[str, ...] = ("demo-linux",)
    faults: tuple[Fault, ...] = ()


@dataclass(slots=True)
class World:
    """The state behind one simulator. Changed on its loop only."""

    options: Options
    clock: Clock
    origin: str = ""
    gauge: Gauge = field(default_factory=Gauge)
    tenant: Tenant = field(init=False)
    board: Board = field(init=False)
    tokens: Tokens = field(init=False)
    faults: Faults = field(init=False)
    changed: asyncio.Condition = field(init=False)
    started: float = field(init=False)
    unready_left: int = field(init=False)
    request_number: int = 0
    _chances: dict[str, random.Random] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Build the rooms; every chance comes from one seed."""
        options = self.options
        limits = Limits(
            options.registrations,
            options.window,
            options.group_capacity,
            options.running_status,
            options.absent_status,
        )
        self.tenant = Tenant(self.clock, limits, chance=random.Random(options.seed + 1))  # noqa: S311
        self.board = Board(
            self.clock,
            self.tenant,
            random.Random(options.seed + 2),  # noqa: S311
            offers=options.backend == "offer",
            job_seconds=options.job_seconds,
            session_seconds=options.session_seconds,
        )
        self.tokens = Tokens(
            self.clock,
            random.Random(options.seed + 3),  # noqa: S311
            {options.token},
            options.app,
            options.admin_token_seconds,
            options.queue_token_seconds,
        )
        self.faults = Faults(random.Random(options.seed + 4), list(options.faults))  # noqa: S311
        self.changed = asyncio.Condition()
        self.started = self.clock.monotonic()
        self.gauge.grace = WIRE_SECONDS * options.speed
        self.unready_left = options.unready
        for text in options.scale_sets:
            name, _, group = text.partition(":")
            self.tenant.create_scale_set(name, self.tenant.group_id(group or "default"))

    async def notify(self) -> None:
        """Wake the long polls: something may have changed."""
        async with self.changed:
            self.changed.notify_all()

    def draw_anew(self) -> None:
        """Let the latencies that follow be the first ones of the seed."""
        self._chances.clear()

    def latency(self, kind: str) -> float:
        """Return the seconds on this clock that the next answer of a kind takes; each kind has its own sequence."""
        if kind not in self._chances:
            self._chances[kind] = random.Random(f"{self.options.seed}/{kind}")  # noqa: S311  # repeatable
        chance = self._chances[kind]
        base = self.options.latency.draw(chance, self.clock.monotonic() - self.started)
        if self.options.jitter:
            base *= chance.uniform(1 - self.options.jitter, 1 + self.options.jitter)
        busy, capacity = self.gauge.mints_in_flight, self.options.capacity
        if capacity and self.options.overload == "queue" and busy > capacity:
            base *= busy / capacity
        return base
