"""One life of the host in the soak: three scale sets, one engine, on a clock that runs ahead; killed from outside."""

import asyncio
import json
import logging
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from autoscaler.autoscaling import Autoscaler
from scaleset_burst.engine import Engine
from scaleset_burst.hooks import BurstPlugin
from scaleset_burst.settings import load_settings
from scaleset_client import ConnectionOptions, Listener, MessageSession, ScaleSetClient, TokenCredentials
from scaleset_hookspecs import ScaleSetRef, ServiceError
from scaleset_hookspecs.host import AsyncHost, RecordFile, create_manager
from scaleset_hookspecs.host.fleet import FleetLimits
from scaleset_simulator.clock import ScaledClock
from tests.chaos.machines import RemoteLauncher

T = TypeVar("T")

START_TIMEOUT = 240.0
"""Simulated seconds; machines boot in 60."""


async def live(told: dict[str, object], clock: ScaledClock) -> None:
    """Host the scale sets until SIGTERM."""
    url, names, capacity = str(told["config_url"]), told["scale_sets"], int(str(told["capacity"]))
    assert isinstance(names, list)
    chance = random.Random(os.getpid())
    # The transport's time limits are the machine's, so they shrink with the clock.
    options = ConnectionOptions(poll_timeout=max(0.5, 100.0 / clock.speed), read_timeout=5.0)
    credentials = TokenCredentials(token=os.environ["CHAOS_TOKEN"])
    client = ScaleSetClient(url, credentials, options=options, clock=clock, chance=chance)
    section = {
        "github": {"config_url": url, "token": {"$env": "CHAOS_TOKEN"}},
        "journal": {"directory": str(told["journal"])},
        "budget": {"registrations": 100_000},
    }
    settings = load_settings({"plugins": {"burst": section}}, environ=os.environ, read_file=lambda _: "")
    engine = Engine(settings, clock=clock, random=chance)
    plugin = ("burst", BurstPlugin(engine, settings))
    hooks = AsyncHost(create_manager({"plugins": {}}, plugins=[plugin], load_entry_points=False))
    sets = [await begin(hooks, client, clock, name, capacity, int(str(told["port"]))) for name in names]
    await hooks.started()
    for autoscaler in sets:
        await persist(autoscaler.adopt, clock)
    listening = [asyncio.create_task(listen(autoscaler, client, clock, capacity)) for autoscaler in sets]
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    await asyncio.wait([*listening, asyncio.create_task(over.wait())], return_when=asyncio.FIRST_COMPLETED)
    for each in listening:
        if each.done():
            each.result()
        each.cancel()
    await asyncio.wait(listening)
    await asyncio.gather(*(each.stop(asyncio.Event()) for each in sets))
    await hooks.stopping()
    await client.aclose()


async def persist(work: Callable[[], Awaitable[T]], clock: ScaledClock) -> T:
    """Try until the service has answered."""
    while True:
        try:
            return await work()
        except ServiceError:
            await clock.sleep(5)


async def begin(
    hooks: AsyncHost, client: ScaleSetClient, clock: ScaledClock, name: str, capacity: int, port: int
) -> Autoscaler:
    """Find a scale set and host it."""
    found = await persist(partial(client.get_scale_set_by_name, name), clock)
    assert found is not None
    limits = FleetLimits(max_runners=capacity, start_timeout=START_TIMEOUT)
    launcher = partial(RemoteLauncher, port, name, clock)
    ref = ScaleSetRef(name=name, id=found.id)
    return Autoscaler(hooks, client, launcher, ref, limits, record=RecordFile(None), clock=clock)


async def listen(autoscaler: Autoscaler, client: ScaleSetClient, clock: ScaledClock, capacity: int) -> None:
    """Listen for ever."""

    async def open_session() -> MessageSession:
        return await client.open_session(autoscaler.scale_set.id or 0, "soak")

    while True:
        try:
            async with Listener(open_session, lambda: capacity, clock=clock) as listener:
                async for message in listener:
                    autoscaler.on_message(message.events, message.statistics)
        except ServiceError:  # the session of the life before is still open
            await clock.sleep(5)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    told = json.loads(sys.argv[1])
    asyncio.run(live(told, ScaledClock(told["speed"], told["origin"])))
