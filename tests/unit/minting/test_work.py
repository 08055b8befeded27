"""What an event costs does not grow with the number of scale sets, calls or registrations in the window."""

import asyncio
import sys
from types import FrameType

import pytest

from scaleset_burst.minting import Lane
from scaleset_burst.minting.budget import Budget
from scaleset_hookspecs import JitConfig, ProvisionSettings, ScaleSetRef
from tests.kit.minting import make_minter
from tests.kit.service import ModelService
from tests.kit.virtual import run_virtually


def calls_per_answer(sets: int, calls: int, count: int, allowed: int, latency: float = 0.05) -> float:
    """Return how many function calls an answered mint costs, from when all have asked until all that may be are sent.

    Then the budget is used up, and each answer has all that wait before it.
    """

    async def main() -> float:
        service = ModelService(latency=latency)
        minter, _, _ = make_minter(service, budget=Budget(allowed, 3000.0), most=16)
        got: list[JitConfig] = []
        lanes = [
            minter.add_lane(("default", f"{number}"), Lane(ScaleSetRef(name=f"{number}"), number, "x", "_work"))
            for number in range(sets)
        ]
        asked = [
            asyncio.create_task(minter.provision(lane, count, ProvisionSettings(), got.append))
            for lane in lanes
            for _ in range(calls)
        ]
        await asyncio.sleep(latency / 2)
        seen = 0

        def note(_frame: FrameType, event: str, _argument: object) -> None:
            nonlocal seen
            seen += event == "call"

        before = len(got)
        sys.setprofile(note)
        try:
            while len(got) < allowed:
                await asyncio.sleep(latency)
        finally:
            sys.setprofile(None)
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        assert len(got) == allowed
        return seen / (allowed - before)

    return run_virtually(main)


@pytest.mark.parametrize("shape", [(50, 1, 200), (50, 10, 20), (50, 40, 5), (1, 400, 5)])
def test_an_answer_costs_as_much_for_many_as_for_one(shape: tuple[int, int, int]) -> None:
    """With 50 scale sets and the budget used up one answer stopped the host's loop for up to 8.8 s."""
    assert calls_per_answer(*shape, 1600) < 1.5 * calls_per_answer(1, 1, 2000, 1600)


def test_an_answer_costs_as_much_in_a_full_window() -> None:
    """The window is looked through once a second, not for each answer and call."""
    assert calls_per_answer(20, 10, 20, 1600) < 1.5 * calls_per_answer(20, 10, 20, 160)
