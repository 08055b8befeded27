"""The commands that mint or remove are hosts like any other: the plugin behind the host kit, and an end by signals."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast

from scaleset_burst.cli.output import fail, refuse
from scaleset_burst.cli.reading import read
from scaleset_burst.engine import Engine
from scaleset_burst.hooks import ENGINE_PLUGIN, BurstPlugin
from scaleset_burst.settings import Settings
from scaleset_hookspecs import ConfigError, ScalesetError, SourcedConfig, UsageError
from scaleset_hookspecs.host import AsyncHost, create_manager

__all__ = ["carry_out", "hosted", "read_enabled"]

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@asynccontextmanager
async def hosted(config: SourcedConfig) -> AsyncIterator[tuple[AsyncHost, Engine]]:
    """Give the host of a configuration and the engine behind it, started; stop them at the end."""
    host = AsyncHost(create_manager(config))
    engine = cast("BurstPlugin", host.manager.get_plugin(ENGINE_PLUGIN)).engine
    try:
        await host.started()
        yield host, engine
    finally:
        await host.stopping()


def read_enabled(path: Path) -> tuple[SourcedConfig, Settings]:
    """Return the mapping of a file whose plugin is enabled, and the settings that hold.

    Raises:
        ConfigError: Something is wrong with it.
        UsageError: The plugin is switched off.
    """
    config, settings = read(path)
    if not settings.enabled:
        raise UsageError("the plugin is switched off: no `plugins.burst`, or `enabled: false`")
    return config, settings


def carry_out(work: Coroutine[Any, Any, int]) -> int:
    """Run a command to its end, or until the first signal cancels it; return the exit code. A second one kills."""
    try:
        return asyncio.run(_until_signalled(work))
    except ConfigError as error:
        return refuse(error, as_json=False)
    except ScalesetError as error:
        return fail(str(error))


async def _until_signalled(work: Coroutine[Any, Any, int]) -> int:
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
    caught: list[signal.Signals] = []

    def end(number: signal.Signals) -> None:
        caught.append(number)
        for each in SIGNALS:
            loop.remove_signal_handler(each)
        task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, end, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not caught:
            raise
        return 128 + caught[0]
