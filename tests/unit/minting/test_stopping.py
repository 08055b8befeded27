"""A host that stops: everything has ended within the time it gave, and nothing of it is left behind."""

import asyncio

import pytest

from scaleset_hookspecs import FailureReason, JitConfig, MintFailure, ProvisionSettings
from tests.kit.minting import make_minter
from tests.kit.service import ModelService
from tests.kit.virtual import run_virtually

PLAIN = ProvisionSettings()


def now() -> float:
    """Return virtual seconds."""
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("fault", ["hang", "lost", "late"])
def test_what_went_astray_is_removed_before_the_end(fault: str) -> None:
    """In-flight mints whose answers never come are looked for and removed within the 10 s, not at the next start."""

    async def main() -> None:
        service = ModelService(fault=lambda _name: fault)
        minter, queue, _ = make_minter(service, most=8)
        call = asyncio.create_task(minter.provision(queue, 20, PLAIN, None))
        await asyncio.sleep(0.12)
        started = now()
        await minter.stop(10.0)
        assert now() - started <= 10.1
        assert {outcome.reason for outcome in await call if isinstance(outcome, MintFailure)} == {FailureReason.STOPPED}
        await asyncio.sleep(10.0)
        assert service.runners == {}

    run_virtually(main)


@pytest.mark.parametrize("ends_well", [True, False])
def test_a_launch_that_takes_long_does_not_hold_the_end(ends_well: bool) -> None:
    """What `on_ready` still works on is the host's: the call ends with it, and nothing of it is removed."""

    async def main() -> None:
        service = ModelService()
        minter, queue, _ = make_minter(service)

        async def launch(_config: JitConfig) -> None:
            await asyncio.sleep(3600.0)
            if not ends_well:
                raise OSError("no machine")

        call = asyncio.create_task(minter.provision(queue, 5, PLAIN, launch))
        await asyncio.sleep(1.0)
        started = now()
        await minter.stop(10.0)
        assert now() - started <= 10.1
        given = {outcome.runner_name for outcome in await call if isinstance(outcome, JitConfig)}
        sent = service.requests.copy()
        await asyncio.sleep(4000.0)
        assert set(service.runners) == given
        assert len(given) == 5
        assert service.requests == sent, "nothing is sent once it has ended"

    run_virtually(main)


def test_a_launch_may_stop_the_host() -> None:
    """A callback that waits for the end does not wait for itself."""

    async def main() -> None:
        minter, queue, _ = make_minter(ModelService())

        async def launch(_config: JitConfig) -> None:
            await minter.stop(10.0)

        outcomes = await asyncio.wait_for(minter.provision(queue, 1, PLAIN, launch), 60.0)
        assert [type(outcome) for outcome in outcomes] == [JitConfig]

    run_virtually(main)
