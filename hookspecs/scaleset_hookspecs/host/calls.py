"""Typed calls for hosts that live on an event loop."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import threading
from collections.abc import Awaitable
from typing import Any, TypeVar, overload

import pluggy

from scaleset_hookspecs.errors import HostError, Unavailable, UsageError
from scaleset_hookspecs.host.manager import DEFAULTS
from scaleset_hookspecs.types import (
    Answer,
    JitConfig,
    JobCompleted,
    JobStarted,
    OnReady,
    Outcome,
    ProvisionSettings,
    RunnerInfo,
    RunnerRef,
    ScaleSetRef,
    ScaleSetSettings,
    Statistics,
)

__all__ = ["AsyncHost", "check_request", "resolve"]

logger = logging.getLogger(__name__)

T = TypeVar("T")
PLAIN = ProvisionSettings()


@overload
async def resolve(answer: Awaitable[T]) -> T: ...
@overload
async def resolve(answer: T) -> T: ...
async def resolve(answer: Any) -> Any:
    """Return what a hook answered, awaited if it is an awaitable."""
    return await answer if inspect.isawaitable(answer) else answer


def check_request(scale_set: ScaleSetRef, count: int, settings: ProvisionSettings) -> None:
    """Refuse a request that can never be right, before any hook hears of it.

    Raises:
        UsageError: The count is below 1 or over the maximum, or not that of the names, or the deadline has passed.
    """
    place = f"provision_runners for {scale_set.name}"
    if type(count) is not int or count < 1:  # bool is an int, and no count
        raise UsageError(f"{place}: count is {count!r}; expected a whole number from 1")
    if settings.max_runners is not None and count > settings.max_runners:
        raise UsageError(f"{place}: count is {count}; the scale set's maximum is {settings.max_runners}")
    if settings.names is not None and len(settings.names) != count:
        raise UsageError(f"{place}: count is {count}, and {len(settings.names)} names are given; expected as many")
    if settings.deadline is not None and settings.deadline <= 0:
        raise UsageError(f"{place}: deadline is {settings.deadline:g} s; expected more than 0")


class AsyncHost:
    """The hooks as methods: one for each, with types. Everything happens on the loop that calls first.

    A call from another loop, thread or process raises `HostError`: connections and locks belong to the first.
    """

    def __init__(self, manager: pluggy.PluginManager, *, fall_back: bool = False) -> None:
        """Make the calls of a host.

        Args:
            manager: From `create_manager`.
            fall_back: When a plugin says `Unavailable`, ask the host's own defaults instead.
        """
        self.manager = manager
        self._fall_back = fall_back
        self._falling_back = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._place: tuple[int, int] | None = None

    async def started(self) -> None:
        """Let the plugins open and warm up, all at once; the first error is raised when all have ended."""
        errors = await self._life("autoscaler_started")
        if errors:
            raise errors[0]

    async def stopping(self, time_limit: float = 30.0) -> None:
        """Let the plugins finish and clean up; errors are logged, and so is running out of `time_limit` seconds."""
        try:
            async with asyncio.timeout(time_limit):
                errors = await self._life("autoscaler_stopping")
        except TimeoutError:
            logger.warning("the plugins did not stop within %g s", time_limit)
            return
        for error in errors:
            logger.error("a plugin failed to stop cleanly", exc_info=error)

    async def provision_runners(
        self,
        scale_set: ScaleSetRef,
        count: int,
        settings: ProvisionSettings = PLAIN,
        on_ready: OnReady | None = None,
    ) -> tuple[Outcome, ...]:
        """Mint configs for new runners; see the hook of this name."""
        check_request(scale_set, count, settings)
        outcomes = await self._ask(
            "provision_runners", scale_set=scale_set, count=count, settings=settings, on_ready=on_ready
        )
        if not isinstance(outcomes, tuple) or len(outcomes) != count:
            got = f"{len(outcomes)} outcomes" if isinstance(outcomes, tuple) else f"a {type(outcomes).__name__}"
            raise HostError(f"provision_runners was asked for {count} and answered {got}: a plugin breaks the contract")
        return outcomes

    async def get_scaleset_settings(self, scale_set: ScaleSetRef) -> Answer[ScaleSetSettings]:
        """Return the scale set's settings; see the hook of this name."""
        answer: Answer[ScaleSetSettings] = await self._ask("get_scaleset_settings", scale_set=scale_set)
        return answer

    async def get_runner_info(self, scale_set: ScaleSetRef, runner: RunnerRef) -> Answer[RunnerInfo]:
        """Say whether a runner is registered; see the hook of this name."""
        answer: Answer[RunnerInfo] = await self._ask("get_runner_info", scale_set=scale_set, runner=runner)
        return answer

    def after_runner_launched(self, scale_set: ScaleSetRef, config: JitConfig) -> None:
        """Tell the plugins that a config is in use."""
        self._tell("after_runner_launched", scale_set=scale_set, config=config)

    def on_scaleset_statistics(self, scale_set: ScaleSetRef, statistics: Statistics) -> None:
        """Tell the plugins a message's counters."""
        self._tell("on_scaleset_statistics", scale_set=scale_set, statistics=statistics)

    def on_demand_changed(self, scale_set: ScaleSetRef, desired: int) -> None:
        """Tell the plugins how many runners are wanted in all."""
        self._tell("on_demand_changed", scale_set=scale_set, desired=desired)

    def after_job_started(self, scale_set: ScaleSetRef, event: JobStarted) -> None:
        """Tell the plugins that a runner took a job."""
        self._tell("after_job_started", scale_set=scale_set, event=event)

    def after_job_completed(self, scale_set: ScaleSetRef, event: JobCompleted) -> None:
        """Tell the plugins that a job is over."""
        self._tell("after_job_completed", scale_set=scale_set, event=event)

    def after_runner_removed(self, scale_set: ScaleSetRef, runner: RunnerRef) -> None:
        """Tell the plugins that a runner is gone."""
        self._tell("after_runner_removed", scale_set=scale_set, runner=runner)

    async def _ask(self, hook: str, **arguments: object) -> Any:  # noqa: ANN401  # typed by each caller
        self._stay(asyncio.get_running_loop())
        try:
            answer = await resolve(getattr(self.manager.hook, hook)(**arguments))
        except Unavailable as error:
            defaults = self._defaults(hook) if self._fall_back else None
            if defaults is None:
                raise
            if not self._falling_back:
                logger.warning("%s: %s; the host's own defaults answer until it is back", hook, error)
            self._falling_back = True
            answer = await resolve(defaults(**arguments))
        else:
            self._falling_back = False
        if answer is None:
            raise HostError(
                f"nobody answers {hook}: every plugin declined; give create_manager a default for it, or enable a "
                f"plugin under `plugins` in the configuration"
            )
        return answer

    def _defaults(self, hook: str) -> Any:  # noqa: ANN401  # a hook caller, which pluggy does not type
        defaults = self.manager.get_plugin(DEFAULTS)
        if defaults is None or not hasattr(defaults, hook):
            return None
        others = [plugin for plugin in self.manager.get_plugins() if plugin is not defaults]
        return self.manager.subset_hook_caller(hook, others)

    async def _life(self, hook: str) -> list[BaseException]:
        """Call a hook of the host's life and await all answers; return all that was raised."""
        self._stay(asyncio.get_running_loop())
        try:
            answers = getattr(self.manager.hook, hook)()
        except Exception as error:  # noqa: BLE001  # a wrapper's; what plugins raise is among the answers
            return [error]
        answers = answers if isinstance(answers, list) else [answers]  # a wrapper may answer anything
        # A coroutine is a task of its own: cut off before it began, it is told so, and Python does not warn of it.
        waited = (answer if inspect.iscoroutine(answer) else resolve(answer) for answer in answers)
        results = await asyncio.gather(*waited, return_exceptions=True)
        return [result for result in results if isinstance(result, BaseException)]

    def _tell(self, hook: str, **arguments: object) -> None:
        """Call an observer hook; what it raises is logged."""
        self._stay(_running_loop())
        try:
            getattr(self.manager.hook, hook)(**arguments)
        except Exception:
            logger.exception("a wrapper of %s raised; the host goes on", hook)

    def _stay(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Refuse a call from any other loop, thread or process than the first call's."""
        place = os.getpid(), threading.get_ident()
        if self._place is None or (self._loop is None and loop is not None):
            self._place, self._loop = place, loop
        if place[0] != self._place[0]:
            raise HostError(
                f"this host belongs to process {self._place[0]}, and this is process {place[0]}, forked from it; make "
                f"a manager and a host after the fork"
            )
        if place != self._place or (loop is not None and loop is not self._loop):
            raise HostError(
                "this host belongs to another event loop, on which its plugins opened their connections; call it from "
                "there, make a manager and a host for each loop, or use SyncHost, which threads may call"
            )


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
