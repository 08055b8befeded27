"""Both ways into a host, behind one face, so that one suite can hold both to the same behaviour."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol

import pluggy

from scaleset_hookspecs.host.calls import PLAIN, AsyncHost
from scaleset_hookspecs.host.portal import SyncHost
from scaleset_hookspecs.types import (
    Answer,
    OnReady,
    Outcome,
    ProvisionSettings,
    RunnerInfo,
    RunnerRef,
    ScaleSetRef,
    ScaleSetSettings,
)

__all__ = ["Caller", "open_async", "open_sync"]


class Caller(Protocol):
    """The request hooks as blocking methods, and several calls at once."""

    def provision_runners(
        self, scale_set: ScaleSetRef, count: int, settings: ProvisionSettings = ..., on_ready: OnReady | None = ...
    ) -> tuple[Outcome, ...]:
        """Call the hook of this name."""

    def get_scaleset_settings(self, scale_set: ScaleSetRef) -> Answer[ScaleSetSettings]:
        """Call the hook of this name."""

    def get_runner_info(self, scale_set: ScaleSetRef, runner: RunnerRef) -> Answer[RunnerInfo]:
        """Call the hook of this name."""

    def provision_together(self, scale_set: ScaleSetRef, count: int, calls: int) -> list[tuple[Outcome, ...]]:
        """Call `provision_runners` several times at once."""


class _AsyncCaller:
    """Runs each call on one loop, as an async host would."""

    def __init__(self, host: AsyncHost, runner: asyncio.Runner) -> None:
        self._host = host
        self._runner = runner

    def provision_runners(
        self,
        scale_set: ScaleSetRef,
        count: int,
        settings: ProvisionSettings = PLAIN,
        on_ready: OnReady | None = None,
    ) -> tuple[Outcome, ...]:
        return self._runner.run(self._host.provision_runners(scale_set, count, settings, on_ready))

    def get_scaleset_settings(self, scale_set: ScaleSetRef) -> Answer[ScaleSetSettings]:
        return self._runner.run(self._host.get_scaleset_settings(scale_set))

    def get_runner_info(self, scale_set: ScaleSetRef, runner: RunnerRef) -> Answer[RunnerInfo]:
        return self._runner.run(self._host.get_runner_info(scale_set, runner))

    def provision_together(self, scale_set: ScaleSetRef, count: int, calls: int) -> list[tuple[Outcome, ...]]:
        async def together() -> list[tuple[Outcome, ...]]:
            return await asyncio.gather(*(self._host.provision_runners(scale_set, count) for _ in range(calls)))

        return self._runner.run(together())


class _SyncCaller:
    """Calls through the portal, as a host with threads would."""

    def __init__(self, host: SyncHost) -> None:
        self.provision_runners = host.provision_runners
        self.get_scaleset_settings = host.get_scaleset_settings
        self.get_runner_info = host.get_runner_info

    def provision_together(self, scale_set: ScaleSetRef, count: int, calls: int) -> list[tuple[Outcome, ...]]:
        with ThreadPoolExecutor(calls) as threads:
            return list(threads.map(lambda _: self.provision_runners(scale_set, count), range(calls)))


@contextmanager
def open_async(manager: pluggy.PluginManager) -> Iterator[Caller]:
    """Start and stop the plugins on a loop of their own."""
    with asyncio.Runner() as runner:
        host = AsyncHost(manager)
        runner.run(host.started())
        try:
            yield _AsyncCaller(host, runner)
        finally:
            runner.run(host.stopping())


@contextmanager
def open_sync(manager: pluggy.PluginManager) -> Iterator[Caller]:
    """Start and stop the plugins behind a portal."""
    with SyncHost(manager, call_timeout=60.0) as host:
        yield _SyncCaller(host)
