"""What an event costs does not grow with the number of scale sets, calls or registrations in the window."""

import asyncio
import functools
import sys
from collections.abc import Iterator
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleset_burst.limits.budget import Budget
from scaleset_burst.minting import MintQueue
from scaleset_burst.minting.call import Call
from scaleset_hookspecs import FailureReason, JitConfig, MintFailure, ProvisionSettings, ScaleSetRef
from tests.kit.minting import make_minter
from tests.kit.service import ModelService
from tests.kit.virtual import run_virtually


@functools.cache
def calls_per_answer(sets: int, calls: int, count: int, allowed: int, latency: float = 0.05) -> float:
    """Return how many function calls an answered mint costs, from when all have asked until all that may be are sent.

    Then the budget is used up, and each answer has all that wait before it.
    """

    async def main() -> float:
        service = ModelService(latency=latency)
        minter, _, _ = make_minter(service, budget=Budget(allowed, 3000.0), most=16)
        got: list[JitConfig] = []
        queues = [
            minter.add_queue(("default", f"{number}"), MintQueue(ScaleSetRef(name=f"{number}"), number, "x", "_work"))
            for number in range(sets)
        ]
        asked = [
            asyncio.create_task(minter.provision(queue, count, ProvisionSettings(), got.append))
            for queue in queues
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


class Walked(set[Call]):
    """Calls under way, and how many of them were looked at one after the other."""

    walked = 0

    def __iter__(self) -> Iterator[Call]:
        for call in super().__iter__():
            self.walked += 1
            yield call


def test_a_thousand_small_calls_are_not_walked_for_each_name() -> None:
    """How many names they need was summed over all of them, for each of them that asked for a name."""

    async def main() -> None:
        minter, queue, _ = make_minter(ModelService())
        queue.calls = walked = Walked()
        asked = (minter.provision(queue, 1, ProvisionSettings(name_prefix=f"p{n % 3}"), None) for n in range(1000))
        outcomes = await asyncio.gather(*asked)
        assert all(isinstance(each, JitConfig) for (each,) in outcomes)
        assert walked.walked < 1000
        assert queue.missing == queue.stock == {}

    run_virtually(main)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 3), st.integers(0, 3), st.booleans()), max_size=12))
def test_what_is_needed_is_what_the_calls_under_way_lack(told: list[tuple[str, int, int, bool]]) -> None:
    queue = MintQueue(ScaleSetRef(name="linux"), 42, "linux", "_work")
    failure = MintFailure(reason=FailureReason.DEADLINE, message="")
    for prefix, count, settled, ends in told:
        call = Call(queue, count, ProvisionSettings(name_prefix=prefix), None, 0.0)
        call.refuse(call.slots[0], FailureReason.ALREADY_PROVIDED, "") if ends else None
        queue.enter(call)
        for slot in call.slots[:settled]:
            call.settle(slot, failure)
        if ends or not call.remaining:
            queue.leave(call)
        for each in "ab":
            assert queue.needed(each) == sum(other.remaining for other in queue.calls if other.name_prefix == each)
        assert queue.under_way == sum(other.remaining for other in queue.calls)
