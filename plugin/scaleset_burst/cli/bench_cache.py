"""`bench cache`: what a warm answer costs through pluggy and the host kit, and what a thousand cold callers cost.

Everything is real: plugin, engine and client run as in a host, against the simulator in a process of its own.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import sys
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any, Protocol, TypeAlias, cast

from cachetools import TTLCache

from scaleset_burst.cli.output import fail
from scaleset_burst.engine import Engine
from scaleset_burst.hooks import BurstPlugin
from scaleset_burst.settings import Settings, load_settings
from scaleset_hookspecs import Answer, Certainty, ScalesetError, ScaleSetRef, ScaleSetSettings, Unavailable
from scaleset_simulator import SimulatorError, SimulatorProcess

__all__ = ["measure", "run"]

CALLERS = 1000
ROUNDS = 200
CALLS = 100
"""Calls in one round, so that reading the clock does not count; the median is over rounds."""

LATENCY = "50ms"
TOKEN_CHAIN = ("installation", "registration", "admin")
LINUX = ScaleSetRef(name="linux")


class Host(Protocol):
    """The one call of the host kit that is measured."""

    async def get_scaleset_settings(self, scale_set: ScaleSetRef) -> Answer[ScaleSetSettings]:
        """Ask through the hook."""


Figures: TypeAlias = dict[str, float | int]


def run(*, as_json: bool) -> int:
    """Measure, and print the figures; the last line is JSON if asked for. Return the exit status."""
    try:
        importlib.import_module("scaleset_simulator.serving")
        figures = asyncio.run(measure())
    except ModuleNotFoundError as error:
        return fail(f"the simulator needs {error.name}: pip install 'scaleset-burst[simulator]'")
    except (SimulatorError, ScalesetError) as error:
        return fail(str(error))
    if as_json:
        sys.stdout.write(json.dumps(figures) + "\n")
        return 0
    hit, raw = figures["hit_seconds_median"], figures["raw_cachetools_seconds_median"]
    sys.stdout.write(
        f"a warm answer, through pluggy and the host kit   {hit * 1e6:8.2f} microseconds\n"
        f"the same from a bare cachetools cache            {raw * 1e6:8.2f} microseconds\n"
        f"requests for {figures['stampede_callers']} cold callers at once  {figures['stampede_requests']:18d}\n"
    )
    return 0


async def measure(*, callers: int = CALLERS, rounds: int = ROUNDS, calls: int = CALLS) -> Figures:
    """Return the figures of one run: medians in seconds, and counts.

    Args:
        callers: How many ask at once while the cache is cold.
        rounds: Rounds of warm calls; the two ways take turns, so that a noisy moment meets both.
        calls: Calls in a round.
    """
    with SimulatorProcess(latency=LATENCY, scale_set=[LINUX.name]) as simulator:
        return await _measured(simulator, callers, rounds, calls)


async def _measured(simulator: SimulatorProcess, callers: int, rounds: int, calls: int) -> Figures:
    settings = _settings(simulator)
    engine = Engine(settings)
    host = _host(BurstPlugin(engine, settings))

    def asked() -> int:
        seen = simulator.counters()["requests"]
        return sum(int(count) for kind, count in seen.items() if kind not in TOKEN_CHAIN)

    try:
        answers = await asyncio.gather(*(host.get_scaleset_settings(LINUX) for _ in range(callers)))
        requests = asked()
        _check(all(answer.certainty is Certainty.FRESH for answer in answers), "a cold caller got no fresh answer")
        bare: TTLCache[ScaleSetRef, Answer[ScaleSetSettings]] = TTLCache(1000, 300.0)
        bare[LINUX] = answers[0]
        hits, raws = await _warm(host, bare, rounds, calls)
        _check(asked() == requests, "a warm call reached the service")
    finally:
        await engine.stop()
    return {
        "hit_seconds_median": median(hits),
        "raw_cachetools_seconds_median": median(raws),
        "hit_calls": rounds * calls,
        "stampede_callers": callers,
        "stampede_requests": requests,
    }


async def _warm(
    host: Host, bare: TTLCache[ScaleSetRef, Answer[ScaleSetSettings]], rounds: int, calls: int
) -> tuple[list[float], list[float]]:
    async def through_the_hook() -> None:
        for _ in range(calls):
            await host.get_scaleset_settings(LINUX)

    async def from_the_bare_cache() -> None:
        for _ in range(calls):
            _ = bare[LINUX]

    hits, raws = [], []
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            hits.append(await _timed(through_the_hook) / calls)
            raws.append(await _timed(from_the_bare_cache) / calls)
    finally:
        gc.enable()
    return hits, raws


async def _timed(work: Callable[[], Awaitable[None]]) -> float:
    start = time.perf_counter()
    await work()
    return time.perf_counter() - start


def _settings(simulator: SimulatorProcess) -> Settings:
    section = {
        "github": {"config_url": simulator.config_url, "token": {"$env": "TOKEN"}},
        "journal": {"directory": ":memory:"},
    }
    environ = {"TOKEN": simulator.token}
    return load_settings({"plugins": {"burst": section}}, environ=environ, read_file=_no_file)


def _no_file(path: str) -> str:
    raise FileNotFoundError(path)


def _host(plugin: object) -> Host:
    # The plugin never depends on the host kit; this command plays a host, so it looks the kit up by its name.
    kit: Any = importlib.import_module("scaleset_hookspecs.host")
    manager = kit.create_manager({"plugins": {}}, plugins=[("burst", plugin)], load_entry_points=False)
    return cast("Host", kit.AsyncHost(manager))


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Unavailable(f"the benchmark measured something else: {otherwise}")
