"""What an outcome tells of the requests that were sent for it."""

import itertools

from scaleset_burst.minting.settlement import MOST_TRIED
from scaleset_hookspecs import JitConfig, MintFailure, ProvisionSettings
from tests.kit.minting import make_minter
from tests.kit.service import ModelService
from tests.kit.virtual import run_virtually


def test_a_config_tells_of_each_request_in_order() -> None:
    """Two that failed, then the one that brought it; only one was under way at a time."""

    async def main() -> None:
        faults = itertools.chain(["refused", "lost"], itertools.repeat(None))
        service = ModelService(fault=lambda _name: next(faults))
        minter, queue, _ = make_minter(service)
        [config] = await minter.provision(queue, 1, ProvisionSettings(), None)
        assert isinstance(config, JitConfig)
        assert [attempt.result for attempt in config.attempts] == ["not_committed", "ambiguous", "minted"]
        ends = [attempt.started_at + attempt.seconds for attempt in config.attempts]
        for end, later in zip(ends, config.attempts[1:], strict=False):
            assert end <= later.started_at + 1e-6
        assert abs(ends[-1] - config.minted_at) < 1e-6

    run_virtually(main)


def test_a_failure_tells_of_its_requests_and_of_few_of_them() -> None:
    """A limit that stays closed refuses one slot again and again; the last requests are told."""

    async def main() -> None:
        service = ModelService(fault=lambda _name: "wait7")
        minter, queue, _ = make_minter(service)
        [failure] = await minter.provision(queue, 1, ProvisionSettings(deadline=3000.0), None)
        assert isinstance(failure, MintFailure)
        assert service.requests["mint"] > MOST_TRIED + 1
        assert len(failure.attempts) == MOST_TRIED + 1
        assert {attempt.result for attempt in failure.attempts} == {"throttled"}

    run_virtually(main)
