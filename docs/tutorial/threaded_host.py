import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

from scaleset_hookspecs import JitConfig, ProvisionSettings, ScaleSetRef
from scaleset_hookspecs.configuration import read_config
from scaleset_hookspecs.host import SyncHost, create_manager

LINUX = ScaleSetRef(name="demo-linux")


def launch(host: SyncHost, config: JitConfig) -> None:
    """Start a machine, which blocks for a while; then say that the config is in use."""
    time.sleep(0.05)
    host.after_runner_launched(LINUX, config)


def burst(host: SyncHost, count: int, on_ready: Callable[[JitConfig], Awaitable[None] | None] | None) -> float:
    """Return the seconds until the last of `count` runners was launched."""
    began = time.monotonic()
    outcomes = host.provision_runners(LINUX, count, ProvisionSettings(deadline=60), on_ready)
    configs = [outcome for outcome in outcomes if isinstance(outcome, JitConfig)]
    for config in configs if on_ready is None else ():
        launch(host, config)
    print(f"{len(configs)} of {count} launched in {time.monotonic() - began:.2f} s")
    return time.monotonic() - began


def main(path: str, count: int) -> None:
    with SyncHost(create_manager(read_config(path))) as host:
        one_by_one = burst(host, count, None)
        in_threads = burst(host, count, lambda config: asyncio.to_thread(launch, host, config))
    print(f"launching in threads as configs arrive saves {one_by_one - in_threads:.2f} s")


main(sys.argv[1], int(sys.argv[2]))
