"""One stray answer decides for its mint alone; one that is repeated, or that the service explains, for all."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleset_client.failures import failure
from scaleset_client.operations import Operation
from scaleset_client.transport import Response
from scaleset_client.types import MintedRunner
from scaleset_hookspecs import JitConfig, MintFailure, NotFound, ProvisionSettings, Rejected
from tests.kit.minting import make_minter
from tests.kit.service import ModelService
from tests.kit.virtual import run_virtually

STATUSES = [302, 400, 401, 403, 404, 405, 407, 409, 410, 413, 422, 431, 451]
BODIES = [b"", b"<html><h1>Forbidden</h1></html>", b'{"message":"no"}', b"no route"]
GONE = b'{"typeName":"GitHub.Actions.RunnerScaleSetNotFoundException, X","message":"No scale set 42."}'


class Between(ModelService):
    """Behind a gateway that answers by itself: the `first` requests, and a `share` of the others."""

    def __init__(self, status: int, body: bytes, share: float = 0.0, first: int = 0, seed: int = 0) -> None:
        super().__init__()
        self.answer = Response(status, [], body)
        self.share, self.first = share, first
        self.chance = random.Random(seed)

    async def _mint(self, scale_set_id: int, name: str) -> MintedRunner:
        if self.requests["mint"] <= self.first or self.chance.random() < self.share:
            await self._latency()
            raise failure(Operation.MINT, self.answer, now=0.0)
        return await super()._mint(scale_set_id, name)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("count", [1, 300])
def test_one_stray_answer_costs_one_retry(status: int, body: bytes, count: int) -> None:
    """In a burst of 300 one router's 404 left 15 delivered, and one 403 none."""

    async def main() -> None:
        service = Between(status, body, first=1)
        minter, queue, _ = make_minter(service)
        outcomes = await minter.provision(queue, count, ProvisionSettings(), None)
        assert all(isinstance(outcome, JitConfig) for outcome in outcomes)
        assert service.requests["mint"] == count + 1
        assert service.requests["resolve"] == 0

    run_virtually(main)


@given(
    status=st.sampled_from(STATUSES), body=st.sampled_from([*BODIES, GONE]), share=st.floats(0, 0.1), seed=st.integers()
)
def test_a_gateway_that_errs_now_and_then_ends_no_burst(status: int, body: bytes, share: float, seed: int) -> None:
    """Up to one in ten: the burst goes on; at most a runner that met three of them in a row is refused."""

    async def main() -> None:
        minter, queue, _ = make_minter(Between(status, body, share, seed=seed))
        outcomes = await minter.provision(queue, 100, ProvisionSettings(), None)
        assert sum(isinstance(outcome, MintFailure) for outcome in outcomes) <= 3

    run_virtually(main)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
@pytest.mark.parametrize("body", [*BODIES, GONE])
def test_a_refusal_that_is_repeated_ends_the_burst(status: int, body: bytes) -> None:
    """What was in flight, and two more that were sent alone."""

    async def main() -> None:
        service = Between(status, body, share=1.0)
        minter, queue, _ = make_minter(service, most=16)
        with pytest.raises(Rejected):
            await minter.provision(queue, 300, ProvisionSettings(), None)
        assert service.requests["mint"] <= 18
        assert (len(minter.resolver), len(service.runners)) == (0, 0)

    run_virtually(main)


@pytest.mark.parametrize("status", [400, 422, 451])
def test_an_item_that_is_refused_again_and_again_is_refused(status: int) -> None:
    """Each of its own: three tries, and a typed failure."""

    async def main() -> None:
        service = Between(status, b"", share=1.0)
        minter, queue, _ = make_minter(service)
        outcomes = await minter.provision(queue, 50, ProvisionSettings(), None)
        assert {outcome.reason for outcome in outcomes if isinstance(outcome, MintFailure)} == {"rejected"}
        assert service.requests["mint"] == 150

    run_virtually(main)


def test_a_404_that_names_the_scale_set_has_it_looked_up_at_once() -> None:
    """It is there under another id: one look-up, and no second mint with the dead one."""

    async def main() -> None:
        service = ModelService(dead_scale_sets={42})
        minter, queue, _ = make_minter(service, most=4, new_id=43)
        outcomes = await minter.provision(queue, 20, ProvisionSettings(), None)
        assert all(isinstance(outcome, JitConfig) for outcome in outcomes)
        assert (service.requests["resolve"], service.requests["mint"]) == (1, 24)

    run_virtually(main)


def test_a_404_that_names_nothing_has_the_scale_set_looked_up_when_it_is_repeated() -> None:
    """A gateway may hide the name; the look-up says that it is gone."""

    async def main() -> None:
        service = Between(404, b"not found", share=1.0)
        gone = NotFound("there is none called linux", status=200)
        minter, queue, _ = make_minter(service, most=4, unresolvable=gone)
        with pytest.raises(NotFound, match="none called linux"):
            await minter.provision(queue, 20, ProvisionSettings(), None)

    run_virtually(main)
