"""A slot that is asked for under two names: one config, whichever comes first, whatever the other one comes to."""

import asyncio

import pytest

from scaleset_burst.github.types import MintedRunner
from scaleset_burst.minting import Lane
from scaleset_burst.minting.call import Call
from scaleset_hookspecs import JitConfig, ProvisionSettings, Rejected, ScaleSetRef, ServiceError, Unavailable
from tests.kit.minting import make_minter
from tests.kit.service import ModelService
from tests.kit.virtual import run_virtually

PLAIN = ProvisionSettings()
REF = ScaleSetRef(name="linux")


class Late(ModelService):
    """The first mint after `fails` is set fails after 10 s, the others succeed after 20."""

    fails: ServiceError | None = None

    async def generate_jit_config(self, scale_set_id: int, name: str, work_folder: str = "") -> MintedRunner:
        """Mint one."""
        if self.fails is None:
            return await super().generate_jit_config(scale_set_id, name, work_folder)
        self.requests["late"] += 1
        if self.requests["late"] == 1:
            await asyncio.sleep(10.0)
            raise self.fails
        await asyncio.sleep(20.0)
        return self._commit(scale_set_id, name)


@pytest.mark.parametrize("error", [Unavailable("reset", maybe_applied=True), Rejected("bad name", status=400)])
def test_a_failure_waits_for_the_other_name(error: ServiceError) -> None:
    """The last attempt allowed, or a refusal, fails nothing while the hedge is under way."""

    async def main() -> None:
        service = Late()
        minter, lane, _ = make_minter(service, hedge=True, max_attempts=2, attempt_timeout=300.0)
        await minter.provision(lane, 64, PLAIN, None)
        service.fails = error
        outcomes = await minter.provision(lane, 1, PLAIN, None)
        assert [type(outcome) for outcome in outcomes] == [JitConfig]
        assert service.requests["late"] == 2

    run_virtually(main)


def test_a_slot_is_queued_once() -> None:
    """A hedge that waits for room is the retry of an attempt that fails meanwhile."""

    async def main() -> None:
        lane = Lane(REF, 42, "linux", "_work")
        lane.stock.extend(["a", "b", "c"])
        (slot,) = Call(lane, 1, PLAIN, None, 0.0).slots
        lane.push([slot])
        lane.push_back([slot])
        assert lane.take(3) == ([slot], ["a"])
        lane.push_back([slot])
        lane.push_back([slot])
        assert lane.take(3) == ([slot], ["b"])

    run_virtually(main)


@pytest.mark.parametrize("carries", [1, 50])
def test_a_slot_that_lost_its_config_is_queued_again(carries: int) -> None:
    """Its hedge left the queue when the first answer came; if that config cannot be handed out, it needs another."""

    async def main() -> None:
        lane = Lane(REF, 42, "linux", "_work")
        (slot,) = Call(lane, 1, PLAIN, None, 0.0).slots
        lane.push([slot])
        slot.claimed = True
        lane.sendable(0.0, carries)
        assert not lane.waiting
        slot.claimed = False
        lane.push_back([slot])
        assert list(lane.waiting) == [slot]

    run_virtually(main)
