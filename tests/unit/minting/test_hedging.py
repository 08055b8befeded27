"""A slot that is asked for under two names: one config, whichever comes first, whatever the other one comes to."""

import asyncio
import math
import random
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleset_burst.limits.budget import Budget
from scaleset_burst.minting import MintQueue
from scaleset_burst.minting.call import Call
from scaleset_burst.minting.hedging import Hedging
from scaleset_client.types import MintedRunner
from scaleset_hookspecs import JitConfig, ProvisionSettings, Rejected, ScaleSetRef, ServiceError, Unavailable
from tests.kit.examples import examples
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
        minter, queue, _ = make_minter(service, hedge=True, max_attempts=2, attempt_timeout=300.0)
        await minter.provision(queue, 64, PLAIN, None)
        service.fails = error
        outcomes = await minter.provision(queue, 1, PLAIN, None)
        assert [type(outcome) for outcome in outcomes] == [JitConfig]
        assert service.requests["late"] == 2

    run_virtually(main)


def test_a_slot_is_queued_once() -> None:
    """A hedge that waits for room is the retry of an attempt that fails meanwhile."""

    async def main() -> None:
        queue = MintQueue(REF, 42, "linux", "_work")
        queue.stock["linux"] = deque(["a", "b", "c"])
        (slot,) = Call(queue, 1, PLAIN, None, 0.0).slots
        queue.push([slot])
        queue.push_back([slot])
        assert queue.take(3) == ([slot], ["a"])
        queue.push_back([slot])
        queue.push_back([slot])
        assert queue.take(3) == ([slot], ["b"])

    run_virtually(main)


@pytest.mark.parametrize("carries", [1, 50])
def test_a_slot_that_lost_its_config_is_queued_again(carries: int) -> None:
    """Its hedge left the queue when the first answer came; if that config cannot be handed out, it needs another."""

    async def main() -> None:
        queue = MintQueue(REF, 42, "linux", "_work")
        (slot,) = Call(queue, 1, PLAIN, None, 0.0).slots
        queue.push([slot])
        slot.claimed = True
        queue.sendable(0.0, carries)
        assert not queue.waiting
        slot.claimed = False
        queue.push_back([slot])
        assert list(queue.waiting) == [slot]

    run_virtually(main)


@given(
    latencies=st.lists(st.floats(0.001, 60.0), max_size=300),
    in_flight=st.integers(0, 300),
)
def test_no_more_than_one_in_ten_is_late(latencies: list[float], in_flight: int) -> None:
    """Of what was answered last; and nothing is late as long as less is answered than in flight."""
    hedging = Hedging()
    for latency in latencies:
        hedging.minted(latency)
    recent = latencies[-128:]
    late = hedging.late_after(in_flight)
    assert (late is None) == (len(recent) < max(1, in_flight))
    if late is not None:
        assert sum(latency > late for latency in recent) <= len(recent) / 10


@settings(max_examples=examples(40), deadline=None)
@given(
    seed=st.integers(0, 2**32),
    sigma=st.floats(0.0, 1.2),
    unrecorded=st.sampled_from((0.0, 0.05, 0.2)),
    sizes=st.lists(st.integers(1, 80), min_size=1, max_size=4),
)
def test_exactly_once_whatever_is_late_or_lost(seed: int, sigma: float, unrecorded: float, sizes: list[int]) -> None:
    """Each runner asked for is given once, and in the end the service knows those and no other."""

    async def main() -> None:
        chance = random.Random(seed)

        class Uneven(ModelService):
            async def _latency(self) -> None:
                await asyncio.sleep(0.25 * math.exp(chance.gauss(0.0, sigma)))

        service = Uneven(fault=lambda _: chance.choice(("hang", "lost")) if chance.random() < unrecorded else None)
        minter, queue, _ = make_minter(service, seed=seed, hedge=True, most=32, max_attempts=20)
        given: list[str] = []
        calls = [
            minter.provision(queue, size, PLAIN, lambda config: given.append(config.runner_name)) for size in sizes
        ]
        outcomes = [outcome for call in await asyncio.gather(*calls) for outcome in call]
        assert all(isinstance(outcome, JitConfig) for outcome in outcomes)
        assert len(set(given)) == len(given) == sum(sizes)
        await asyncio.sleep(7200.0)
        assert {runner.name for runner in service.runners.values()} == set(given)
        assert service.in_flight == 0

    run_virtually(main)


def test_the_last_quarter_of_the_window_is_kept_for_what_is_asked_for() -> None:
    """With the budget short nothing is asked twice: the hung mint waits for its time limit."""

    async def main(registrations: int) -> float:
        service = Late()
        budget = Budget(registrations, 300.0)
        minter, queue, _ = make_minter(service, hedge=True, attempt_timeout=60.0, budget=budget)
        await minter.provision(queue, 64, PLAIN, None)
        service.fails = Unavailable("reset", maybe_applied=True)
        began = asyncio.get_running_loop().time()
        await minter.provision(queue, 1, PLAIN, None)
        return asyncio.get_running_loop().time() - began

    assert run_virtually(lambda: main(200)) < 21.0
    assert run_virtually(lambda: main(80)) >= 30.0
