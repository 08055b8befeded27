"""An implementation of the request hooks in memory, for tests of hosts."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable
from typing import Any

from scaleset_hookspecs.errors import NotFound
from scaleset_hookspecs.host.calls import resolve
from scaleset_hookspecs.markers import hookimpl
from scaleset_hookspecs.types import (
    Answer,
    Certainty,
    FailureReason,
    JitConfig,
    MintFailure,
    OnReady,
    Outcome,
    ProvisionSettings,
    RunnerInfo,
    RunnerRef,
    ScaleSetRef,
    ScaleSetSettings,
)

__all__ = ["FakeProvisioner"]


class FakeProvisioner:
    """Answers every request hook from memory; no network, no time.

    Attributes:
        runners: What is registered, by name.
        failures: Reasons given to the next ones asked for, instead of a config.
        launched: Names the host reported as launched.
    """

    def __init__(self, *scale_sets: str, declines: bool = False) -> None:
        """Make one that knows some scale sets.

        Args:
            scale_sets: Their names; ids count from 1.
            declines: Answer `None` to every request, as a plugin does that is not responsible.
        """
        self.scale_sets = {name: number for number, name in enumerate(scale_sets, 1)}
        self.declines = declines
        self.runners: dict[str, RunnerInfo] = {}
        self.failures: list[FailureReason] = []
        self.launched: list[str] = []
        self._numbers = itertools.count(1)

    @hookimpl
    def provision_runners(
        self, scale_set: ScaleSetRef, count: int, settings: ProvisionSettings, on_ready: OnReady | None
    ) -> Awaitable[tuple[Outcome, ...]] | None:
        """Mint from memory."""
        return None if self.declines else self._provision(scale_set, count, settings, on_ready)

    @hookimpl
    def get_scaleset_settings(self, scale_set: ScaleSetRef) -> Answer[ScaleSetSettings] | None:
        """Answer from memory."""
        if self.declines:
            return None
        if scale_set.name not in self.scale_sets:
            return Answer(certainty=Certainty.ABSENT, age=0.0, reason="no such scale set")
        number = self.scale_sets[scale_set.name]
        value = ScaleSetSettings(id=number, name=scale_set.name, runner_group_id=1, runner_group_name="Default")
        return Answer(certainty=Certainty.FRESH, value=value, age=0.0)

    @hookimpl
    def get_runner_info(self, scale_set: ScaleSetRef, runner: RunnerRef) -> Answer[RunnerInfo] | None:
        """Answer from memory."""
        del scale_set
        if self.declines:
            return None
        for known in self.runners.values():
            if known.name == runner.name or known.id == runner.id:
                return Answer(certainty=Certainty.FRESH, value=known, age=0.0)
        return Answer(certainty=Certainty.ABSENT, age=0.0, reason="no such runner")

    @hookimpl
    def after_runner_launched(self, scale_set: ScaleSetRef, config: JitConfig) -> None:
        """Remember the launch."""
        del scale_set
        self.launched.append(config.runner_name)

    async def _provision(
        self, scale_set: ScaleSetRef, count: int, settings: ProvisionSettings, on_ready: OnReady | None
    ) -> tuple[Outcome, ...]:
        if scale_set.name not in self.scale_sets:
            raise NotFound(f"there is no scale set {scale_set.name!r}", status=404)
        outcomes: list[Outcome] = []
        for index in range(count):
            if self.failures:
                outcomes.append(MintFailure(reason=self.failures.pop(0), message="as the test wanted"))
                continue
            name = None if settings.names is None else settings.names[index]
            outcomes.append(await self._mint(scale_set, settings, on_ready, name))
        return tuple(outcomes)

    async def _mint(
        self, scale_set: ScaleSetRef, settings: ProvisionSettings, on_ready: OnReady | None, name: str | None
    ) -> Outcome:
        number = next(self._numbers)
        name = name or f"{settings.name_prefix or scale_set.name}-{number}"
        if name in self.runners:
            return MintFailure(reason=FailureReason.NAME_TAKEN, message=f"another runner is called {name}")
        set_id = self.scale_sets[scale_set.name]
        self.runners[name] = RunnerInfo(id=number, name=name, scale_set_id=set_id)
        where = ScaleSetRef(name=scale_set.name, id=set_id, runner_group=scale_set.runner_group)
        config = JitConfig(
            runner_id=number, runner_name=name, scale_set=where, encoded=f"secret-{number}", minted_at=0.0
        )
        try:
            answer: Any = on_ready(config) if on_ready is not None else None
            await resolve(answer)
        except Exception as error:  # noqa: BLE001  # a host's callback may raise anything
            del self.runners[name]
            return MintFailure(reason=FailureReason.DELIVERY, message=f"on_ready raised {type(error).__name__}")
        return config
