"""A model of the service in memory: what it registers, what it answers, and how it can fail."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from scaleset_client.failures import SliceRefused
from scaleset_client.types import MintedRunner, MintRequest, Runner
from scaleset_hookspecs.errors import (
    Conflict,
    NotFound,
    PermissionDenied,
    RateLimited,
    Rejected,
    ServiceError,
    Unavailable,
)

Fault = Callable[[str], str | None]

FAULTS = frozenset({
    "lost", "reset", "late", "refused", "hang", "taken", "wait", "wait7", "item", "forbidden", "down", "lost-slice",
})  # fmt: skip
"""What may go wrong with a mint; another number of seconds may follow "wait"."""


@dataclass
class ModelService:
    """Registers runners; `fault(name)` names what goes wrong with a mint, if anything."""

    latency: float = 0.05
    fault: Fault = lambda _name: None
    capacity: int | None = None
    slices: bool = False
    seed: int = 0
    runners: dict[str, Runner] = field(default_factory=dict)
    dead_scale_sets: set[int] = field(default_factory=set)
    work_folders: dict[str, str] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    wait_until: float = 0.0
    broken_promises: int = 0
    probes: int = 0
    registrations: list[float] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    next_id: int = 1

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _commit(self, scale_set_id: int, name: str) -> MintedRunner:
        if name.lower() in self.runners:
            raise Conflict("taken", status=409, type_name="AgentExistsException")
        runner = Runner(id=self.next_id, name=name, scale_set_id=scale_set_id, status="offline", busy=False)
        self.next_id += 1
        self.runners[name.lower()] = runner
        self.registrations.append(self._now())
        return MintedRunner(runner=runner, encoded_jit_config=f"jit-{runner.id}")

    def _commit_late(self, scale_set_id: int, name: str) -> None:
        with suppress(Conflict):  # it was asked for once more meanwhile
            self._commit(scale_set_id, name)

    async def _latency(self) -> None:
        slow = 1.0
        if self.capacity is not None and self.in_flight > self.capacity:
            slow = self.in_flight / self.capacity
        await asyncio.sleep(self.latency * slow * self.random.uniform(0.95, 1.05))

    async def generate_jit_config(self, scale_set_id: int, name: str, work_folder: str = "") -> MintedRunner:
        """Mint one, or fail in the way `fault` says."""
        self.work_folders[name] = work_folder
        self.requests["mint"] += 1
        if self._now() < self.wait_until:
            self.broken_promises += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._mint(scale_set_id, name)
        finally:
            self.in_flight -= 1

    async def _mint(self, scale_set_id: int, name: str) -> MintedRunner:
        fault = self.fault(name)
        await self._latency()
        if scale_set_id in self.dead_scale_sets:
            raise NotFound("no such scale set", status=404, type_name="RunnerScaleSetNotFoundException")
        if fault is None:
            return self._commit(scale_set_id, name)
        if fault == "lost":
            self._commit(scale_set_id, name)
            raise Unavailable("reset", maybe_applied=True)
        if fault == "reset":
            raise Unavailable("reset", maybe_applied=True)
        if fault == "late":
            asyncio.get_running_loop().call_later(3.0, self._commit_late, scale_set_id, name)
            raise Unavailable("gateway", status=502, maybe_applied=True)
        if fault == "refused":
            raise Unavailable("connection refused")
        if fault == "hang":
            self._commit(scale_set_id, name)
            await asyncio.sleep(10_000)
        if fault == "taken":
            self._commit(scale_set_id, name)
            raise Conflict("taken", status=409, type_name="AgentExistsException")
        if fault.startswith("wait"):
            seconds = float(fault[4:]) if len(fault) > 4 else None
            self.wait_until = max(self.wait_until, self._now() + (seconds if seconds is not None else 60.0))
            raise RateLimited("slow down", status=429, retry_after=seconds)
        errors: dict[str, ServiceError] = {
            "item": Rejected("bad name", status=400, type_name="ArgumentException"),
            "forbidden": PermissionDenied("no", status=403),
            "down": Unavailable("upstream", status=503, maybe_applied=True),
        }
        raise errors[fault]

    async def generate_jit_configs(
        self, scale_set_id: int, requests: Sequence[MintRequest]
    ) -> tuple[MintedRunner | ServiceError, ...]:
        """Mint a slice, if this service takes slices."""
        self.requests["slice"] += 1
        await self._latency()
        if not self.slices:
            raise SliceRefused("one at a time", status=400)
        results: list[MintedRunner | ServiceError] = []
        for request in requests:
            self.work_folders[request.name] = request.work_folder
            fault = self.fault(request.name)
            if fault == "lost-slice":
                raise Unavailable("reset", maybe_applied=True)
            try:
                results.append(
                    self._commit(scale_set_id, request.name) if fault is None else Rejected("bad", status=400)
                )
            except Conflict as error:
                results.append(error)
        return tuple(results)

    async def find_runner(self, name: str) -> Runner | None:
        """Find a runner by name."""
        self.requests["find"] += 1
        await asyncio.sleep(self.latency)
        return self.runners.get(name.lower())

    async def list_runners(self) -> tuple[Runner, ...]:
        """List all runners."""
        self.requests["list"] += 1
        await asyncio.sleep(self.latency)
        return tuple(self.runners.values())

    async def remove_runner(self, runner_id: int) -> bool:
        """Remove a runner unless it has a job."""
        self.requests["remove"] += 1
        await asyncio.sleep(self.latency)
        for name, runner in list(self.runners.items()):
            if runner.id == runner_id:
                if runner.busy:
                    raise Conflict("job", status=400, type_name="JobStillRunningException")
                del self.runners[name]
                return True
        return False
