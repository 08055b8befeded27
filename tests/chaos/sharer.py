"""One of several hosts that share their limits: bursts when told to, launches, and says what came of it."""

import asyncio
import json
import os
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import Request, urlopen

from scaleset_burst.engine import Engine
from scaleset_burst.settings import load_settings
from scaleset_burst.sharing import store
from scaleset_hookspecs import JitConfig, ProvisionSettings, ScaleSetRef
from scaleset_simulator.clock import Clock, ScaledClock, SystemClock

SCALE_SET = ScaleSetRef(name="demo-linux")


async def main(about: dict[str, object], count: int) -> None:
    """Start; at a line on stdin burst; at the next one stop."""
    speed = float(str(about["speed"]))
    clock: Clock = SystemClock() if speed == 1 else ScaledClock(speed, float(str(about["origin"])))
    store.SECOND = 1000.0 / speed  # the server's clock is the machine's
    section = {
        "github": {"config_url": about["config_url"], "token": {"$env": "CHAOS_TOKEN"}},
        "journal": {"directory": about["place"], "launch_grace": 0.1},
        "batch": {"max_attempts": 20},
        "connections": {"read_timeout": 60.0, "connect_timeout": 30.0},
        "sharing": {"url": about["redis"], "lease": about["lease"], "timeout": "500ms"},
    }
    settings = load_settings(
        {"plugins": {"burst": section}}, environ=os.environ, read_file=lambda path: Path(path).read_text()
    )
    engine = Engine(settings, clock=clock, random=random.Random(str(about["place"])))
    await engine.start()
    if about["look"]:
        await engine.scale_set_settings(SCALE_SET)  # type: ignore[misc]  # cold, so it is awaitable
    loop = asyncio.get_running_loop()
    say("ready")
    await loop.run_in_executor(None, sys.stdin.readline)
    with ThreadPoolExecutor(4) as threads:

        async def launch(config: JitConfig) -> None:
            if about["connect"]:
                request = Request(f"{about['url']}/_sim/connect", data=config.encoded.encode(), method="POST")
                await loop.run_in_executor(threads, lambda: urlopen(request, timeout=30).close())
            say(f"got {config.runner_name} {clock.monotonic():.3f}")
            engine.runner_launched(SCALE_SET, config)

        outcomes = await engine.provision(SCALE_SET, count, ProvisionSettings(), launch) if count else ()
        failed = [str(outcome) for outcome in outcomes if not isinstance(outcome, JitConfig)]
        say("ended " + json.dumps({"failed": len(failed), "why": failed[:1]}))
        until = clock.monotonic() + 300
        while len(engine.minter.resolver) and clock.monotonic() < until:
            await clock.sleep(1)
        say("settled")
        await loop.run_in_executor(None, sys.stdin.readline)
    await engine.stop()


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    asyncio.run(main(given, int(given["count"])))
