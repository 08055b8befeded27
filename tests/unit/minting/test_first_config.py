"""The first config of a burst: sent before anything else is done, written down alone, and handed out at once."""

from collections.abc import Sequence

import pytest

from scaleset_burst.journal import Change, State
from scaleset_burst.limits.budget import Budget
from scaleset_hookspecs import JitConfig, ProvisionSettings
from tests.kit.minting import make_minter
from tests.kit.service import ModelService
from tests.kit.virtual import run_virtually


def _at_no_time(change: Change) -> bool:
    del change
    return False


@pytest.mark.parametrize("count", [1, 64, 300])
@pytest.mark.parametrize("instant", [True, False])
def test_the_first_config_is_handed_out_before_the_next_wave_is_sent(count: int, instant: bool) -> None:
    """Written down before, as every config is, whether or not the disk answers at once."""

    async def main() -> None:
        service = ModelService()
        minter, queue, names = make_minter(service, budget=Budget(1000, 300.0))
        if not instant:
            names.record_now = _at_no_time  # type: ignore[method-assign]
        sent: list[int] = []

        def ready(config: JitConfig) -> None:
            assert names.states[config.runner_name][-1] is State.DELIVERED
            sent.append(service.requests["mint"])

        await minter.provision(queue, count, ProvisionSettings(), ready)
        assert len(sent) == count
        if instant:
            assert sent[0] == min(count, 64)

    run_virtually(main)


def test_the_first_wave_is_sent_before_more_names_are_written_down() -> None:
    """Drawing and writing down 256 names would keep the first request waiting, and so the first config."""

    async def main() -> None:
        service = ModelService()
        minter, queue, journal = make_minter(service, budget=Budget(1000, 300.0))
        sent: list[int] = []
        reserve = journal.reserve

        async def note(scale_set_id: int, names: Sequence[str]) -> None:
            sent.append(service.requests["mint"])
            await reserve(scale_set_id, names)

        journal.reserve = note  # type: ignore[method-assign]
        await minter.provision(queue, 300, ProvisionSettings(), lambda _config: None)
        assert sent[:2] == [0, 64]

    run_virtually(main)


def test_only_the_first_config_has_a_transaction_of_its_own() -> None:
    """The others share one for each wave, or a burst would have a transaction for every runner."""

    async def main() -> None:
        minter, queue, journal = make_minter(ModelService(), budget=Budget(1000, 300.0))
        alone: list[str] = []

        def note(change: Change) -> bool:
            alone.append(change.name)
            return True

        journal.record_now = note  # type: ignore[method-assign]
        await minter.provision(queue, 300, ProvisionSettings(), lambda _config: None)
        assert len(alone) == 1

    run_virtually(main)
