"""Never run, only checked: the public types, used as a host and a plugin would use them."""

from collections.abc import Awaitable
from typing import assert_type

from scaleset_client import MintedRunner, ScaleSetClient, TokenCredentials
from scaleset_hookspecs import (
    Answer,
    JitConfig,
    MintFailure,
    OnReady,
    Outcome,
    ProvisionSettings,
    RunnerInfo,
    RunnerRef,
    ScaleSetRef,
    ScaleSetSettings,
    hookimpl,
)
from scaleset_hookspecs.host import AsyncHost, SyncHost, create_manager, resolve


class Plugin:
    """A plugin with types."""

    @hookimpl
    def provision_runners(
        self, scale_set: ScaleSetRef, count: int, settings: ProvisionSettings, on_ready: OnReady | None
    ) -> Awaitable[tuple[Outcome, ...]] | None:
        """Decline."""
        return None


async def host() -> None:
    """An async host."""
    asynchronous = AsyncHost(create_manager({}, plugins=[("plugin", Plugin())]), fall_back=True)
    linux = ScaleSetRef(name="linux")
    outcomes = await asynchronous.provision_runners(linux, 3, on_ready=lambda config: print(config.runner_name))
    assert_type(outcomes, tuple[Outcome, ...])
    for outcome in outcomes:
        match outcome:
            case JitConfig(encoded=encoded):
                assert_type(encoded, str)
            case MintFailure(retry_after=seconds):
                assert_type(seconds, float | None)
    assert_type(await asynchronous.get_scaleset_settings(linux), Answer[ScaleSetSettings])
    assert_type(await resolve(3), int)


def threads() -> None:
    """A host with threads."""
    with SyncHost(create_manager({}), call_timeout=5.0) as host:
        assert_type(host.get_runner_info(ScaleSetRef(name="x"), RunnerRef(id=1)), Answer[RunnerInfo])


async def client() -> None:
    """The client alone."""
    async with ScaleSetClient("https://github.com/acme", TokenCredentials(token="x")) as service:
        assert_type(await service.generate_jit_config(1, "name"), MintedRunner)
