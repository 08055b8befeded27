"""A small host that launches what it is given, to be killed."""

import asyncio
import json
import os
import random
import resource
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import Request, urlopen

from scaleset_burst.engine import Engine
from scaleset_burst.settings import load_settings
from scaleset_hookspecs import JitConfig, ProvisionSettings, ScaleSetRef

SCALE_SET = ScaleSetRef(name="demo-linux")


async def failing_disk(chance: random.Random) -> None:
    """Let the disk take nothing, now and then: files may not be written, pipes may."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    while True:
        await asyncio.sleep(chance.expovariate(3.0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
        await asyncio.sleep(chance.expovariate(10.0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


async def main(about: dict[str, str], count: int, *, settle: bool) -> None:
    """Burst, launch, report; then, if nobody kills us, wait until everything is resolved."""
    section = {
        "github": {"config_url": about["config_url"], "token": {"$env": "CHAOS_TOKEN"}},
        "journal": {"directory": about["place"], "launch_grace": 2},
        "budget": {"registrations": 1_000_000},  # what is tried here are names; waiting for windows would take an hour
    }
    settings = load_settings(
        {"plugins": {"burst": section}}, environ=os.environ, read_file=lambda path: Path(path).read_text()
    )
    failing = None if about["disk"] == "works" else asyncio.create_task(failing_disk(random.Random(int(about["seed"]))))
    engine = Engine(settings)
    await engine.start()
    print("bursting", flush=True)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(8) as threads:

        async def launch(config: JitConfig) -> None:
            request = Request(f"{about['url']}/_sim/connect", data=config.encoded.encode(), method="POST")
            await loop.run_in_executor(threads, lambda: urlopen(request, timeout=10).close())
            print(config.runner_name, flush=True)
            engine.runner_launched(SCALE_SET, config)

        await engine.provision(SCALE_SET, count, ProvisionSettings(name_prefix=about["disk"]), launch)
        while settle and len(engine.minter.resolver):
            await asyncio.sleep(0.2)
    await engine.stop()
    if failing is not None:
        failing.cancel()


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    asyncio.run(main(given, int(given["count"]), settle=sys.argv[2] == "settle"))
