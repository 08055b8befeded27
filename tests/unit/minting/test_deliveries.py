"""A host that takes so many configs at once: the others wait, and are nobody's until their turn comes."""

import asyncio

import pytest

from scaleset_burst.journal import State
from scaleset_hookspecs import FailureReason, JitConfig, MintFailure, ProvisionSettings, UsageError
from tests.kit.minting import make_minter
from tests.kit.service import ModelService
from tests.kit.virtual import run_virtually

TWO = ProvisionSettings(deliveries=2)


class Host:
    """Takes configs when it is told to.

    Attributes:
        given: Names that it was given.
        most: How many it had under way at once.
    """

    def __init__(self, *, refuses: str = "") -> None:
        self.given: list[str] = []
        self.under_way = self.most = 0
        self.gate = asyncio.Event()
        self._refuses = refuses

    async def on_ready(self, config: JitConfig) -> None:
        self.given.append(config.runner_name)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self.gate.wait()
        await asyncio.sleep(0.1)
        self.under_way -= 1
        if self._refuses == "every":
            raise OSError("no machine")


@pytest.mark.parametrize("refuses", ["", "every"])
def test_all_get_their_turn_and_no_more_than_that_at_once(refuses: str) -> None:
    async def main() -> None:
        service, host = ModelService(), Host(refuses=refuses)
        minter, queue, _ = make_minter(service)
        host.gate.set()
        outcomes = await minter.provision(queue, 20, TWO, host.on_ready)
        assert len(set(host.given)) == 20
        assert host.most == 2
        await asyncio.sleep(60.0)
        if refuses:
            failures = [each for each in outcomes if isinstance(each, MintFailure)]
            assert [failure.reason for failure in failures] == [FailureReason.DELIVERY] * 20
            assert service.runners == {}
        else:
            assert {runner.name for runner in service.runners.values()} == set(host.given)

    run_virtually(main)


def test_what_waits_is_written_down_as_nobodys() -> None:
    async def main() -> None:
        service, host = ModelService(), Host()
        minter, queue, names = make_minter(service)
        call = asyncio.ensure_future(minter.provision(queue, 20, TWO, host.on_ready))
        await asyncio.sleep(5.0)
        assert len(service.runners) == 20
        last = [states[-1] for states in names.states.values()]
        assert sorted(last) == [State.DELIVERED] * 2 + [State.MINTED] * 18
        host.gate.set()
        await call
        assert {states[-1] for states in names.states.values()} == {State.DELIVERED}

    run_virtually(main)


@pytest.mark.parametrize("ends", ["cancelled", "stopped"])
def test_what_waits_is_undone_when_nobody_will_take_it(ends: str) -> None:
    async def main() -> None:
        service, host = ModelService(), Host()
        minter, queue, _ = make_minter(service)
        call = asyncio.ensure_future(minter.provision(queue, 20, TWO, host.on_ready))
        await asyncio.sleep(5.0)
        if ends == "cancelled":
            call.cancel()
            await asyncio.sleep(30.0)
            host.gate.set()
            await asyncio.sleep(30.0)
        else:
            await minter.stop(10.0)
        assert len(host.given) == 2
        assert {runner.name for runner in service.runners.values()} == set(host.given)
        await asyncio.gather(call, return_exceptions=True)

    run_virtually(main)


def test_a_callback_that_returns_at_once_gets_them_one_after_another() -> None:
    async def main() -> None:
        got: list[str] = []
        minter, queue, _ = make_minter(ModelService())
        one = ProvisionSettings(deliveries=1)
        await minter.provision(queue, 30, one, lambda config: got.append(config.runner_name))
        assert len(set(got)) == 30

    run_virtually(main)


def test_a_limit_that_lets_nothing_through_is_refused() -> None:
    with pytest.raises(UsageError, match="deliveries is 0; expected 1 or more"):
        ProvisionSettings(deliveries=0)
