"""A mint that waits for credentials or a connection has not left: it costs nothing and leaves nothing in doubt."""

import asyncio

import pytest

from scaleset_burst.limits.budget import Budget
from scaleset_client.observing import TRACE
from scaleset_client.types import MintedRunner
from scaleset_hookspecs import JitConfig, ProvisionSettings, Unavailable
from tests.kit.minting import make_minter
from tests.kit.service import ModelService
from tests.kit.virtual import run_virtually


class SlowToSend(ModelService):
    """Its requests leave only when the token is there, at `token_at`."""

    token_at = 0.0

    async def generate_jit_config(self, scale_set_id: int, name: str, work_folder: str = "") -> MintedRunner:
        """Mint one, once it can be sent."""
        trace = TRACE.get()
        assert trace is not None
        trace.unsent = True
        begun = self._now()
        await asyncio.sleep(self.token_at - begun)
        trace.token += self._now() - begun
        trace.unsent = False
        return await super().generate_jit_config(scale_set_id, name, work_folder)


@pytest.mark.parametrize("seconds", [1.0, 14.0, 25.0, 29.0])
@pytest.mark.parametrize("latency", [0.05, 10.0])
def test_a_slow_token_costs_neither_registrations_nor_attempts(seconds: float, latency: float) -> None:
    """A renewal of 25 s left 64 mints in doubt that had never been sent, and charged 164 for 100."""

    async def main() -> None:
        service = SlowToSend(latency=latency)
        budget = Budget(1500, 3000.0)
        minter, queue, _ = make_minter(service, budget=budget, max_attempts=1)
        service.token_at = asyncio.get_running_loop().time() + seconds
        outcomes = await minter.provision(queue, 100, ProvisionSettings(), None)
        assert all(isinstance(outcome, JitConfig) for outcome in outcomes)
        assert (budget.used, budget.sent) == (100, 0)
        assert service.requests["mint"] == 100
        assert len(minter.resolver) == 0

    run_virtually(main)


def test_a_token_that_does_not_come_ends_the_call_and_costs_nothing() -> None:
    """The circuit opens, and every name and registration is given back."""

    async def main() -> None:
        service = SlowToSend()
        budget = Budget(1500, 3000.0)
        minter, queue, _ = make_minter(service, budget=budget)
        service.token_at = asyncio.get_running_loop().time() + 1000.0
        with pytest.raises(Unavailable):
            await minter.provision(queue, 100, ProvisionSettings(), None)
        await asyncio.sleep(16.0)
        assert (budget.used, budget.sent, service.requests["mint"]) == (0, 0, 0)
        assert len(minter.resolver) == 0

    run_virtually(main)


class Pausing(SlowToSend):
    """Lets the first eight leave at once and tells them to wait; all others wait for the token."""

    async def generate_jit_config(self, scale_set_id: int, name: str, work_folder: str = "") -> MintedRunner:
        """Mint one, or tell it to wait."""
        if self.requests["asked"] < 8:
            self.requests["asked"] += 1
            return await ModelService.generate_jit_config(self, scale_set_id, name, work_folder)
        return await super().generate_jit_config(scale_set_id, name, work_folder)


@pytest.mark.parametrize("wait", [5.0, 30.0])
def test_what_waits_for_a_token_does_not_leave_once_told_to_wait(wait: float) -> None:
    """A wave was admitted, and waited for a token while others were told to wait: it left as soon as it had one."""

    async def main() -> None:
        service = Pausing(latency=0.2)
        service.fault = lambda _name: f"wait{wait}" if service.requests["mint"] <= 8 else None
        budget = Budget(1500, 3000.0)
        minter, lane, _ = make_minter(service, budget=budget)
        service.token_at = asyncio.get_running_loop().time() + 1.0
        outcomes = await minter.provision(lane, 100, ProvisionSettings(), None)
        assert all(isinstance(outcome, JitConfig) for outcome in outcomes)
        assert service.broken_promises == 0
        assert (budget.used, budget.sent) == (100, 0)
        assert service.requests["mint"] == 108
        assert len(minter.resolver) == 0

    run_virtually(main)
