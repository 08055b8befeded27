"""Errors that no service causes: a call still ends, with an outcome for each, and nothing is left behind."""

import asyncio

import pytest

from scaleset_client.types import MintedRunner
from scaleset_hookspecs import JitConfig, ProvisionSettings, Unavailable
from tests.kit.minting import make_minter
from tests.kit.service import ModelService
from tests.kit.virtual import run_virtually

PLAIN = ProvisionSettings()


class Faulty(ModelService):
    """The model behind a client with bugs: after the mint, and at the first removal."""

    broken = 3

    async def generate_jit_config(self, scale_set_id: int, name: str, work_folder: str = "") -> MintedRunner:
        """Lose the first answers to a bug."""
        minted = await super().generate_jit_config(scale_set_id, name, work_folder)
        if minted.runner.id <= self.broken:
            raise RuntimeError("a bug")
        return minted

    async def remove_runner(self, runner_id: int) -> bool:
        """Fail once."""
        if not self.requests["remove"]:
            self.requests["remove"] += 1
            raise RuntimeError("another bug")
        return await super().remove_runner(runner_id)


def test_a_bug_below_ends_no_burst_and_no_resolver() -> None:
    """Its mint is ambiguous, like any whose answer is not known."""

    async def main() -> None:
        service = Faulty()
        minter, queue, _ = make_minter(service)
        outcomes = await asyncio.wait_for(minter.provision(queue, 20, PLAIN, None), 300.0)
        delivered = {outcome.runner_name for outcome in outcomes if isinstance(outcome, JitConfig)}
        assert len(delivered) == 20
        await asyncio.sleep(300.0)
        assert set(service.runners) == delivered
        assert len(minter.resolver) == 0

    run_virtually(main)


def test_a_bug_in_resolving_the_scale_set_ends_the_call() -> None:
    """What waits for the new id does not wait for ever."""

    async def main() -> None:
        minter, queue, _ = make_minter(ModelService(dead_scale_sets={42}), unresolvable=RuntimeError("a bug"))
        with pytest.raises(Unavailable, match="RuntimeError"):
            await asyncio.wait_for(minter.provision(queue, 20, PLAIN, None), 300.0)

    run_virtually(main)
