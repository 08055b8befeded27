"""A runner is handed out once: an answer that repeats its id or its name is no answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleset_burst.limits.slices import Slicing
from scaleset_burst.minting.given import MOST, Given
from scaleset_client.types import MintedRunner
from scaleset_hookspecs import JitConfig, ProvisionSettings
from tests.kit.examples import examples
from tests.kit.minting import make_minter
from tests.kit.service import ModelService
from tests.kit.virtual import run_virtually


class Repeating(ModelService):
    """Registers what it is asked for, and answers some requests with an earlier runner: its id, or all of it.

    Attributes:
        answers: `own`, `id` or `all` in turn; then `own`.
        removed: Names that were removed.
    """

    def __init__(self, answers: Sequence[str], *, slices: bool = False) -> None:
        super().__init__(slices=slices)
        self.answers = list(answers)
        self.made: list[MintedRunner] = []
        self.removed: set[str] = set()

    def _commit(self, scale_set_id: int, name: str) -> MintedRunner:
        made = super()._commit(scale_set_id, name)
        answer = self.answers.pop(0) if self.answers else "own"
        if answer == "own" or not self.made:
            self.made.append(made)
            return made
        earlier = self.made[len(self.answers) % len(self.made)]
        if answer == "all":
            return earlier
        return replace(made, runner=replace(made.runner, id=earlier.runner.id))

    async def remove_runner(self, runner_id: int) -> bool:
        self.removed |= {runner.name for runner in self.runners.values() if runner.id == runner_id}
        return await super().remove_runner(runner_id)


@pytest.mark.parametrize("mode", ["never", "always"])
@pytest.mark.parametrize("one_by_one", [True, False])
@settings(max_examples=examples(40), deadline=None)
@given(answers=st.lists(st.sampled_from(["own", "own", "id", "all"]), max_size=30))
def test_no_runner_is_handed_out_twice_or_removed_in_anothers_name(
    mode: str, one_by_one: bool, answers: list[str]
) -> None:
    """N usable configs, each runner once; what nobody has is removed, what somebody has is not."""

    async def main() -> None:
        service = Repeating(answers, slices=mode == "always")
        slicing = Slicing("always", 8) if mode == "always" else None
        minter, queue, _ = make_minter(service, max_attempts=20, slicing=slicing)
        got: list[JitConfig] = []
        outcomes = await minter.provision(queue, 20, ProvisionSettings(), got.append if one_by_one else None)
        configs = [each for each in outcomes if isinstance(each, JitConfig)]
        assert len(configs) == 20
        assert len({config.runner_id for config in configs}) == 20
        assert len({config.runner_name for config in configs}) == 20
        assert not one_by_one or len(got) == 20
        await asyncio.sleep(300.0)
        assert len(minter.resolver) == 0
        names = {config.runner_name for config in configs}
        assert not names & service.removed
        assert {runner.name for runner in service.runners.values()} == names

    run_virtually(main)


def test_what_was_given_is_remembered_within_a_bound() -> None:
    kept = Given()
    for number in range(MOST + 100):
        kept.add(number, f"r{number}")
    assert len(kept) == MOST
    assert kept.has(MOST + 99, None)
    assert kept.has(None, f"r{MOST + 99}")
    assert not kept.has(0, "r0")
    kept.drop(MOST)
    assert not kept.has(MOST, f"r{MOST}")
