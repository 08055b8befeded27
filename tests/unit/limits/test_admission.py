"""The limits together: what one of them allows, another may not."""

import asyncio
import math
import random

import pytest

from scaleset_burst.limits import Admission
from scaleset_burst.limits.budget import Budget
from scaleset_burst.limits.circuit import Circuit
from scaleset_burst.limits.concurrency import Limiter
from scaleset_burst.limits.slices import Slicing
from scaleset_burst.minting import MintQueue
from scaleset_hookspecs import JitConfig, ProvisionSettings, ScaleSetRef, Unavailable
from tests.kit.minting import make_minter
from tests.kit.service import ModelService
from tests.kit.virtual import run_virtually


def test_a_probe_that_is_due_waits_for_the_budget() -> None:
    """With the circuit open and the window full, the next moment to ask is when the window has room."""
    budget, circuit = Budget(10, 300.0), Circuit(opened_at=0.0, probe_at=5.0)
    admission = Admission(
        budget=budget,
        limiter=Limiter(8),
        slicing=Slicing("never", 50),
        random=random.Random(0),
    )
    queue = MintQueue(ScaleSetRef(name="linux"), 42, "linux", "_work", circuit=circuit)
    budget.reserve(0.0, 10)
    budget.settle(2.0, 10, 0)
    asked = []
    now: float | None = admission.queue_opens_at(0.0, queue)
    while now is not None and not admission.permit(now, 3, queue):
        asked.append(now)
        now = admission.opens_at(now)
    assert (asked, now) == ([5.0], 302.0)
    assert admission.queue_opens_at(302.0, queue) == math.inf, "the probe is out: only its answer opens it"


def test_an_outage_that_spent_the_window_is_waited_out() -> None:
    """A service that failed until no registration was left is probed once the window has room again."""

    async def main() -> None:
        service = ModelService(fault=lambda _name: "down", latency=0.5)
        minter, queue, _ = make_minter(service, budget=Budget(10, 300.0), most=2, max_attempts=1000)
        with pytest.raises(Unavailable):
            await minter.provision(queue, 50, ProvisionSettings(), None)
        service.fault = lambda _name: None
        await asyncio.sleep(10.0)
        outcomes = await minter.provision(queue, 5, ProvisionSettings(), None)
        assert all(isinstance(outcome, JitConfig) for outcome in outcomes)

    run_virtually(main)
