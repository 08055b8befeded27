"""The autoscaler asks for what is missing, launches what arrives, and leaves no registration that nobody serves."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest

from autoscaler import autoscaling as autoscaling_module
from autoscaler.autoscaling import Autoscaler
from autoscaler.report import Report
from scaleset_client import JobCompletedEvent, JobStartedEvent, ScaleSetClient
from scaleset_hookspecs import (
    Answer,
    Certainty,
    Conflict,
    FailureReason,
    JitConfig,
    JobCompleted,
    MintFailure,
    NotFound,
    OnReady,
    Outcome,
    ProvisionSettings,
    Rejected,
    RunnerInfo,
    RunnerRef,
    ScaleSetRef,
    ScaleSetSettings,
    Statistics,
    Unavailable,
    hookimpl,
)
from scaleset_hookspecs.host import AsyncHost, create_manager

pytestmark = pytest.mark.anyio

SCALE_SET = ScaleSetRef(name="s", id=1)


@dataclass
class World:
    """The plugin, the client and the launcher in one: what they were asked, and how they answer."""

    asked: list[tuple[int, int | None]] = field(default_factory=list)
    launched: list[str] = field(default_factory=list)
    ended: list[str | None] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    busy: set[int] = field(default_factory=set)
    down: bool = False
    troubles: list[Exception] = field(default_factory=list)
    certainty: Certainty = Certainty.FRESH
    on_stop: Callable[[], None] = lambda: None
    looked_up: int = 0
    refused: int = 0
    outcome: Callable[[int], MintFailure | None] = lambda _number: None
    error: Exception | None = None
    hold: asyncio.Event | None = None
    launching: asyncio.Event | None = None
    outlives_host: bool = True
    at_work: asyncio.Event | None = None
    number: int = 0

    @hookimpl
    def provision_runners(
        self, scale_set: ScaleSetRef, count: int, settings: ProvisionSettings, on_ready: OnReady | None
    ) -> Awaitable[tuple[Outcome, ...]]:
        self.asked.append((count, settings.desired))
        return self._provision(count, on_ready)

    async def _provision(self, count: int, on_ready: OnReady | None) -> tuple[Outcome, ...]:
        if self.error is not None:
            raise self.error
        if self.hold is not None:
            await self.hold.wait()
        return tuple([await self._one(on_ready) for _ in range(count)])

    async def _one(self, on_ready: OnReady | None) -> Outcome:
        self.number += 1
        failure = self.outcome(self.number)
        if failure is not None:
            return failure
        name = f"r{self.number}"
        config = JitConfig(runner_id=self.number, runner_name=name, scale_set=SCALE_SET, encoded="x", minted_at=0)
        assert on_ready is not None
        await cast("Awaitable[None]", on_ready(config))
        return config

    @hookimpl
    def get_scaleset_settings(self, scale_set: ScaleSetRef) -> Answer[ScaleSetSettings]:
        value = ScaleSetSettings(id=1, name="s", runner_group_id=1, runner_group_name="Default")
        return Answer(certainty=Certainty.FRESH, value=value, age=0)

    @hookimpl
    def get_runner_info(self, scale_set: ScaleSetRef, runner: RunnerRef) -> Answer[RunnerInfo]:
        self.looked_up += 1
        if self.certainty is not Certainty.FRESH:
            return Answer(certainty=self.certainty, reason="down")
        return Answer(certainty=Certainty.FRESH, value=RunnerInfo(id=runner.id or 0, name=runner.name or ""), age=0)

    @hookimpl
    def on_demand_changed(self, scale_set: ScaleSetRef, desired: int) -> None:
        self.told.append(f"demand {desired}")

    @hookimpl
    def after_runner_removed(self, scale_set: ScaleSetRef, runner: RunnerRef) -> None:
        self.told.append(f"removed {runner.name}")

    @hookimpl
    def after_job_completed(self, scale_set: ScaleSetRef, event: JobCompleted) -> None:
        self.told.append(f"completed {event.job_id} on {event.runner.name if event.runner else None}")

    @hookimpl
    def autoscaler_stopping(self) -> None:
        self.told.append("stopping")

    async def remove_runner(self, runner_id: int) -> bool:
        if self.down:
            self.refused += 1
            raise Unavailable("down", status=503)
        if self.troubles:
            raise self.troubles.pop(0)
        if runner_id in self.busy:
            raise Conflict("it has a job", status=400, type_name="JobStillRunningException")
        self.removed.append(runner_id)
        return True

    async def launch(self, config: JitConfig) -> None:
        await asyncio.sleep(0)
        self.launched.append(config.runner_name)
        if self.launching is not None:
            await self.launching.wait()

    async def end(self, runner: RunnerRef) -> None:
        self.ended.append(runner.name)

    async def living(self) -> tuple[RunnerRef, ...]:
        return ()

    async def drain(self) -> None:
        if self.at_work is not None and self.number > 0 and len(self.removed) > 0:
            await self.at_work.wait()

    async def stop(self) -> None:
        self.on_stop()


@asynccontextmanager
async def autoscaling(world: World, *, max_runners: int = 10) -> AsyncIterator[Autoscaler]:
    manager = create_manager({}, plugins=[("world", world)], load_entry_points=False)
    autoscaler = Autoscaler(
        AsyncHost(manager),
        cast("ScaleSetClient", world),
        world,
        SCALE_SET,
        min_idle=0,
        max_runners=max_runners,
        report=Report(None),
    )
    try:
        yield autoscaler
    finally:
        await autoscaler.stop()


async def settle(until: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not until():
            await asyncio.sleep(0)


async def test_asks_once_for_what_is_missing_while_the_burst_is_under_way() -> None:
    world = World(hold=asyncio.Event())
    async with autoscaling(world) as autoscaler:
        autoscaler.on_statistics(Statistics(assigned_jobs=3))
        await settle(lambda: bool(world.asked))
        autoscaler.on_statistics(Statistics(assigned_jobs=3))
        autoscaler.on_statistics(Statistics(assigned_jobs=5))
        assert world.hold is not None
        world.hold.set()
        await settle(lambda: len(world.launched) == 5)
    assert world.asked == [(3, 3), (2, 5)]


async def test_never_asks_for_more_than_the_maximum() -> None:
    world = World()
    async with autoscaling(world, max_runners=4) as autoscaler:
        autoscaler.on_statistics(Statistics(assigned_jobs=300))
        await settle(lambda: len(world.launched) == 4)
    assert world.asked == [(4, 4)]


async def test_tells_when_the_demand_falls_during_a_burst() -> None:
    world = World(hold=asyncio.Event())
    async with autoscaling(world) as autoscaler:
        autoscaler.on_statistics(Statistics(assigned_jobs=6))
        autoscaler.on_statistics(Statistics(assigned_jobs=2))
        assert world.told == ["demand 2"]
        assert world.hold is not None
        world.hold.set()


async def test_asks_again_for_what_failed_after_the_time_that_was_named() -> None:
    failed = MintFailure(reason=FailureReason.UNAVAILABLE, message="down", retry_after=0.01)
    world = World(outcome=lambda number: failed if number == 2 else None)
    async with autoscaling(world) as autoscaler:
        autoscaler.on_statistics(Statistics(assigned_jobs=3))
        await settle(lambda: len(world.launched) == 3)
    assert world.asked == [(3, 3), (1, 3)]


async def test_does_not_ask_again_for_what_is_not_wanted_any_more() -> None:
    fell = MintFailure(reason=FailureReason.DEMAND_FELL, message="fewer are wanted")
    world = World(outcome=lambda number: fell if number > 1 else None)
    async with autoscaling(world) as autoscaler:
        assert await autoscaler.once(3) == 2
    assert world.asked == [(3, 3)]


async def test_a_demand_that_fell_and_rose_again_during_a_burst_is_met() -> None:
    """Nothing told the plugin of the rise, since as many were asked for already; the next poll may be a minute away."""
    fell = MintFailure(reason=FailureReason.DEMAND_FELL, message="fewer are wanted", retry_after=0.01)
    world = World(hold=asyncio.Event(), outcome=lambda number: fell if number in {3, 4} else None)
    async with autoscaling(world) as autoscaler:
        autoscaler.on_statistics(Statistics(assigned_jobs=4))
        autoscaler.on_statistics(Statistics(assigned_jobs=2))
        autoscaler.on_statistics(Statistics(assigned_jobs=4))
        assert world.hold is not None
        world.hold.set()
        await settle(lambda: len(world.launched) == 4)
    assert world.asked == [(4, 4), (2, 4)]


async def test_a_runner_that_dies_with_its_job_is_not_replaced() -> None:
    """The job dies with it, and counts as assigned until the service has noticed, which takes ten minutes."""
    world = World()
    async with autoscaling(world) as autoscaler:
        await autoscaler.once(1)
        autoscaler.on_event(JobStartedEvent(job_id="j", runner_id=1, runner_name="r1"))
        autoscaler.on_runner_ended(RunnerRef(name="r1", id=1), 1)
        autoscaler.on_statistics(Statistics(assigned_jobs=1, running_jobs=1))
        await settle(lambda: world.removed == [1])
        assert world.asked == [(1, 1)]
        autoscaler.on_statistics(Statistics(assigned_jobs=2, running_jobs=1))
        await settle(lambda: len(world.launched) == 2)
        autoscaler.on_event(JobCompletedEvent(job_id="j", result="failed", runner_id=1, runner_name="r1"))
        autoscaler.on_statistics(Statistics(assigned_jobs=2))
        await settle(lambda: len(world.launched) == 3)
    assert world.asked == [(1, 1), (1, 2), (1, 2)]


async def test_a_dead_runners_place_is_free_when_its_job_counts_no_more() -> None:
    world = World()
    async with autoscaling(world) as autoscaler:
        await autoscaler.once(1)
        autoscaler.on_event(JobStartedEvent(job_id="j", runner_id=1, runner_name="r1"))
        autoscaler.on_runner_ended(RunnerRef(name="r1", id=1), 0)
        autoscaler.on_statistics(Statistics())
        autoscaler.on_statistics(Statistics(assigned_jobs=1))
        await settle(lambda: len(world.launched) == 2)
    assert world.asked == [(1, 1), (1, 1)]


async def test_news_may_come_before_the_launch_has_returned() -> None:
    """A runner that was over by then counted as idle for ever, and the job it was to take waited."""
    world = World(launching=asyncio.Event())
    async with autoscaling(world) as autoscaler:
        autoscaler.on_statistics(Statistics(assigned_jobs=2))
        await settle(lambda: world.launched == ["r1"])
        autoscaler.on_event(JobStartedEvent(job_id="j", runner_id=1, runner_name="r1"))
        autoscaler.on_event(JobStartedEvent(job_id="k", runner_id=2, runner_name="r2"))
        autoscaler.on_event(JobCompletedEvent(job_id="j", result="succeeded", runner_id=1, runner_name="r1"))
        assert world.launching is not None
        world.launching.set()
        await settle(lambda: len(world.launched) == 2)
        autoscaler.on_statistics(Statistics(assigned_jobs=2))
        await settle(lambda: len(world.launched) == 3)
        autoscaler.on_statistics(Statistics(assigned_jobs=1))
        await settle(lambda: world.removed == [3])
    assert world.asked == [(2, 2), (1, 2)]


async def test_a_burst_is_finished_when_the_single_run_is_cancelled() -> None:
    """A mint cut off in the middle is a runner that nobody knows of."""
    world = World(hold=asyncio.Event(), outlives_host=False)
    async with autoscaling(world) as autoscaler:
        once = asyncio.create_task(autoscaler.once(2))
        await settle(lambda: bool(world.asked))
        once.cancel()
        await asyncio.wait({once})
        assert world.hold is not None
        world.hold.set()
    assert world.number == 2


async def test_a_runner_is_removed_at_the_service_before_its_machine_is_ended() -> None:
    world = World()
    async with autoscaling(world) as autoscaler:
        await autoscaler.once(2)
        autoscaler.on_statistics(Statistics(assigned_jobs=1))
        await settle(lambda: world.ended == ["r1"])
    assert world.removed == [1]
    assert world.told[0] == "removed r1"


async def test_a_runner_that_was_just_given_a_job_stays() -> None:
    world = World(busy={1})
    async with autoscaling(world) as autoscaler:
        await autoscaler.once(1)
        autoscaler.on_statistics(Statistics())
    assert (world.removed, world.ended) == ([], [])


async def test_a_runner_that_could_not_be_removed_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    world = World(down=True)
    async with autoscaling(world) as autoscaler:
        await autoscaler.once(1)
        autoscaler.on_statistics(Statistics())
        await settle(lambda: "r1 stays registered" in caplog.text)
        assert world.removed == []
        world.down = False
        autoscaler.on_statistics(Statistics(assigned_jobs=1))
        autoscaler.on_statistics(Statistics())
        await settle(lambda: world.ended == ["r1"])
    assert (world.removed, world.asked) == ([1], [(1, 1)])


async def test_job_events_change_the_fleet_and_reach_the_plugins() -> None:
    world = World()
    async with autoscaling(world) as autoscaler:
        await autoscaler.once(2)
        for _ in range(2):  # news may come twice
            autoscaler.on_event(JobStartedEvent(job_id="j", runner_id=1, runner_name="r1"))
            autoscaler.on_event(JobCompletedEvent(job_id="j", result="succeeded", runner_id=1, runner_name="r1"))
        autoscaler.on_event(JobCompletedEvent(job_id="k", result="canceled"))
        autoscaler.on_statistics(Statistics(assigned_jobs=2))
        await settle(lambda: len(world.launched) == 3)
    assert world.asked == [(2, 2), (1, 2)]
    assert world.told[:3] == ["completed j on r1", "completed j on r1", "completed k on None"]


async def test_a_command_that_ends_without_a_job_takes_its_registration_with_it() -> None:
    world = World()
    async with autoscaling(world) as autoscaler:
        await autoscaler.once(1)
        autoscaler.on_runner_ended(RunnerRef(name="r1", id=1), 1)
        await settle(lambda: world.removed == [1])
    assert world.told[0] == "removed r1"


@pytest.mark.parametrize(
    "trouble",
    [
        Unavailable("down", status=503, retry_after=0.01),
        NotFound("page not found", status=404, retry_after=0.01),
        Conflict("it has a job", status=400, type_name="JobStillRunningException", retry_after=0.01),
    ],
)
async def test_a_dead_runner_is_removed_as_soon_as_that_is_possible(trouble: Exception) -> None:
    """Nobody else does: its machine is gone, and the service may wait for it for a day."""
    world = World(troubles=[trouble, trouble])
    async with autoscaling(world) as autoscaler:
        await autoscaler.once(1)
        autoscaler.on_runner_ended(RunnerRef(name="r1", id=1), 1)
        await settle(lambda: world.removed == [1])
    assert world.troubles == []


@pytest.mark.parametrize(("certainty", "removed"), [(Certainty.UNKNOWN, [1]), (Certainty.ABSENT, [])])
async def test_a_dead_runner_is_left_alone_only_if_it_is_known_to_be_gone(
    certainty: Certainty, removed: list[int]
) -> None:
    world = World(certainty=certainty)
    async with autoscaling(world) as autoscaler:
        await autoscaler.once(1)
        autoscaler.on_runner_ended(RunnerRef(name="r1", id=1), 1)
        await settle(lambda: world.looked_up == 1)
    assert world.removed == removed


async def test_stopping_tries_a_last_time_to_remove_a_dead_runner() -> None:
    world = World(down=True)
    async with autoscaling(world) as autoscaler:
        await autoscaler.once(1)
        autoscaler.on_runner_ended(RunnerRef(name="r1", id=1), 1)
        await settle(lambda: world.refused == 1)
        world.down = False
    assert world.removed == [1]


@pytest.mark.parametrize(("outlives", "removed"), [(False, [1, 2]), (True, [])])
async def test_stopping_removes_the_idle_runners_that_end_with_the_host(outlives: bool, removed: list[int]) -> None:
    world = World(outlives_host=outlives)
    async with autoscaling(world) as autoscaler:
        await autoscaler.once(2)
    assert world.removed == removed
    assert world.told[0] == "stopping"


async def test_stopping_outlasts_a_service_that_fails_for_a_moment() -> None:
    """The host that stops is the last one to know these runners."""
    down = Unavailable("down", status=503, retry_after=0.01)
    world = World(outlives_host=False, troubles=[down, down, down])
    async with autoscaling(world) as autoscaler:
        await autoscaler.once(1)
        world.on_stop = lambda: autoscaler.on_runner_ended(RunnerRef(name="r1", id=1), -15)
    assert world.removed == [1]


@pytest.mark.parametrize(
    "trouble",
    [
        Conflict("it has a job", status=400, type_name="JobStillRunningException"),
        Unavailable("busy", status=429, retry_after=3600),
    ],
)
async def test_stopping_does_not_wait_for_what_takes_longer(trouble: Exception) -> None:
    world = World(outlives_host=False, troubles=[trouble, trouble])
    async with autoscaling(world) as autoscaler:
        await autoscaler.once(1)
        world.on_stop = lambda: autoscaler.on_runner_ended(RunnerRef(name="r1", id=1), -15)
    assert (world.removed, world.troubles) == ([], [])


@pytest.mark.parametrize("status", [401, 403, 404, 422])
async def test_no_refusal_ends_the_host_and_each_waits_longer(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One mint that was answered 403 ended the host within 0.2 s, and 20 of 20 running jobs with it."""
    monkeypatch.setattr(autoscaling_module, "RETRY_SECONDS", 0.001)
    waits: list[float] = []
    world = World(error=Rejected("no", status=status))
    async with autoscaling(world) as autoscaler:
        stops_within = autoscaler._stops_within

        async def noted(seconds: float) -> bool:
            waits.append(seconds)
            return await stops_within(seconds)

        monkeypatch.setattr(autoscaler, "_stops_within", noted)
        autoscaler.on_statistics(Statistics(assigned_jobs=2))
        await settle(lambda: len(world.asked) == 5)
        world.error = None
        await settle(lambda: len(world.launched) == 2)
    assert waits == [0.001 * 2**number for number in range(len(waits))]


async def test_messages_begin_no_second_chain_of_retries() -> None:
    """With 422 on mints each message started one more: 980 mints in two minutes."""
    world = World(error=Rejected("no", status=422))
    async with autoscaling(world) as autoscaler:
        for _ in range(20):
            autoscaler.on_statistics(Statistics(assigned_jobs=2))
            await settle(lambda: autoscaler._waiting)
        assert world.asked == [(2, 2)]


@pytest.mark.parametrize("forced", [False, True])
async def test_stopping_lets_runners_with_a_job_finish_it(forced: bool) -> None:
    """SIGTERM terminated them within 0.3 s; a second signal does."""
    signal = asyncio.Event()
    world = World(outlives_host=False, at_work=asyncio.Event())
    async with autoscaling(world) as autoscaler:
        await autoscaler.once(3)
        autoscaler.on_event(JobStartedEvent(job_id="j", runner_id=2, runner_name="r2"))
        stopping = asyncio.create_task(autoscaler.stop(signal))
        await settle(lambda: sorted(world.removed) == [1, 3])
        await asyncio.sleep(0.01)
        assert not stopping.done()
        stopped: list[list[str]] = []

        def ended() -> None:
            stopped.append(autoscaler._fleet.with_jobs())
            autoscaler.on_runner_ended(RunnerRef(name="r2", id=2), -15 if forced else 0)
            assert world.at_work is not None
            world.at_work.set()

        world.on_stop = ended
        if forced:
            signal.set()
        else:
            ended()
        await stopping
    assert stopped[0] == ["r2"], "it was forced, or ended by itself"
    assert not any(stopped[1:]), "and then nobody was left"
