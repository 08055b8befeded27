"""The plugin's hook implementations: glue between the contract and the engine, without logic of their own.

This module is the entry point. Its one hook reads the plugin's section and, if it is enabled, registers an object
that holds the engine with the manager it was given: state per manager, none per process.
"""

import os
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

from scaleset_burst.engine import Engine
from scaleset_burst.settings import Settings, load_settings
from scaleset_hookspecs import (
    Answer,
    JitConfig,
    JobCompleted,
    JobStarted,
    MaybeAwaitable,
    OnReady,
    Outcome,
    ProvisionSettings,
    RunnerInfo,
    RunnerRef,
    ScaleSetRef,
    ScaleSetSettings,
    Statistics,
    UsageError,
    hookimpl,
)
from scaleset_hookspecs.configuration import read_text

if TYPE_CHECKING:
    from scaleset_burst.metrics import Metrics

__all__ = ["ENGINE_PLUGIN", "BurstPlugin", "autoscaler_configure"]

ENGINE_PLUGIN = "burst-engine"
"""Name under which the plugin object stands in the host's manager."""


@hookimpl
def autoscaler_configure(config: Mapping[str, Any], manager: pluggy.PluginManager) -> None:
    """Read `plugins.burst`; register the plugin object unless it is switched off."""
    settings = load_settings(config, environ=os.environ, read_file=read_text)
    if settings.enabled:
        manager.register(BurstPlugin(Engine(settings), settings), name=ENGINE_PLUGIN)


def _metrics() -> "Metrics":
    try:
        from scaleset_burst.metrics import default_metrics  # noqa: PLC0415  # it needs the extra
    except ImportError as error:
        raise UsageError(f"`plugins.burst.metrics`: {error}") from error
    return default_metrics()


class BurstPlugin:
    """Answers the host's hooks for the scale sets that are ours."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine = engine
        self._settings = settings
        if settings.metrics:
            _metrics().add(engine.snapshot, scale_sets=() if settings.scale_sets == "all" else settings.scale_sets)

    def _ours(self, scale_set: ScaleSetRef) -> bool:
        return self._settings.for_scale_set(scale_set.name).enabled

    @hookimpl
    def autoscaler_started(self) -> Awaitable[None]:
        """Connect, warm up, and take up what a dead process left behind."""
        return self.engine.start()

    @hookimpl
    async def autoscaler_stopping(self) -> None:
        """Send nothing more, finish or undo what is in flight."""
        try:
            await self.engine.stop()
        finally:
            if self._settings.metrics:
                _metrics().remove(self.engine.snapshot)

    @hookimpl
    def provision_runners(
        self, scale_set: ScaleSetRef, count: int, settings: ProvisionSettings, on_ready: OnReady | None
    ) -> Awaitable[tuple[Outcome, ...]] | None:
        """Mint a burst, if the scale set is ours."""
        return self.engine.provision(scale_set, count, settings, on_ready) if self._ours(scale_set) else None

    @hookimpl
    def get_scaleset_settings(self, scale_set: ScaleSetRef) -> MaybeAwaitable[Answer[ScaleSetSettings]] | None:
        """Answer from the cache: at once when it is warm."""
        return self.engine.scale_set_settings(scale_set) if self._ours(scale_set) else None

    @hookimpl
    def get_runner_info(self, scale_set: ScaleSetRef, runner: RunnerRef) -> MaybeAwaitable[Answer[RunnerInfo]] | None:
        """Answer from the cache, with certainty and age."""
        return self.engine.runner_info(scale_set, runner) if self._ours(scale_set) else None

    @hookimpl
    def after_runner_launched(self, scale_set: ScaleSetRef, config: JitConfig) -> None:
        """Close the config in the journal."""
        if self._ours(scale_set):
            self.engine.runner_launched(scale_set, config)

    @hookimpl
    def on_scaleset_statistics(self, scale_set: ScaleSetRef, statistics: Statistics) -> None:
        """Warm up when work is coming; keep the cache true."""
        if self._ours(scale_set):
            self.engine.statistics_seen(scale_set, statistics)

    @hookimpl
    def on_demand_changed(self, scale_set: ScaleSetRef, desired: int) -> None:
        """Cancel what has not been sent beyond the demand."""
        if self._ours(scale_set):
            self.engine.demand_changed(scale_set, desired)

    @hookimpl
    def after_job_started(self, scale_set: ScaleSetRef, event: JobStarted) -> None:
        """Mark the runner busy."""
        if self._ours(scale_set):
            self.engine.job_started(scale_set, event)

    @hookimpl
    def after_job_completed(self, scale_set: ScaleSetRef, event: JobCompleted) -> None:
        """Forget the runner: an ephemeral one ends with its job."""
        if self._ours(scale_set):
            self.engine.job_completed(scale_set, event)

    @hookimpl
    def after_runner_removed(self, scale_set: ScaleSetRef, runner: RunnerRef) -> None:
        """Forget the runner."""
        if self._ours(scale_set):
            self.engine.runner_removed(scale_set, runner)
