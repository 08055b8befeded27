"""Mints by the thousand while everything goes wrong that can: exactly once, within budget, polite."""

import asyncio
import os
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

from scaleset_burst.engine import Engine
from scaleset_burst.settings import load_settings
from scaleset_hookspecs import FailureReason, JitConfig, MintFailure, Outcome, ProvisionSettings, ScaleSetRef
from scaleset_simulator import SimulatorProcess
from scaleset_simulator.clock import Clock, ScaledClock, SystemClock
from tests.chaos.outcome import UNEVEN, ChaosResult, judge

SCALE_SET = ScaleSetRef(name="demo-linux")
CALLS = 10

FAULTS = (
    "mint:retry=4:30%@20+6",
    "mint:retry-none:first 1@100+60",
    "mint:limit=20:first 2@320+30",
    "mint:retry-date=9:20%@700+10",
    "mint:retry=4:30%@1000+6",
    "mint:drop-after:5%",
    "mint:status-after=502:2%",
    "mint:drop-before:2%",
    "mint:conflict:1%",
    "mint:hang-after:0.5%",
    "mint:hang-before:0.5%",
    "find_runner:status=503:5%",
    "remove_runner:status=503:5%",
    "runners:status=503:10%",
)
"""The shares of issue and design: 5 % lost after commit, 2 % 5xx after commit, 2 % reset before, 1 % 409, 1 % hangs."""


def run_faults(mints: int, seed: int, speed: float, *, names: bool = False) -> ChaosResult:
    """Mint under faults; the simulated clock runs `speed` times faster than the real one.

    Args:
        mints: How many.
        seed: Of the faults.
        speed: Of the clock.
        names: The host chooses the names.
    """
    origin = time.time()
    faults = [part for fault in FAULTS for part in ("--fault", fault)]
    # A little over what the client believes, so that the client's own budget is what holds, not the service's refusal.
    limits = ("--registrations", "1600", "--window", "300", "--seed", str(seed), "--group-capacity", "50000")
    clocked = ("--speed", str(speed), "--origin", str(origin))
    with (
        tempfile.TemporaryDirectory() as place,
        SimulatorProcess("--latency", UNEVEN, *limits, *clocked, *faults) as simulator,
    ):
        clock: Clock = SystemClock() if speed == 1.0 else ScaledClock(speed, origin)
        started = time.monotonic()
        outcomes, heard, report = asyncio.run(_burst(simulator, Path(place), clock, mints, seed, names=names))
        configs = [outcome.runner_name for outcome in outcomes if isinstance(outcome, JitConfig)]
        outcome = judge(
            seed=seed,
            asked=mints,
            delivered=heard,
            failed=len(outcomes) - len(configs),
            registered=(str(runner["name"]) for runner in simulator.runners()),
            counters=simulator.counters(),
        )
        reasons = Counter(f"{o.reason}: {o.message}" for o in outcomes if not isinstance(o, JitConfig))
        if names and set(configs) - {named(number) for number in range(mints)}:
            outcome["broken_promises"].append("names")
        if sorted(configs) != sorted(heard):
            outcome["broken_promises"].append("on_ready and outcomes differ")
        counters = simulator.counters()
        return (
            outcome
            | report
            | {
                "reasons": dict(reasons),
                "seconds": round(time.monotonic() - started, 1),
                "simulated_seconds": round(counters["time"]) if speed != 1.0 else None,
                "crossed_while_told": counters["crossed_while_told"],
                "faults": counters["faults"],
            }
        )


def named(number: int) -> str:
    """Return the name that the host chooses for one of its runners."""
    return f"chosen-{number:05d}"


async def _burst(
    simulator: SimulatorProcess, place: Path, clock: Clock, mints: int, seed: int, *, names: bool
) -> tuple[list[Outcome], list[str], ChaosResult]:
    os.environ["CHAOS_TOKEN"] = simulator.token
    speed = clock.speed if isinstance(clock, ScaledClock) else 1.0
    section = {
        "github": {"config_url": simulator.config_url, "token": {"$env": "CHAOS_TOKEN"}},
        "journal": {"directory": str(place)},
        "batch": {"max_attempts": 20},
        "connections": {"read_timeout": 15.0 if speed == 1.0 else 60.0, "connect_timeout": 30.0},
    }
    settings = load_settings(
        {"plugins": {"burst": section}}, environ=os.environ, read_file=lambda path: Path(path).read_text()
    )
    engine = Engine(settings, clock=clock, random=random.Random(seed))
    heard: list[str] = []

    def on_ready(config: JitConfig) -> None:
        heard.append(config.runner_name)
        engine.runner_launched(SCALE_SET, config)

    await engine.start()
    shares = [mints // CALLS + (1 if call < mints % CALLS else 0) for call in range(CALLS)]
    numbers = iter(range(mints))

    def settings_of(share: int) -> ProvisionSettings:
        return ProvisionSettings(names=tuple(named(next(numbers)) for _ in range(share)) if names else None)

    calls = (engine.provision(SCALE_SET, share, settings_of(share), on_ready) for share in shares if share)
    answers = await asyncio.gather(*calls, return_exceptions=True)
    resolver = engine.minter.resolver
    until = clock.monotonic() + 600.0
    while len(resolver) and clock.monotonic() < until:
        await clock.sleep(1.0)
    report = {"resolved": resolver.settled, "unresolved": len(resolver), "removed": resolver.removed}
    await engine.stop()
    outcomes: list[Outcome] = []
    for answer, share in zip(answers, filter(None, shares), strict=True):
        if isinstance(answer, BaseException):
            outcomes += [MintFailure(reason=FailureReason.UNAVAILABLE, message=str(answer))] * share
        else:
            outcomes += answer
    return outcomes, heard, report
