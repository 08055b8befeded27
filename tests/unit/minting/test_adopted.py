"""What a process left in flight when it died counts within the limits, until it is known what became of it."""

import asyncio

from scaleset_burst.journal import LeftoverName
from scaleset_burst.limits.admission import CERTAIN, Admission
from scaleset_burst.limits.budget import Budget
from scaleset_burst.minting.unresolved import adopted
from scaleset_hookspecs import JitConfig, ProvisionSettings
from tests.kit.minting import make_minter
from tests.kit.service import ModelService
from tests.kit.virtual import run_virtually

WINDOW = 300.0


def leftover(name: str, *, delivered: bool = False) -> LeftoverName:
    return LeftoverName(name=name, scale_set_id=42, runner_id=None, delivered=delivered)


def test_names_in_flight_hold_a_place_until_they_are_looked_for() -> None:
    """Of a limit of 10, 3 may be registered already; one is, so that 9 are left at once and the last a window later."""

    async def main() -> None:
        service = ModelService()
        minter, queue, _ = make_minter(service, budget=Budget(10, WINDOW))
        admission = minter._admission
        assert isinstance(admission, Admission)
        await service.generate_jit_config(42, "theirs-0")
        loop = asyncio.get_running_loop()
        left, until = [leftover(f"theirs-{number}") for number in range(3)], admission.held_until(loop.time())
        mints = adopted(left, loop.time(), 60.0, hold=admission.holdable, held_until=until)
        admission.hold([mint.held_until for mint in mints if mint.held_until is not None])
        minter.resolver.add(mints)
        times: list[float] = []
        began = loop.time()

        def ready(_config: JitConfig) -> None:
            times.append(loop.time() - began)

        outcomes = await minter.provision(queue, 10, ProvisionSettings(), ready)
        assert all(isinstance(outcome, JitConfig) for outcome in outcomes)
        early, late = [at for at in times if at < CERTAIN + 5.0], [at for at in times if at >= WINDOW]
        assert [len([at for at in times if at < 5.0]), len(early), len(late)] == [7, 9, 1]
        assert len(service.runners) == 10, "theirs was removed"

    run_virtually(main)


def test_only_what_can_have_been_in_flight_holds_a_place() -> None:
    """Names that were only reserved are many, and what was delivered is counted already."""
    leftovers = [leftover("a"), leftover("b", delivered=True), leftover("c"), leftover("d")]
    mints = adopted(leftovers, 0.0, 60.0, hold=2, held_until=500.0)
    assert [mint.held_until for mint in mints] == [500.0, None, 500.0, None]


def test_a_dead_process_never_holds_all_there_is() -> None:
    """Else a host with a small limit of its own would wait for look-ups that may fail for long."""
    minter, _, _ = make_minter(ModelService(), budget=Budget(5, WINDOW))
    admission = minter._admission
    assert isinstance(admission, Admission)
    assert admission.holdable == 2
