"""The minting room against a model of the service, on virtual time."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaleset_burst.journal import State
from scaleset_burst.limits.budget import Budget
from scaleset_burst.limits.slices import Slicing
from scaleset_client.types import MintedRunner
from scaleset_hookspecs import (
    FailureReason,
    JitConfig,
    MintFailure,
    NotFound,
    Outcome,
    PermissionDenied,
    ProvisionSettings,
    Unavailable,
)
from tests.kit.examples import examples
from tests.kit.minting import make_minter
from tests.kit.service import FAULTS, ModelService
from tests.kit.virtual import run_virtually

PLAIN = ProvisionSettings()


def configs(outcomes: tuple[Outcome, ...]) -> list[JitConfig]:
    """Return the outcomes that are configs."""
    return [outcome for outcome in outcomes if isinstance(outcome, JitConfig)]


def reasons(outcomes: tuple[Outcome, ...]) -> Counter[FailureReason]:
    """Count the reasons of the others."""
    return Counter(outcome.reason for outcome in outcomes if isinstance(outcome, MintFailure))


async def settled(minter: object, seconds: float = 400.0) -> None:
    """Wait until no unresolved mint is left."""
    until = asyncio.get_running_loop().time() + seconds
    while len(minter.resolver) and asyncio.get_running_loop().time() < until:  # type: ignore[attr-defined]
        await asyncio.sleep(1.0)


def faults(seed: int, **shares: float) -> Callable[[str], str | None]:
    """Make a fault that strikes with the given probabilities."""
    chance = random.Random(seed)
    kinds = {kind.replace("_", "-"): share for kind, share in shares.items()}
    assert kinds.keys() <= FAULTS, "the service knows no such fault, and the minter would take its error for ours"

    def fault(_name: str) -> str | None:
        draw = chance.random()
        for kind, share in kinds.items():
            if draw < share:
                return kind
            draw -= share
        return None

    return fault


def test_a_burst_takes_as_many_waves_as_the_limit_divides() -> None:
    """300 at 64 at a time are five waves, 300 requests, and 300 configs in request order."""

    async def main() -> None:
        service = ModelService()
        minter, queue, names = make_minter(service)
        seen: list[JitConfig] = []
        outcomes = await minter.provision(queue, 300, PLAIN, seen.append)
        assert len(configs(outcomes)) == 300
        assert {config.runner_name for config in seen} == {config.runner_name for config in configs(outcomes)}
        assert service.requests == {"mint": 300}
        assert service.most_in_flight <= 64
        report = minter.last_report
        assert report is not None
        assert report.waves <= 6
        assert names.transactions < 100
        assert all(states[1:] in ([], [State.DELIVERED]) for states in names.states.values())

    run_virtually(main)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 120),
    lost=st.sampled_from([0.0, 0.05, 0.3]),
    late=st.sampled_from([0.0, 0.05]),
    hang=st.sampled_from([0.0, 0.03]),
    wait=st.sampled_from([0.0, 0.02]),
)
def test_exactly_once_whatever_happens(
    seed: int, count: int, lost: float, late: float, hang: float, wait: float
) -> None:
    """N asked, N outcomes; nothing twice; in the end the service holds what was delivered and nothing else."""

    async def main() -> None:
        fault = faults(seed, lost=lost, late=late, hang=hang, wait7=wait, taken=0.02, reset=0.02, refused=0.02)
        service = ModelService(fault=fault, seed=seed)
        minter, queue, names = make_minter(service, seed=seed, max_attempts=20)
        seen: list[str] = []
        outcomes = await minter.provision(queue, count, PLAIN, lambda config: seen.append(config.runner_name))
        assert len(outcomes) == count
        delivered = [config.runner_name for config in configs(outcomes)]
        assert len(set(delivered)) == len(delivered)
        assert sorted(seen) == sorted(delivered)
        await settled(minter)
        assert set(service.runners) == set(delivered)
        assert service.broken_promises == 0
        assert all(states[-1] is not State.AMBIGUOUS for states in names.states.values())

    run_virtually(main)


def test_a_slow_window_is_waited_out_and_never_overspent() -> None:
    """With 100 registrations in any 300 s, 250 take three windows, and the caller hears an ETA."""

    async def main() -> None:
        service = ModelService()
        minter, queue, _ = make_minter(service, budget=Budget(100, 300.0))
        told: list[tuple[float, int]] = []
        wanted = ProvisionSettings(on_wait=lambda seconds, missing: told.append((seconds, missing)))
        outcomes = await minter.provision(queue, 250, wanted, None)
        assert len(configs(outcomes)) == 250
        times = sorted(service.registrations)
        assert all(later - times[index] >= 300.0 for index, later in enumerate(times[100:]))
        assert told
        assert told[0][0] > 0

    run_virtually(main)


def test_told_to_wait_means_zero_requests_then_one_probe() -> None:
    """After a 429 nothing is sent until the time is up; then exactly one request goes first."""

    async def main() -> None:
        struck = [False]

        def once(_name: str) -> str | None:
            if struck[0] or len(service.runners) < 30:
                return None
            struck[0] = True
            return "wait30"

        service = ModelService(fault=once)
        minter, queue, _ = make_minter(service, most=8)
        outcomes = await minter.provision(queue, 100, PLAIN, None)
        assert len(configs(outcomes)) == 100
        assert service.broken_promises == 0

    run_virtually(main)


def test_a_deadline_fails_what_is_missing() -> None:
    """The host's deadline is kept: typed failures for the rest, and no ghost."""

    async def main() -> None:
        service = ModelService()
        minter, queue, _ = make_minter(service, budget=Budget(50, 300.0))
        outcomes = await minter.provision(queue, 80, ProvisionSettings(deadline=20.0), None)
        assert len(configs(outcomes)) == 50
        assert reasons(outcomes) == {FailureReason.RATE_LIMITED: 30}
        await settled(minter)
        assert len(service.runners) == 50

    run_virtually(main)


def test_a_deadline_counts_from_the_hosts_call() -> None:
    """What was spent before minting could begin is not given once more."""

    async def main() -> None:
        service = ModelService(latency=3.0)
        minter, queue, _ = make_minter(service)
        asked = asyncio.get_running_loop().time() - 18.0
        for since, failed in ((asked, {FailureReason.DEADLINE: 5}), (None, {})):
            outcomes = await minter.provision(queue, 5, ProvisionSettings(deadline=20.0), None, since=since)
            assert reasons(outcomes) == failed
        await settled(minter)
        assert len(service.runners) == 5

    run_virtually(main)


def test_one_hung_request_delays_nobody() -> None:
    """The other 99 take as many waves as without it, and the hung one is replaced and resolved."""

    async def main(hung: bool) -> int:
        first: list[str] = []

        def fault(name: str) -> str | None:
            first.append(name)
            return "hang" if hung and len(first) == 1 else None

        service = ModelService(fault=fault)
        minter, queue, _ = make_minter(service, most=10)
        early: list[int] = []
        outcomes = await minter.provision(queue, 100, PLAIN, lambda _config: early.append(service.requests["mint"]))
        assert len(configs(outcomes)) == 100
        await settled(minter)
        assert len(service.runners) == 100
        return early[98]

    assert abs(run_virtually(lambda: main(True)) - run_virtually(lambda: main(False))) <= 1


@pytest.mark.parametrize("late_by", [0.0, 0.3, 0.9])
def test_no_attempt_outlives_its_time_limit(late_by: float) -> None:
    """Whenever it began between two looks, another name is asked for within the limit, and not far before it."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        asked_at: list[float] = []

        def fault(_name: str) -> str | None:
            asked_at.append(loop.time())
            return "hang" if len(asked_at) == 1 else None

        minter, queue, _ = make_minter(ModelService(fault=fault), attempt_timeout=15.0)
        await asyncio.sleep(late_by)
        assert len(configs(await minter.provision(queue, 1, PLAIN, None))) == 1
        hung, again = asked_at
        assert 13.0 <= again - hung <= 15.0

    run_virtually(main)


def test_the_same_demand_ten_times_mints_it_once() -> None:
    """Repeated at the same time or one after another, N are minted in total."""

    async def main() -> None:
        service = ModelService()
        minter, queue, _ = make_minter(service)
        wanted = ProvisionSettings(desired=40)
        together = await asyncio.gather(*(minter.provision(queue, 40, wanted, None) for _ in range(5)))
        for _ in range(5):
            together.append(await minter.provision(queue, 40, wanted, None))
        assert sum(len(configs(outcomes)) for outcomes in together) == 40
        assert all(len(outcomes) == 40 for outcomes in together)
        assert len(service.runners) == 40

    run_virtually(main)


def test_a_falling_demand_cancels_what_was_not_sent() -> None:
    """From 500 to 100 mid-burst: at most 100 and what was in flight, and no ghost."""

    async def main() -> None:
        service = ModelService()
        minter, queue, _ = make_minter(service, most=32)
        call = asyncio.create_task(minter.provision(queue, 500, ProvisionSettings(desired=500), None))
        while len(service.runners) < 64:
            await asyncio.sleep(0.01)
        queue.lower_demand(100)
        outcomes = await call
        assert len(outcomes) == 500
        assert 100 <= len(configs(outcomes)) <= 132
        assert reasons(outcomes)[FailureReason.DEMAND_FELL] == 500 - len(configs(outcomes))
        await settled(minter)
        assert len(service.runners) == len(configs(outcomes))

    run_virtually(main)


@settings(max_examples=examples(30), deadline=None)
@given(moment=st.floats(0.0, 0.6), seed=st.integers(0, 100), given_back=st.booleans())
def test_a_cancelled_caller_leaves_no_ghost(moment: float, seed: int, given_back: bool) -> None:
    """Whenever the caller goes, what it did not get is undone, and what it got stays."""

    async def main() -> None:
        service = ModelService(seed=seed, fault=faults(seed, lost=0.1, hang=0.02))
        minter, queue, _ = make_minter(service, most=16, seed=seed)
        seen: list[str] = []
        on_ready = (lambda config: seen.append(config.runner_name)) if given_back else None
        call = asyncio.create_task(minter.provision(queue, 100, PLAIN, on_ready))
        await asyncio.sleep(moment)
        if call.done():
            seen[:] = [config.runner_name for config in configs(call.result())]
        else:
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        await asyncio.sleep(20.0)
        await settled(minter)
        assert set(service.runners) == set(seen)

    run_virtually(main)


def test_what_a_cancelled_caller_did_not_get_meets_no_demand() -> None:
    """The configs that were undone with it are not counted as runners: the same demand is minted in full."""

    async def main() -> None:
        service = ModelService()
        minter, queue, _ = make_minter(service, most=8)
        wanted = ProvisionSettings(desired=100)
        call = asyncio.create_task(minter.provision(queue, 100, wanted, None))
        while len(service.runners) < 40:
            await asyncio.sleep(0.01)
        call.cancel()
        await asyncio.wait([call])
        assert len(configs(await minter.provision(queue, 100, wanted, None))) == 100

    run_virtually(main)


def test_what_a_cancelled_caller_launched_meets_demand() -> None:
    """Machines that were starting when their caller went are runners all the same: the demand is not met twice."""

    async def main() -> None:
        service = ModelService()
        minter, queue, _ = make_minter(service, most=8)
        wanted = ProvisionSettings(desired=100)
        launched: list[str] = []

        async def launch(config: JitConfig) -> None:
            await asyncio.sleep(30.0)
            launched.append(config.runner_name)

        call = asyncio.create_task(minter.provision(queue, 100, wanted, launch))
        while len(service.runners) < 40:
            await asyncio.sleep(0.01)
        call.cancel()
        await asyncio.wait([call])
        await asyncio.sleep(60.0)
        await settled(minter)
        assert set(service.runners) == set(launched)
        await minter.provision(queue, 100, wanted, launch)
        assert len(service.runners) == len(launched) == 100

    run_virtually(main)


def test_a_host_that_stops_leaves_no_ghost() -> None:
    """Stopping mid-burst: waiting ones fail as STOPPED, those in flight are finished or undone."""

    async def main() -> None:
        service = ModelService()
        minter, queue, _ = make_minter(service, most=16)
        call = asyncio.create_task(minter.provision(queue, 200, PLAIN, None))
        await asyncio.sleep(0.12)
        await minter.stop(10.0)
        outcomes = await call
        assert reasons(outcomes)[FailureReason.STOPPED] == 200 - len(configs(outcomes))
        assert len(service.runners) == len(configs(outcomes))
        with pytest.raises(Unavailable):
            await minter.provision(queue, 1, PLAIN, None)

    run_virtually(main)


def test_what_can_never_work_fails_fast() -> None:
    """No permission: one clear error, no more requests than were in flight, and two that confirm it."""

    async def main() -> None:
        service = ModelService(fault=lambda _name: "forbidden")
        minter, queue, _ = make_minter(service, most=8)
        with pytest.raises(PermissionDenied):
            await minter.provision(queue, 300, PLAIN, None)
        assert service.requests["mint"] <= 10

    run_virtually(main)


@pytest.mark.parametrize("fault", ["forbidden", "down"])
def test_what_is_being_launched_was_minted(fault: str) -> None:
    """A call fails as a whole only if nothing came of it; machines that are starting have their configs."""

    async def main() -> None:
        service = ModelService()
        minter, queue, _ = make_minter(service, most=4, max_attempts=1000)
        launched: list[str] = []

        async def launch(config: JitConfig) -> None:
            service.fault = lambda _name: fault
            await asyncio.sleep(60.0)
            launched.append(config.runner_name)

        outcomes = await minter.provision(queue, 20, PLAIN, launch)
        assert sorted(launched) == sorted(config.runner_name for config in configs(outcomes))
        assert len(outcomes) == 20
        await settled(minter)
        assert set(service.runners) == set(launched)

    run_virtually(main)


def test_one_bad_item_fails_alone() -> None:
    """A refusal of one name fails that item only."""

    async def main() -> None:
        names: list[str] = []

        def fault(name: str) -> str | None:
            names.append(name)
            return "item" if len(names) == 5 else None

        service = ModelService(fault=fault)
        minter, queue, _ = make_minter(service)
        outcomes = await minter.provision(queue, 50, PLAIN, None)
        assert len(configs(outcomes)) == 49
        assert reasons(outcomes) == {FailureReason.REJECTED: 1}

    run_virtually(main)


def test_a_scale_set_deleted_and_recreated_heals() -> None:
    """A 404 on the cached id resolves the name once more, and the burst ends complete."""

    async def main() -> None:
        service = ModelService()
        minter, queue, names = make_minter(service, most=16, new_id=43)
        call = asyncio.create_task(minter.provision(queue, 100, PLAIN, None))
        await asyncio.sleep(0.12)
        service.dead_scale_sets.add(42)
        outcomes = await call
        assert len(configs(outcomes)) == 100
        assert service.requests["resolve"] == 1
        assert {runner.scale_set_id for runner in service.runners.values()} == {42, 43}
        for name, runner in service.runners.items():
            assert names.scale_sets[name] == runner.scale_set_id, "a crash would look for it in the wrong scale set"
        open_names = {name for name, states in names.states.items() if states[-1] is State.RESERVED}
        assert open_names == set(), "names for the dead id are closed, and what the burst left over"

    run_virtually(main)


def test_a_scale_set_that_is_gone_fails_the_call() -> None:
    """If the name leads to the same dead id, the call fails with what the service said."""

    async def main() -> None:
        service = ModelService(dead_scale_sets={42})
        minter, queue, _ = make_minter(service, most=16)
        with pytest.raises(NotFound):
            await minter.provision(queue, 100, PLAIN, None)
        assert service.requests["mint"] <= 18

    run_virtually(main)


def test_a_scale_set_that_cannot_be_resolved_now_may_be_later() -> None:
    """If the look-up fails for the moment, what is missing is unavailable, and not refused for good."""

    async def main() -> None:
        service = ModelService()
        gateway = Unavailable("gateway", status=502, retry_after=7.0)
        minter, queue, _ = make_minter(service, most=16, unresolvable=gateway)
        call = asyncio.create_task(minter.provision(queue, 100, PLAIN, None))
        await asyncio.sleep(0.12)
        service.dead_scale_sets.add(42)
        outcomes = await call
        assert reasons(outcomes) == {FailureReason.UNAVAILABLE: 100 - len(configs(outcomes))}
        assert {outcome.retry_after for outcome in outcomes if isinstance(outcome, MintFailure)} == {7.0}

    run_virtually(main)


def test_a_service_that_is_down_is_left_alone() -> None:
    """The circuit opens: the call fails as unavailable, and later calls fail without a request."""

    async def main() -> None:
        service = ModelService(fault=lambda _name: "down")
        minter, queue, _ = make_minter(service, most=16, max_attempts=1000)
        with pytest.raises(Unavailable) as raised:
            await minter.provision(queue, 50, PLAIN, None)
        assert raised.value.retry_after is not None
        sent = service.requests["mint"]
        with pytest.raises(Unavailable):
            await minter.provision(queue, 50, PLAIN, None)
        assert service.requests["mint"] == sent
        service.fault = lambda _name: None
        await asyncio.sleep(10.0)
        outcomes = await minter.provision(queue, 50, PLAIN, None)
        assert len(configs(outcomes)) == 50

    run_virtually(main)


def test_slices_are_tried_once_and_then_used() -> None:
    """A service that takes slices gets ceil(N/size) requests; merged calls share them."""

    async def main() -> None:
        service = ModelService(slices=True)
        minter, queue, _ = make_minter(service, slicing=Slicing("auto", 50))
        both = await asyncio.gather(*(minter.provision(queue, 150, PLAIN, None) for _ in range(2)))
        assert [len(configs(outcomes)) for outcomes in both] == [150, 150]
        assert service.requests == {"slice": 6}

    run_virtually(main)


def test_a_service_without_slices_costs_one_request_more() -> None:
    """`auto` tries once; the refusal loses and duplicates nothing."""

    async def main() -> None:
        service = ModelService()
        minter, queue, _ = make_minter(service, slicing=Slicing("auto", 50))
        for _ in range(2):
            assert len(configs(await minter.provision(queue, 100, PLAIN, None))) == 100
        assert service.requests == {"slice": 1, "mint": 200}

    run_virtually(main)


def test_a_slice_counts_only_what_it_carries() -> None:
    """Slots of a caller that went stand in the queue: no slice is paid for them, and a trial of one is no trial."""

    async def main() -> None:
        for mode, kept in (("always", 120), ("auto", 1)):
            budget = Budget(1500, 300.0)
            service = ModelService(slices=True)
            minter, queue, _ = make_minter(service, slicing=Slicing(mode, 50), budget=budget, most=1)  # type: ignore[arg-type]
            stays = asyncio.create_task(minter.provision(queue, kept, PLAIN, None))
            goes = asyncio.create_task(minter.provision(queue, 100, PLAIN, None))
            await asyncio.sleep(0.003)
            goes.cancel()
            assert len(configs(await stays)) == kept
            assert budget.sent == 0
            assert len(configs(await asyncio.wait_for(minter.provision(queue, 60, PLAIN, None), 60.0))) == 60

    run_virtually(main)


@settings(max_examples=examples(30), deadline=None)
@given(seed=st.integers(0, 1000))
def test_slices_are_exactly_once_too(seed: int) -> None:
    """Slices partly committed and lost slices leave no ghost; a service that stops taking them is followed."""

    async def main() -> None:
        service = ModelService(slices=True, seed=seed)
        inner = faults(seed, lost_slice=0.01, item=0.01)
        turns = [0]

        def fault(name: str) -> str | None:
            turns[0] += 1
            if turns[0] == 120:
                service.slices = False
            struck = inner(name)
            return struck if service.slices else None

        service.fault = fault
        minter, queue, _ = make_minter(service, seed=seed, slicing=Slicing("always", 25), max_attempts=50)
        outcomes = await minter.provision(queue, 200, PLAIN, None)
        assert len(outcomes) == 200
        await settled(minter)
        assert set(service.runners) == {config.runner_name for config in configs(outcomes)}

    run_virtually(main)


@pytest.mark.parametrize("mode", ["never", "always"])
def test_calls_at_once_keep_their_work_folders(mode: Literal["never", "always"]) -> None:
    """Merged calls share flights and slices, and nothing else."""

    async def main() -> None:
        service = ModelService(slices=True)
        minter, queue, _ = make_minter(service, slicing=Slicing(mode, 50), most=4)
        wishes = [ProvisionSettings(work_folder=folder) for folder in ("one", "two")] + [PLAIN]
        got = await asyncio.gather(*(minter.provision(queue, 30, wish, None) for wish in wishes))
        for outcomes, folder in zip(got, ("one", "two", queue.work_folder), strict=True):
            assert {service.work_folders[config.runner_name] for config in configs(outcomes)} == {folder}

    run_virtually(main)


@pytest.mark.parametrize("mode", ["never", "always"])
@pytest.mark.parametrize("hedge", [False, True])
def test_calls_at_once_keep_their_prefixes(mode: Literal["never", "always"], *, hedge: bool) -> None:
    """Each call's runners have its own prefix, also those minted again after a failure; no name stays reserved."""

    async def main() -> None:
        chance = random.Random(1)
        failures = ["lost-slice"] if mode == "always" else ["refused", "lost", "wait1", "down"]
        service = ModelService(
            slices=mode == "always", fault=lambda _name: chance.choice(failures) if chance.random() < 0.1 else None
        )
        minter, queue, names = make_minter(service, slicing=Slicing(mode, 7), most=16, hedge=hedge, max_attempts=50)
        wishes = [ProvisionSettings(name_prefix=prefix) for prefix in ("one", "two", "three")] + [PLAIN]
        calls = [minter.provision(queue, 1 + number % 23, wishes[number % 4], None) for number in range(60)]
        for number, outcomes in enumerate(await asyncio.gather(*calls)):
            made = configs(outcomes)
            assert len(made) == 1 + number % 23
            assert {config.runner_name.rsplit("-", 1)[0] for config in made} == {
                wishes[number % 4].name_prefix or queue.name_prefix
            }
        assert not queue.stock
        assert State.RESERVED not in {states[-1] for states in names.states.values()}

    run_virtually(main)


def test_prefixes_without_end_leave_no_names_behind() -> None:
    """A host that gives each call a prefix of its own."""

    async def main() -> None:
        service = ModelService()
        minter, queue, names = make_minter(service)
        calls = [
            minter.provision(queue, 2, ProvisionSettings(name_prefix=f"call-{number}"), None) for number in range(300)
        ]
        assert sum(len(configs(outcomes)) for outcomes in await asyncio.gather(*calls)) == 600
        assert len(names.states) <= 2 * 600, "few more names are written down than the calls need"
        assert State.RESERVED not in {states[-1] for states in names.states.values()}
        assert not queue.stock

    run_virtually(main)


def test_a_service_that_spells_names_its_own_way_leaves_none_in_doubt() -> None:
    """What is delivered under another spelling is not looked for, and removed, under ours after a crash."""

    class Shouting(ModelService):
        async def generate_jit_config(self, scale_set_id: int, name: str, work_folder: str = "") -> MintedRunner:
            return await super().generate_jit_config(scale_set_id, name.upper(), work_folder)

    async def main() -> None:
        minter, queue, names = make_minter(Shouting())
        outcomes = await minter.provision(queue, 5, PLAIN, None)
        last = {name: states[-1] for name, states in names.states.items()}
        given = {config.runner_name for config in configs(outcomes)}
        assert {name for name, state in last.items() if state is State.DELIVERED} == given
        assert {state for name, state in last.items() if name not in given} == {State.CLOSED}

    run_virtually(main)


def test_a_failed_delivery_is_undone() -> None:
    """What `on_ready` refuses is a typed failure for that config, and its registration goes."""

    async def main() -> None:
        service = ModelService()
        minter, queue, _ = make_minter(service)
        calls = [0]

        def on_ready(_config: JitConfig) -> None:
            calls[0] += 1
            if calls[0] == 3:
                raise OSError("no machine")

        outcomes = await minter.provision(queue, 20, PLAIN, on_ready)
        assert reasons(outcomes) == {FailureReason.DELIVERY: 1}
        await settled(minter)
        assert set(service.runners) == {config.runner_name for config in configs(outcomes)}

    run_virtually(main)


@pytest.mark.parametrize("waits", [False, True], ids=["at-once", "awaited"])
def test_a_cancelled_delivery_ends_its_slot_only(waits: bool) -> None:
    """A host that cancels one launch, or whose callback meets a cancelled future, still gets N outcomes."""

    async def main() -> None:
        service = ModelService()
        minter, queue, _ = make_minter(service)
        launches: list[asyncio.Future[None]] = []

        def on_ready(_config: JitConfig) -> Awaitable[None] | None:
            launch: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            launches.append(launch)
            if len(launches) == 3:
                launch.cancel()
            else:
                launch.set_result(None)
            return launch if waits else launch.result()

        outcomes = await asyncio.wait_for(minter.provision(queue, 20, PLAIN, on_ready), 60.0)
        assert reasons(outcomes) == {FailureReason.DELIVERY: 1}
        await settled(minter)
        assert set(service.runners) == {config.runner_name for config in configs(outcomes)}

    run_virtually(main)


def test_a_late_mint_is_hedged_under_another_name() -> None:
    """With hedging a hung mint is asked for again long before its time limit; the loser is removed."""

    async def main() -> None:
        names: list[str] = []

        def fault(name: str) -> str | None:
            names.append(name)
            return "hang" if len(names) == 70 else None

        service = ModelService(fault=fault)
        minter, queue, _ = make_minter(service, hedge=True, most=32, attempt_timeout=300.0)
        start = asyncio.get_running_loop().time()
        outcomes = await minter.provision(queue, 100, PLAIN, None)
        assert len(configs(outcomes)) == 100
        assert asyncio.get_running_loop().time() - start < 150.0
        await asyncio.sleep(400.0)
        await settled(minter)
        assert len(service.runners) == 100

    run_virtually(main)


def test_every_part_of_the_time_is_accounted_for() -> None:
    """The parts of each config's time sum to its total, from demand to delivery."""

    async def main() -> None:
        service = ModelService(fault=faults(3, lost=0.2))
        minter, queue, _ = make_minter(service, budget=Budget(50, 30.0))
        await minter.provision(queue, 80, PLAIN, None)
        report = minter.last_report
        assert report is not None
        assert len(report.timings) == 80
        assert all(min(t.queue, t.budget, t.server, t.retry, t.delivery) >= -1e-9 for t in report.timings)
        assert max(t.total for t in report.timings) == pytest.approx(report.seconds, rel=0.01)
        assert max(t.budget for t in report.timings) > 20.0

    run_virtually(main)
