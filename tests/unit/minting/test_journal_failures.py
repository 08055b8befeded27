"""A journal that cannot write: the burst goes on, and what it minted reaches its caller."""

import asyncio
import sqlite3
from collections.abc import Sequence

import pytest

from scaleset_burst.journal import Change, LostNames
from scaleset_burst.minting.budget import Budget
from scaleset_hookspecs import FailureReason, JitConfig, OnReady, ProvisionSettings
from tests.kit.minting import make_minter
from tests.kit.service import ModelService
from tests.kit.virtual import run_virtually

FULL = sqlite3.OperationalError("database or disk is full")


@pytest.mark.parametrize("on_ready", [None, lambda _config: None], ids=["at-the-end", "as-they-arrive"])
@pytest.mark.parametrize("step", ["reserve", "record"])
def test_a_full_disk_costs_no_config(step: str, on_ready: OnReady | None) -> None:
    """Whichever write fails, N asked are N configs."""

    async def main() -> None:
        service = ModelService()
        minter, lane, names = make_minter(service)

        async def fail(*_: object) -> None:
            raise FULL

        setattr(names, step, fail)
        outcomes = await minter.provision(lane, 20, ProvisionSettings(), on_ready)
        delivered = {outcome.runner_name for outcome in outcomes if isinstance(outcome, JitConfig)}
        assert len(delivered) == 20
        assert set(service.runners) == delivered
        assert len(minter.resolver) == 0

    run_virtually(main)


def test_names_lost_at_the_end_of_a_call_are_handed_over() -> None:
    """Other hosts know since the mint that these are given away; the second note may fail."""

    async def main() -> None:
        service = ModelService()
        minter, lane, names = make_minter(service)
        written = names.record

        async def lose_delivered(changes: Sequence[Change]) -> None:
            if changes[0].state == "delivered":
                raise LostNames(change.name for change in changes)
            await written(changes)

        names.record = lose_delivered  # type: ignore[method-assign]
        outcomes = await minter.provision(lane, 20, ProvisionSettings(), None)
        assert sum(isinstance(outcome, JitConfig) for outcome in outcomes) == 20
        assert len(minter.resolver) == 0

    run_virtually(main)


def test_a_config_lost_after_the_deadline_is_not_replaced() -> None:
    """A call whose deadline passed while a config was written down ends there, whatever became of the config."""

    async def main() -> None:
        service = ModelService()
        minter, lane, names = make_minter(service, budget=Budget(5, 300.0))

        async def lose_late(changes: Sequence[Change]) -> None:
            await asyncio.sleep(30.0)
            raise LostNames(change.name for change in changes)

        names.record = lose_late  # type: ignore[method-assign]
        call = minter.provision(lane, 5, ProvisionSettings(deadline=20.0), lambda _config: None)
        outcomes = await asyncio.wait_for(call, 200.0)
        assert [getattr(outcome, "reason", None) for outcome in outcomes] == [FailureReason.DEADLINE] * 5
        await asyncio.sleep(60.0)
        assert service.runners == {}
        assert service.requests["mint"] == 5

    run_virtually(main)
