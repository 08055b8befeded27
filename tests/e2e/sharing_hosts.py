"""Engines that share a real Redis, against a simulator, on a clock that runs faster."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from scaleset_burst.engine import Engine
from scaleset_burst.settings import load_settings
from scaleset_burst.sharing import store
from scaleset_hookspecs import JitConfig, ProvisionSettings, ScaleSetRef
from scaleset_simulator import SimulatorProcess
from scaleset_simulator.clock import ScaledClock

__all__ = ["LINUX", "SPEED", "Fleet", "fleet", "until"]

LINUX = ScaleSetRef(name="demo-linux")
SPEED = 20.0


@dataclass
class Fleet:
    """Makes engines, and stops them.

    Attributes:
        got: Names of the configs handed out, by all engines.
    """

    simulator: SimulatorProcess
    url: str
    clock: ScaledClock
    engines: list[Engine]
    got: list[str]

    async def engine(self, **sections: object) -> Engine:
        """Start one more host."""
        sharing = {"url": self.url, "lease": 20, "timeout": 1} | dict(sections.pop("sharing", {}))  # type: ignore[call-overload]
        github = {"config_url": self.simulator.config_url, "token": {"$env": "T"}}
        burst = {
            "github": github,
            "journal": {"directory": ":memory:", "launch_grace": 5},
            "sharing": sharing,
            **sections,
        }
        settings = load_settings(
            {"plugins": {"burst": burst}},
            environ={"T": self.simulator.token, "REDIS": self.url},
            read_file=lambda _: "",
        )
        made = Engine(settings, clock=self.clock)
        self.engines.append(made)
        await made.start()
        return made

    async def burst(self, engine: Engine, count: int, **given: float) -> int:
        """Provision; return how many configs there are."""

        def ready(config: JitConfig) -> None:
            self.got.append(config.runner_name)
            engine.runner_launched(LINUX, config)

        outcomes = await engine.provision(LINUX, count, ProvisionSettings(**given), ready)  # type: ignore[arg-type]
        return sum(isinstance(outcome, JitConfig) for outcome in outcomes)

    async def settled(self) -> None:
        """Wait until an empty Redis has heard of everybody and grants."""
        await until(lambda: all(_online(engine) for engine in self.engines), "every host is granted something")

    def ghosts(self) -> set[str]:
        """Return what is registered and was not handed out."""
        return {str(runner["name"]) for runner in self.simulator.runners()} - set(self.got)


@asynccontextmanager
async def fleet(simulator: SimulatorProcess, url: str, origin: float) -> AsyncIterator[Fleet]:
    """Engines that share the Redis at that URL; stopped at the end."""
    made = Fleet(simulator, url, ScaledClock(SPEED, origin), [], [])
    store.SECOND = 1000.0 / SPEED  # the server's clock is the machine's
    try:
        yield made
    finally:
        store.SECOND = 1000.0
        await asyncio.gather(*(engine.stop() for engine in made.engines))


async def until(holds: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"never: {what}"
        await asyncio.sleep(0.02)


def _online(engine: Engine) -> bool:
    return bool(getattr(engine.admission.budget, "online", False))
