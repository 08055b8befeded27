"""A journal that cannot write: the burst goes on, and what it minted reaches its caller."""

import asyncio
import sqlite3
from collections.abc import Sequence

import pytest

from scaleset_burst.journal import Change, State, UnrecordedNames
from scaleset_burst.limits.budget import Budget
from scaleset_hookspecs import FailureReason, JitConfig, OnReady, ProvisionSettings
from tests.kit.minting import RecordingNames, make_minter
from tests.kit.service import ModelService
from tests.kit.virtual import run_virtually

FULL = sqlite3.OperationalError("database or disk is full")


@pytest.mark.parametrize("on_ready", [None, lambda _config: None], ids=["at-the-end", "as-they-arrive"])
@pytest.mark.parametrize("step", ["reserve", "record"])
def test_a_full_disk_costs_no_config(step: str, on_ready: OnReady | None) -> None:
    """Whichever write fails, N asked are N configs."""

    async def main() -> None:
        service = ModelService()
        minter, queue, names = make_minter(service)

        async def fail(*_: object) -> None:
            raise FULL

        setattr(names, step, fail)
        outcomes = await minter.provision(queue, 20, ProvisionSettings(), on_ready)
        delivered = {outcome.runner_name for outcome in outcomes if isinstance(outcome, JitConfig)}
        assert len(delivered) == 20
        assert set(service.runners) == delivered
        assert len(minter.resolver) == 0

    run_virtually(main)


class LosesDelivered(RecordingNames):
    """Other hosts cannot be told of the first that are handed over at the end of a call."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.left = count

    async def record(self, changes: Sequence[Change]) -> None:
        """Note changes, or lose some."""
        unrecorded = [change.name for change in changes if change.state is State.DELIVERED][: self.left]
        self.left -= len(unrecorded)
        await super().record([change for change in changes if change.name not in unrecorded])
        if unrecorded:
            raise UnrecordedNames(unrecorded)


@pytest.mark.parametrize("unrecorded", [1, 20, 45])
def test_names_lost_at_the_end_of_a_call_are_not_handed_over(unrecorded: int) -> None:
    """Another host may remove their runners: the caller gets others, and these are undone."""

    async def main() -> None:
        service = ModelService()
        names = LosesDelivered(unrecorded)
        minter, queue, _ = make_minter(service, written_by=names)
        outcomes = await minter.provision(queue, 20, ProvisionSettings(), None)
        delivered = {outcome.runner_name for outcome in outcomes if isinstance(outcome, JitConfig)}
        assert len(delivered) == 20
        assert {name for name, states in names.states.items() if State.DELIVERED in states} == delivered
        assert set(queue.fleet.names) == delivered
        await asyncio.sleep(600.0)
        assert set(service.runners) == delivered
        assert len(minter.resolver) == 0

    run_virtually(main)


@pytest.mark.parametrize("after", ["down", "deadline", "stopping", "cancelled"])
def test_where_no_others_can_be_minted_the_lost_ones_are_failures(after: str) -> None:
    """The rest reaches the caller; nothing of it is lost but to a caller that has gone."""

    async def main() -> None:
        service = ModelService()
        minter, queue, _ = make_minter(service, written_by=LosesDelivered(5))
        service.fault = lambda _name: None if service.requests["mint"] <= 20 else "refused"
        settings = ProvisionSettings(deadline=30.0) if after == "deadline" else ProvisionSettings()
        call = asyncio.ensure_future(minter.provision(queue, 20, settings, None))
        if after == "cancelled":
            await asyncio.sleep(0.3)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        if after == "stopping":
            await asyncio.sleep(0.3)
            await minter.stop(10.0)
        outcomes = () if after == "cancelled" else await call
        delivered = {outcome.runner_name for outcome in outcomes if isinstance(outcome, JitConfig)}
        assert len(delivered) == (0 if after == "cancelled" else 15)
        await asyncio.sleep(600.0)
        assert set(service.runners) == delivered

    run_virtually(main)


def test_a_config_lost_after_the_deadline_is_not_replaced() -> None:
    """A call whose deadline passed while a config was written down ends there, whatever became of the config."""

    async def main() -> None:
        service = ModelService()
        minter, queue, names = make_minter(service, budget=Budget(5, 300.0))

        async def lose_late(changes: Sequence[Change]) -> None:
            await asyncio.sleep(30.0)
            raise UnrecordedNames(change.name for change in changes)

        def never(change: Change) -> bool:
            del change
            return False

        names.record_now = never  # type: ignore[method-assign]
        names.record = lose_late  # type: ignore[method-assign]
        call = minter.provision(queue, 5, ProvisionSettings(deadline=20.0), lambda _config: None)
        outcomes = await asyncio.wait_for(call, 200.0)
        assert [getattr(outcome, "reason", None) for outcome in outcomes] == [FailureReason.DEADLINE] * 5
        await asyncio.sleep(60.0)
        assert service.runners == {}
        assert service.requests["mint"] == 5

    run_virtually(main)
