"""The host's own answers to its hooks: one mint after another, and the scale set looked up anew each time.

They answer when no plugin does. `trylast` puts them behind every plugin.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable

from autoscaler.scale_sets import find
from scaleset_client import Runner, ScaleSetClient, is_name_taken
from scaleset_hookspecs import (
    Answer,
    Certainty,
    FailureReason,
    JitConfig,
    MintAttempt,
    MintFailure,
    NotFound,
    OnReady,
    Outcome,
    ProvisionSettings,
    RateLimited,
    RunnerInfo,
    RunnerRef,
    ScaleSetRef,
    ScaleSetSettings,
    ServiceError,
    Unavailable,
    UsageError,
    hookimpl,
)

__all__ = ["DefaultHooks"]


class DefaultHooks:
    """Answers every request hook with the client, without a memory of its own."""

    def __init__(self, client: ScaleSetClient) -> None:
        self._client = client
        self._stopping = False

    @hookimpl(trylast=True)
    def autoscaler_stopping(self) -> None:
        """Mint nothing more."""
        self._stopping = True

    @hookimpl(trylast=True)
    def provision_runners(
        self, scale_set: ScaleSetRef, count: int, settings: ProvisionSettings, on_ready: OnReady | None
    ) -> Awaitable[tuple[Outcome, ...]]:
        """Mint one at a time."""
        return self._provision(scale_set, count, settings, on_ready)

    @hookimpl(trylast=True)
    def get_scaleset_settings(self, scale_set: ScaleSetRef) -> Awaitable[Answer[ScaleSetSettings]]:
        """Ask the service."""
        return self._settings(scale_set)

    @hookimpl(trylast=True)
    def get_runner_info(self, scale_set: ScaleSetRef, runner: RunnerRef) -> Awaitable[Answer[RunnerInfo]]:
        """Ask the service, by name if it is known."""
        del scale_set  # names are unique in the whole tenant
        return self._runner(runner)

    async def _provision(
        self, scale_set: ScaleSetRef, count: int, settings: ProvisionSettings, on_ready: OnReady | None
    ) -> tuple[Outcome, ...]:
        most = settings.max_runners
        if count < 1 or (most is not None and count > most):
            raise UsageError(f"{count} runners asked for; expected from 1 to {most or 'any number'}")
        found = await find(self._client, scale_set)
        if found is None:
            raise NotFound(f"there is no scale set {scale_set.name} in the group {scale_set.runner_group}")
        known = ScaleSetRef(name=found.name, id=found.id, runner_group=scale_set.runner_group)
        until = None if settings.deadline is None else time.monotonic() + settings.deadline
        places = asyncio.Semaphore(settings.deliveries or count)
        deliveries: list[asyncio.Task[Outcome]] = []
        outcomes: list[Outcome | asyncio.Task[Outcome]] = []
        for name in settings.names or (None,) * count:
            minted = self._refusal(until) or await self._mint(known, settings, name)
            if isinstance(minted, JitConfig) and on_ready is not None:
                delivery = asyncio.create_task(self._deliver(minted, on_ready, places))
                deliveries.append(delivery)
                outcomes.append(delivery)
            else:
                outcomes.append(minted)
        await asyncio.gather(*deliveries)
        return tuple(item.result() if isinstance(item, asyncio.Task) else item for item in outcomes)

    def _refusal(self, until: float | None) -> MintFailure | None:
        if self._stopping:
            return MintFailure(reason=FailureReason.STOPPED, message="the host is stopping")
        if until is not None and time.monotonic() >= until:
            return MintFailure(reason=FailureReason.DEADLINE, message="the deadline passed before its turn came")
        return None

    async def _mint(self, scale_set: ScaleSetRef, settings: ProvisionSettings, chosen: str | None) -> Outcome:
        name = chosen or f"{settings.name_prefix or scale_set.name}-{secrets.token_hex(8)}"
        assert scale_set.id is not None  # noqa: S101  # looked up just now
        at, began = time.time(), time.monotonic()
        try:
            minted = await self._client.generate_jit_config(scale_set.id, name, settings.work_folder or "_work")
        except ServiceError as error:
            seconds = time.monotonic() - began
            if error.maybe_applied and chosen is None:  # else it may be somebody else's runner
                await self._undo(name)
            return _failure(error, at, seconds)
        return JitConfig(
            runner_id=minted.runner.id,
            runner_name=minted.runner.name,
            scale_set=scale_set,
            encoded=minted.encoded_jit_config,
            minted_at=time.time(),
            attempts=(MintAttempt(started_at=at, seconds=time.monotonic() - began, result="minted"),),
        )

    async def _deliver(self, config: JitConfig, on_ready: OnReady, places: asyncio.Semaphore) -> Outcome:
        try:
            async with places:
                delivered = on_ready(config)
                if delivered is not None:
                    await delivered
        except Exception as error:  # noqa: BLE001  # whatever the host's callback raises is a failed delivery
            await self._undo(config.runner_name)
            return MintFailure(reason=FailureReason.DELIVERY, message=f"not launched: {error}")
        return config

    async def _undo(self, name: str) -> None:
        """Remove a registration that nobody will use, if it is there."""
        try:
            runner = await self._client.find_runner(name)
            if runner is not None:
                await self._client.remove_runner(runner.id)
        except ServiceError:
            pass  # a naive host leaves it to the service, which removes unused runners after a day

    async def _settings(self, scale_set: ScaleSetRef) -> Answer[ScaleSetSettings]:
        try:
            found = await find(self._client, scale_set)
        except Unavailable as error:
            return Answer(certainty=Certainty.UNKNOWN, reason=str(error))
        if found is None:
            return Answer(certainty=Certainty.ABSENT, age=0.0, reason="the service has no such scale set")
        settings = ScaleSetSettings(
            id=found.id,
            name=found.name,
            runner_group_id=found.runner_group_id,
            runner_group_name=found.runner_group_name,
            labels=found.labels,
            disable_update=found.disable_update,
            created_at=found.created_at,
            statistics=found.statistics,
        )
        return Answer(certainty=Certainty.FRESH, value=settings, age=0.0)

    async def _runner(self, runner: RunnerRef) -> Answer[RunnerInfo]:
        try:
            found = await self._look_up(runner)
        except NotFound:
            found = None
        except Unavailable as error:
            return Answer(certainty=Certainty.UNKNOWN, reason=str(error))
        if found is None:
            return Answer(certainty=Certainty.ABSENT, age=0.0, reason="the service has no such runner")
        info = RunnerInfo(
            id=found.id,
            name=found.name,
            scale_set_id=found.scale_set_id,
            status=found.status,
            busy=found.busy,
        )
        return Answer(certainty=Certainty.FRESH, value=info, age=0.0)

    async def _look_up(self, runner: RunnerRef) -> Runner | None:
        if runner.name is not None:
            return await self._client.find_runner(runner.name)
        return None if runner.id is None else await self._client.get_runner(runner.id)


def _failure(error: ServiceError, at: float, seconds: float) -> MintFailure:
    """Return what became of a mint that began `at` a Unix time; the client's own retries are in its seconds."""
    reason = FailureReason.REJECTED
    if isinstance(error, RateLimited):
        reason = FailureReason.RATE_LIMITED
    elif isinstance(error, Unavailable):
        reason = FailureReason.UNAVAILABLE
    elif is_name_taken(error):
        reason = FailureReason.NAME_TAKEN
    attempt = MintAttempt(
        started_at=at, seconds=seconds, result=reason, status=error.status, request_id=error.request_id
    )
    return MintFailure(
        reason=reason,
        message=str(error),
        retry_after=error.retry_after,
        status=error.status,
        request_id=error.request_id,
        attempts=(attempt,),
    )
