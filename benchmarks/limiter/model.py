"""A service with uneven latency and some capacity, bursts of the real minting room against it; no real time."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from statistics import median

from scaleset_burst.limits.budget import Budget
from scaleset_burst.limits.concurrency import Limiter, Sent
from scaleset_client.types import MintedRunner
from scaleset_hookspecs import JitConfig, ProvisionSettings
from tests.kit.minting import make_minter
from tests.kit.service import ModelService
from tests.kit.virtual import run_virtually

__all__ = ["Comparison", "Fixed", "Run", "Wild", "bursts", "compare", "constant", "humps", "lognormal", "uniform"]

BURST = 300
MOST = 64
REFUSAL = 0.02
"""Seconds until a refusal is back."""

Latency = Callable[[random.Random], float]


def constant(seconds: float) -> Latency:
    """Return a latency without chance, which makes waves march in step."""
    return lambda _: seconds


def uniform(low: float, high: float) -> Latency:
    """Return a latency between two bounds."""
    return lambda chance: chance.uniform(low, high)


def lognormal(middle: float, sigma: float) -> Latency:
    """Return a latency with a tail; `middle` is its median."""
    return lambda chance: middle * math.exp(chance.gauss(0.0, sigma))


UNIFORM = uniform(0.04, 0.36)


def humps(fast: float, share: float) -> Latency:
    """Return a latency that is ten times as long for a share of the mints."""
    return lambda chance: fast * chance.uniform(0.8, 1.2) * (10.0 if chance.random() < share else 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wild:
    """How a service behaves; all times in seconds.

    Attributes:
        latency: Of one mint that does not queue.
        capacities: Mints worked on at once in each burst, the last for all further; 0: no limit.
        refuses: What is beyond the capacity is answered by 503; else it queues.
        shifts: The capacity is that of a later burst after so many mints of the present one.
        grows: Latency grows by its own for so many mints in flight.
        drift: Latency is up to so many times as long, and back, within ten minutes.
        stall: Seconds of every twenty in which nothing is answered.
        errors: Share of the mints answered by a lone 503.
        lost: Share of the mints that are carried out and never answered.
        gap: Between bursts.
    """

    latency: Latency = UNIFORM
    capacities: tuple[int, ...] = (0,)
    refuses: bool = False
    shifts: tuple[int, ...] = ()
    grows: float = math.inf
    drift: float = 1.0
    stall: float = 0.0
    errors: float = 0.0
    lost: float = 0.0
    gap: float = 30.0


class Service(ModelService):
    """The model service, made to behave in a wild way; the same mints take the same time whatever the limit."""

    def __init__(self, wild: Wild, seed: int) -> None:
        super().__init__(seed=seed)
        self.wild = wild
        self.capacities = wild.capacities
        self.sent = count()
        self.began = self.number = self.refused = self.minted = self.working = 0
        self.queue: list[asyncio.Future[None]] = []

    def begin(self, number: int) -> None:
        """Begin a burst."""
        self.number, self.began, self.sent = number, self.minted, count()

    def _capacity(self) -> int:
        shifted = sum(self.minted - self.began >= each for each in self.wild.shifts)
        stages = self.wild.capacities
        return stages[min(shifted if self.wild.shifts else self.number, len(stages) - 1)] or 10**6

    async def _mint(self, scale_set_id: int, name: str) -> MintedRunner:
        wild = self.wild
        if wild.refuses and self.working >= self._capacity():
            self.refused += 1
            await asyncio.sleep(REFUSAL)
            self.fault = lambda _: "down"
            return await super()._mint(scale_set_id, name)
        chance = random.Random(f"{self.seed}/{self.number}/{next(self.sent)}")
        failure_class = chance.random()
        while self.working >= self._capacity():
            self.queue.append(asyncio.get_running_loop().create_future())
            await self.queue[-1]
        self.working += 1
        fault = "down" if failure_class < wild.errors else "hang" if failure_class < wild.errors + wild.lost else None
        try:
            await asyncio.sleep(self._takes(chance))
        finally:
            self.working -= 1
            self._wake()
        self.fault = lambda _: fault
        self.minted += fault is None
        return await super()._mint(scale_set_id, name)

    async def _latency(self) -> None:
        """Mints have taken their time already; look-ups and removals take `latency`."""

    def _wake(self) -> None:
        room = self._capacity() - self.working
        while room > 0 and self.queue:
            waiter = self.queue.pop(0)
            if not waiter.done():
                waiter.set_result(None)
                room -= 1

    def _takes(self, chance: random.Random) -> float:
        wild, now = self.wild, self._now()
        seconds = wild.latency(chance) * (1 + self.working / wild.grows)
        seconds *= math.pow(wild.drift, 0.5 - 0.5 * math.cos(2 * math.pi * now / 600))
        phase = (now + seconds) % 20.0
        return seconds + max(0.0, wild.stall - phase)


class Fixed(Limiter):
    """A number that somebody chose."""

    def sent(self, now: float, in_flight: int) -> Sent:
        """Learn nothing."""
        del now
        return Sent(0, in_flight, 0)

    def accepted(self, sent: Sent, in_flight: int) -> None:
        """Learn nothing."""

    def refused(self, sent: Sent, in_flight: int, *, pause: float = 0.0, now: float = 0.0) -> None:
        """Learn nothing."""

    def timed_out(self, sent: Sent) -> None:
        """Learn nothing."""


@dataclass(slots=True)
class Run:
    """What a sequence of bursts came to.

    Attributes:
        seconds: Of each burst; infinite if a runner was not minted.
        delivered: Seconds of each config of each burst.
        refused: Mints refused in each burst for the capacity.
        limits: At the end of each burst.
        registered: Runners registered in all; beyond what was delivered they were removed again.
        left: Runners on the service in the end that nobody was given.
    """

    seconds: list[float] = field(default_factory=list)
    delivered: list[list[float]] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)
    registered: int = 0
    left: int = 0


def bursts(
    wild: Wild, limiter: Limiter, *, number: int, seed: int = 0, hedge: bool = False, limits: Sequence[int] = ()
) -> Run:
    """Mint bursts under a law, or under a limit for each, one after another."""

    async def main() -> Run:
        service, run = Service(wild, seed), Run()
        minter, queue, _ = make_minter(service, seed=seed, budget=Budget(10**9, 300.0), hedge=hedge, limiter=limiter)
        loop = asyncio.get_running_loop()
        names: set[str] = set()
        for each in range(number):
            service.begin(each)
            limiter.current = limits[each] if limits else limiter.current
            begun, refused, times = loop.time(), service.refused, list[float]()

            def ready(config: JitConfig, begun: float = begun, times: list[float] = times) -> None:
                times.append(loop.time() - begun)
                names.add(config.runner_name)

            outcomes = await minter.provision(queue, BURST, ProvisionSettings(), ready)
            whole = all(isinstance(outcome, JitConfig) for outcome in outcomes)
            run.seconds.append(loop.time() - begun if whole else math.inf)
            run.delivered.append(sorted(times))
            run.refused.append(service.refused - refused)
            run.limits.append(limiter.limit)
            await asyncio.sleep(wild.gap)
        await asyncio.sleep(3600.0)
        run.registered = len(service.registrations)
        run.left = len({runner.name for runner in service.runners.values()} - names)
        return run

    return run_virtually(main)


def _scan(wild: Wild, number: int, seed: int, most: int) -> list[tuple[int, float]]:
    """Return for each burst the fixed limit that was best for all bursts of its capacity, and its time.

    Against a service that refuses that is its capacity: more in flight is refused, again and again.
    """
    stages = wild.capacities
    capacities = [min(stages[min(each, len(stages) - 1)] or most, most) for each in range(number)]
    if wild.refuses:
        limits = [min(stages)] * number if wild.shifts else capacities
        run = bursts(wild, Fixed(most), number=number, seed=seed, hedge=True, limits=limits)
        return list(zip(limits, run.seconds, strict=True))
    scan = sorted({*capacities, 8, 16, 32, 48, most})
    runs = {limit: bursts(wild, Fixed(limit), number=number, seed=seed, hedge=True) for limit in scan}

    def total(limit: int, capacity: int) -> float:
        return sum(time for time, each in zip(runs[limit].seconds, capacities, strict=True) if each == capacity)

    best = [min(scan, key=lambda limit: total(limit, capacity)) for capacity in capacities]
    return [(limit, runs[limit].seconds[each]) for each, limit in enumerate(best)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Our limit against the best number somebody could have chosen for each burst.

    Attributes:
        ratios: Time of each burst by that of the best fixed limit.
        refused: Share of the calls refused, over all bursts and without the first.
        best: The best fixed limit of the last burst.
    """

    ratios: tuple[float, ...]
    refused: float
    refused_later: float
    best: int
    ours: Run

    @property
    def median(self) -> float:
        """The median of the ratios."""
        return median(self.ratios)

    @property
    def worst(self) -> float:
        """The worst ratio."""
        return max(self.ratios)


def compare(wild: Wild, *, number: int = 10, seed: int = 0, most: int = MOST) -> Comparison:
    """Play the same bursts under our law and under fixed limits."""
    best = _scan(wild, number, seed, most)
    ours = bursts(wild, Limiter(most), number=number, seed=seed, hedge=True)
    return Comparison(
        ratios=tuple(mine / seconds for mine, (_, seconds) in zip(ours.seconds, best, strict=True)),
        refused=sum(ours.refused) / (BURST * number + sum(ours.refused)),
        refused_later=sum(ours.refused[1:]) / (BURST * (number - 1) + sum(ours.refused[1:])),
        best=best[-1][0],
        ours=ours,
    )
