"""Everything one simulator holds, made from its options."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from scaleset_simulator.clock import Clock
from scaleset_simulator.faults import Faults
from scaleset_simulator.gauge import Gauge
from scaleset_simulator.jobs import Board
from scaleset_simulator.options import Options
from scaleset_simulator.tenant import Tenant
from scaleset_simulator.tokens import Tokens

__all__ = ["World"]

WIRE_SECONDS = 0.05
"""Real seconds an answer may need until the client has acted on it, on a busy machine."""


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
        """Build the parts; every chance comes from one seed."""
        options = self.options
        self.tenant = Tenant(self.clock, options, random.Random(options.seed + 1))  # noqa: S311
        self.board = Board(self.clock, self.tenant, random.Random(options.seed + 2))  # noqa: S311
        self.tokens = Tokens(self.clock, options, random.Random(options.seed + 3))  # noqa: S311
        self.faults = Faults(random.Random(options.seed + 4), list(options.faults))  # noqa: S311
        self.changed = asyncio.Condition()
        self.started = self.clock.monotonic()
        self.gauge.grace = WIRE_SECONDS * options.speed
        self.unready_left = options.unready
        for text in options.scale_sets:
            name, _, group = text.partition(":")
            self.tenant.create_scale_set(name, self.tenant.group_id(group or "default"))

    @property
    def config_url(self) -> str:
        """A config URL it serves."""
        return f"{self.origin}/acme"

    async def notify(self) -> None:
        """Wake the long polls: something may have changed."""
        async with self.changed:
            self.changed.notify_all()

    async def delete_scale_set(self, scale_set_id: int) -> None:
        """Delete a scale set with its runners, its jobs and its session; a poll that is held is answered."""
        self.tenant.delete_scale_set(scale_set_id)
        self.board.forget(scale_set_id)
        await self.notify()

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
