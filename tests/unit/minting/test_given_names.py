"""Names that the host chose: each is minted under its own name, exactly once, and nobody else's runner is touched."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleset_burst.journal import LeftoverName, State
from scaleset_burst.limits.slices import Slicing
from scaleset_burst.minting.demand import check_count
from scaleset_burst.minting.unresolved import Step, UnresolvedMint, adopted, after_lookup
from scaleset_client.types import MintedRunner, Runner
from scaleset_hookspecs import (
    FailureReason,
    JitConfig,
    MintFailure,
    ProvisionSettings,
    ScaleSetRef,
    UsageError,
)
from tests.kit.examples import examples
from tests.kit.minting import make_minter
from tests.kit.service import ModelService
from tests.kit.virtual import VirtualClock, run_virtually

NAMES = tuple(f"chosen-{number}" for number in range(12))
FAULTS = ["", "", "", "lost", "reset", "late", "refused", "hang", "taken", "down", "item"]


class Dated(ModelService):
    """Says when a runner was registered, and goes through a list of faults, one for each mint.

    Attributes:
        faults: What goes wrong with the next mints; nothing any more when it is empty.
        removed: Names that were removed.
    """

    def __init__(self, faults: Sequence[str] = (), *, dates: bool = True, slices: bool = False) -> None:
        super().__init__(slices=slices)
        self.faults = list(faults)
        self.dates = dates
        self.removed: list[str] = []
        self.fault = lambda _name: (self.faults.pop(0) if self.faults else "") or None

    def hold(self, name: str, *, busy: bool = False, scale_set_id: int = 42) -> None:
        """Register somebody else's runner."""
        minted = super()._commit(scale_set_id, name)
        self.runners[name.lower()] = replace(minted.runner, busy=busy, created_at=self._date())

    def _commit(self, scale_set_id: int, name: str) -> MintedRunner:
        minted = super()._commit(scale_set_id, name)
        runner = replace(minted.runner, created_at=self._date())
        self.runners[name.lower()] = runner
        return replace(minted, runner=runner)

    def _date(self) -> float | None:
        return VirtualClock().time() if self.dates else None

    async def remove_runner(self, runner_id: int) -> bool:
        self.removed += [runner.name for runner in self.runners.values() if runner.id == runner_id]
        return await super().remove_runner(runner_id)


@pytest.mark.parametrize("mode", ["never", "always"])
@settings(max_examples=examples(60), deadline=None)
@given(
    faults=st.lists(st.sampled_from(FAULTS), max_size=40),
    held=st.sets(st.sampled_from(NAMES), max_size=4),
    deadline=st.sampled_from([None, None, 5.0]),
)
def test_each_name_is_a_config_or_a_failure_and_nobody_elses_runner_goes(
    mode: str, faults: list[str], held: set[str], deadline: float | None
) -> None:
    async def main() -> None:
        service = Dated(faults, slices=mode == "always")
        slicing = Slicing("always", 4) if mode == "always" else None
        minter, queue, names = make_minter(service, max_attempts=20, slicing=slicing)
        for name in held:
            service.hold(name)
        others = {runner.id for runner in service.runners.values()}
        await asyncio.sleep(60.0)
        got: list[str] = []
        chosen = ProvisionSettings(names=NAMES, deadline=deadline)
        outcomes = await minter.provision(queue, 12, chosen, lambda config: got.append(config.runner_name))
        await asyncio.sleep(600.0)
        for name, outcome in zip(NAMES, outcomes, strict=True):
            if isinstance(outcome, JitConfig):
                assert outcome.runner_name == name
                assert name not in held
            elif outcome.reason is FailureReason.NAME_TAKEN:
                assert name in held
            else:
                assert deadline is not None or "item" in faults
        assert sorted(got) == sorted(each.runner_name for each in outcomes if isinstance(each, JitConfig))
        assert {runner.name for runner in service.runners.values()} == set(got) | held
        assert others <= {runner.id for runner in service.runners.values()}
        assert not len(minter.resolver)
        assert not minter.resolver.given.asked
        assert all(names.states[name][-1] in {State.DELIVERED, State.CLOSED} for name in names.states)

    run_virtually(main)


def test_a_lost_answer_is_resolved_and_the_name_tried_again() -> None:
    async def main() -> None:
        service = Dated(["lost"])
        minter, queue, names = make_minter(service)
        [config] = await minter.provision(queue, 1, ProvisionSettings(names=("mine",)), None)
        assert isinstance(config, JitConfig)
        assert (config.runner_name, config.runner_id, service.removed) == ("mine", 2, ["mine"])
        assert names.states["mine"] == [State.RESERVED, State.AMBIGUOUS, State.MINTED, State.DELIVERED]

    run_virtually(main)


@pytest.mark.parametrize("dates", [True, False])
def test_a_name_that_somebody_else_has_is_a_typed_failure(dates: bool) -> None:
    async def main() -> None:
        service = Dated(dates=dates)
        minter, queue, _ = make_minter(service)
        service.hold("theirs")
        [failure, config] = await minter.provision(queue, 2, ProvisionSettings(names=("THEIRS", "ours")), None)
        assert isinstance(failure, MintFailure)
        assert (failure.reason, service.removed) == (FailureReason.NAME_TAKEN, [])
        assert "THEIRS" in failure.message
        assert isinstance(config, JitConfig)

    run_virtually(main)


def test_two_calls_for_one_name_get_one_runner() -> None:
    async def main() -> None:
        service = Dated()
        minter, queue, _ = make_minter(service)
        chosen = ProvisionSettings(names=("one",))
        answers = await asyncio.gather(*(minter.provision(queue, 1, chosen, None) for _ in range(2)))
        kinds = sorted(type(outcome).__name__ for (outcome,) in answers)
        assert kinds == ["JitConfig", "MintFailure"]
        assert len(service.runners) == 1
        again = await minter.provision(queue, 1, chosen, None)  # it lives
        assert getattr(again[0], "reason", None) is FailureReason.NAME_TAKEN
        service.runners.clear()  # its job is over
        [config] = await minter.provision(queue, 1, chosen, None)
        assert isinstance(config, JitConfig)
        assert service.removed == []

    run_virtually(main)


def test_a_call_that_is_cancelled_leaves_nothing_and_its_name_may_be_asked_for_again() -> None:
    async def main() -> None:
        service = Dated(["hang", "lost"])
        minter, queue, _ = make_minter(service)
        chosen = ProvisionSettings(names=("one", "two"))
        first = asyncio.ensure_future(minter.provision(queue, 2, chosen, None))
        await asyncio.sleep(1.0)
        first.cancel()
        await asyncio.sleep(0)
        outcomes = await minter.provision(queue, 2, chosen, None)
        assert all(isinstance(outcome, JitConfig) for outcome in outcomes)
        await asyncio.sleep(300.0)
        assert {runner.id for runner in service.runners.values()} == {
            outcome.runner_id for outcome in outcomes if isinstance(outcome, JitConfig)
        }

    run_virtually(main)


def test_a_scale_set_that_was_made_again_gets_the_names() -> None:
    async def main() -> None:
        service = Dated()
        minter, queue, names = make_minter(service, new_id=43)
        service.dead_scale_sets.add(42)
        outcomes = await minter.provision(queue, 3, ProvisionSettings(names=("a", "b", "c")), None)
        assert [getattr(outcome, "runner_name", None) for outcome in outcomes] == ["a", "b", "c"]
        assert {runner.scale_set_id for runner in service.runners.values()} == {43}
        assert [names.states[name][-1] for name in "abc"] == [State.DELIVERED] * 3

    run_virtually(main)


def mint(*, since: float | None = 1000.0, unanswered: bool = True) -> UnresolvedMint:
    return UnresolvedMint(name="x", scale_set_id=42, since=since, unanswered=unanswered)


@pytest.mark.parametrize(
    ("unresolved", "created_at", "step"),
    [
        (mint(), 1001.0, Step.REMOVE),
        (mint(), 975.0, Step.REMOVE),  # its clock may differ
        (mint(), 960.0, Step.TAKEN),
        (mint(), None, Step.REMOVE),
        (mint(unanswered=False), 1001.0, Step.REMOVE),  # sent twice on the way
        (mint(unanswered=False), 999.9, Step.TAKEN),
        (mint(unanswered=False), None, Step.TAKEN),
        (mint(since=None), 1.0, Step.REMOVE),  # drawn by us
    ],
)
def test_what_was_registered_before_we_asked_is_somebody_elses(
    unresolved: UnresolvedMint, created_at: float | None, step: Step
) -> None:
    found = Runner(id=1, name="x", scale_set_id=42, status="offline", busy=False, created_at=created_at)
    assert after_lookup(unresolved, found, 0.0)[0] is step


def test_what_a_dead_process_left_under_a_chosen_name_is_removed_with_care() -> None:
    leftovers = [
        LeftoverName(name=name, scale_set_id=42, runner_id=None, delivered=False, unused=True)
        for name in ("linux-abcdefghijklm", "chosen-1")
    ]
    assert [each.careful for each in adopted(leftovers, 0.0, 60.0)] == [False, True]


@pytest.mark.parametrize("names", [("",), ("a" * 65,), ("a\nb",), ("same", "SAME")])
def test_names_that_no_runners_can_have_are_refused_at_once(names: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=r"the name .* expected"):
        ProvisionSettings(names=names)


def test_there_are_as_many_names_as_runners() -> None:
    with pytest.raises(UsageError, match="2 names are given"):
        check_count(ScaleSetRef(name="linux"), 3, ProvisionSettings(names=("a", "b")))
