"""Every hook, on one page.

Request hooks (`provision_runners`, `get_scaleset_settings`, `get_runner_info`) are `firstresult`: the first plugin
that returns something other than `None` has answered. An implementation is a plain `def`: it decides at once, without
I/O, whether the request is its own, returns `None` if not, and else a value or an awaitable of it. Never `async def`: a
coroutine is not `None`, so it could never decline. Raising is not declining.

Every hook is called on the host's one event loop, under async hosts and, through the portal, under sync ones.
"""

from collections.abc import Mapping
from typing import Any

import pluggy

from scaleset_hookspecs.markers import hookspec
from scaleset_hookspecs.types import (
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
)


@hookspec
def autoscaler_configure(config: Mapping[str, Any], manager: pluggy.PluginManager) -> None:
    """Take the host's configuration, once, before any other hook.

    Args:
        config: The whole configuration of the host, as read from its YAML. A `SourcedConfig` of the host kit also
            knows the file and the lines.
        manager: The host's plugin manager. A plugin that has state registers an object holding it here.

    Raises:
        ConfigError: The plugin's section is wrong; carries every problem at once.
    """


@hookspec
def autoscaler_started() -> MaybeAwaitable[None] | None:
    """Open connections and warm up; called once, on the loop, before the first request.

    Returns:
        Nothing, or an awaitable; the host awaits all of them before it goes on.
    """


@hookspec
def autoscaler_stopping() -> MaybeAwaitable[None] | None:
    """Finish or undo what is under way; called once, on the loop, after the last request.

    Returns:
        Nothing, or an awaitable; the host awaits all of them, within its own time limit.
    """


@hookspec(firstresult=True)
def provision_runners(
    scale_set: ScaleSetRef, count: int, settings: ProvisionSettings, on_ready: OnReady | None
) -> MaybeAwaitable[tuple[Outcome, ...]] | None:
    """Mint JIT configs for new runners; called at each rise in demand, by any number of callers at once.

    Args:
        scale_set: The scale set to mint for.
        count: How many, at least 1.
        settings: What the host wants beyond a number.
        on_ready: Called with each config as it arrives, so that its runner starts while the rest are minted.

    Returns:
        `None` to decline; else `count` outcomes in request order, each a JIT config or a typed failure.

    Raises:
        UsageError: `count` is below 1 or over `settings.max_runners`.
        Rejected: None of them can ever work (unknown scale set, no permission).
        Unavailable: The service cannot be reached and nothing was minted.
    """


@hookspec(firstresult=True)
def get_scaleset_settings(scale_set: ScaleSetRef) -> MaybeAwaitable[Answer[ScaleSetSettings]] | None:
    """Give the scale set's settings; called as often as the host likes.

    Args:
        scale_set: The scale set, by name, or by id if the host knows it.

    Returns:
        `None` to decline; else the settings with how certain and how old they are. A failed look-up is an answer
        (`STALE` or `UNKNOWN`), not an error.

    Raises:
        Rejected: The credentials are refused.
    """


@hookspec(firstresult=True)
def get_runner_info(scale_set: ScaleSetRef, runner: RunnerRef) -> MaybeAwaitable[Answer[RunnerInfo]] | None:
    """Say whether a runner is registered; called before a host gives up on one.

    Args:
        scale_set: The scale set the runner should belong to.
        runner: The runner, by name, id or both.

    Returns:
        `None` to decline; else the runner, `ABSENT` (the service said so) or `UNKNOWN` (nobody could look).

    Raises:
        Rejected: The credentials are refused.
    """


@hookspec
def after_runner_launched(scale_set: ScaleSetRef, config: JitConfig) -> None:
    """Hear that a config is in use by a machine; called once per config, after its launch."""


@hookspec
def on_scaleset_statistics(scale_set: ScaleSetRef, statistics: Statistics) -> None:
    """Hear the counters of each message, before the host acts on them."""


@hookspec
def on_demand_changed(scale_set: ScaleSetRef, desired: int) -> None:
    """Hear how many runners the scale set should have in all; called when the number falls during a burst.

    Args:
        scale_set: The scale set.
        desired: Runners wanted in all, busy ones included. What a running burst has not sent yet beyond this
            number is cancelled.
    """


@hookspec
def after_job_started(scale_set: ScaleSetRef, event: JobStarted) -> None:
    """Hear that a runner took a job; may be called twice for one job."""


@hookspec
def after_job_completed(scale_set: ScaleSetRef, event: JobCompleted) -> None:
    """Hear that a job is over; may be called twice, or without an `after_job_started` before it."""


@hookspec
def after_runner_removed(scale_set: ScaleSetRef, runner: RunnerRef) -> None:
    """Hear that the host removed a runner's registration, or saw that it is gone."""
