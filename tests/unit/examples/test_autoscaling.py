"""The autoscaler carries out what its fleet decides, and tells it what came of that; all of it on virtual time."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest

from autoscaler.autoscaling import Autoscaler
from autoscaler.launchers import OnEnd
from scaleset_client import JobCompletedEvent, JobStartedEvent, Runner, ScaleSetClient
from scaleset_hookspecs import (
    Answer,
    Certainty,
    Conflict,
    JitConfig,
    JobCompleted,
    JobStarted,
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
from scaleset_hookspecs.host import AsyncHost, RecordFile, create_manager
from scaleset_hookspecs.host.fleet import FleetLimits
from tests.kit.virtual import VirtualClock, run_virtually

SCALE_SET = ScaleSetRef(name="s", id=1)


@dataclass
class World:
    """The plugin, the service and the machines in one: what they were asked, and how they answer.

    Attributes:
        machines: Runners whose machine lives.
        registered: Names to ids at the service.
        busy: Ids of runners that have a job.
    """

    asked: list[int] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    machines: dict[str, RunnerRef] = field(default_factory=dict)
    registered: dict[str, int] = field(default_factory=dict)
    busy: set[int] = field(default_factory=set)
    ended: list[str] = field(default_factory=list)
    troubles: list[Exception] = field(default_factory=list)
    error: Exception | None = None
    hold: asyncio.Event | None = None
    outlives_host: bool = False
    watches: bool = True
    on_end: OnEnd = lambda _runner, _status: None

    def make(self, on_end: OnEnd) -> "World":
        """Be the launcher."""
        self.on_end = on_end
        return self

    # The plugin

    @hookimpl
    def provision_runners(
        self, scale_set: ScaleSetRef, count: int, settings: ProvisionSettings, on_ready: OnReady | None
    ) -> Awaitable[tuple[Outcome, ...]]:
        self.asked.append(count)
        return self._provision(count, on_ready)

    async def _provision(self, count: int, on_ready: OnReady | None) -> tuple[Outcome, ...]:
        if self.error is not None:
            raise self.error
        if self.hold is not None:
            await self.hold.wait()
        return tuple([await self._one(on_ready) for _ in range(count)])

    async def _one(self, on_ready: OnReady | None) -> Outcome:
        number = len(self.told) + len(self.registered) + len(self.ended) + 1000
        while f"r{number}" in self.registered:
            number += 1
        self.registered[f"r{number}"] = number
        config = JitConfig(runner_id=number, runner_name=f"r{number}", scale_set=SCALE_SET, encoded="x", minted_at=0)
        assert on_ready is not None
        await cast("Awaitable[None]", on_ready(config))
        return config

    @hookimpl
    def get_scaleset_settings(self, scale_set: ScaleSetRef) -> Answer[ScaleSetSettings]:
        value = ScaleSetSettings(id=1, name="s", runner_group_id=1, runner_group_name="Default")
        return Answer(certainty=Certainty.FRESH, value=value, age=0)

    @hookimpl
    def get_runner_info(self, scale_set: ScaleSetRef, runner: RunnerRef) -> Answer[RunnerInfo]:
        number = self.registered.get(runner.name or "")
        if number is None:
            return Answer(certainty=Certainty.ABSENT, age=0)
        status = "online" if runner.name in self.machines else "offline"
        info = RunnerInfo(id=number, name=runner.name or "", status=status, busy=number in self.busy)
        return Answer(certainty=Certainty.FRESH, value=info, age=0)

    @hookimpl
    def on_demand_changed(self, scale_set: ScaleSetRef, desired: int) -> None:
        self.told.append(f"demand {desired}")

    @hookimpl
    def after_runner_removed(self, scale_set: ScaleSetRef, runner: RunnerRef) -> None:
        self.told.append(f"removed {runner.name}")

    @hookimpl
    def after_job_started(self, scale_set: ScaleSetRef, event: JobStarted) -> None:
        self.told.append(f"started {event.job_id} on {event.runner.name}")

    @hookimpl
    def after_job_completed(self, scale_set: ScaleSetRef, event: JobCompleted) -> None:
        self.told.append(f"completed {event.job_id} on {event.runner.name if event.runner else None}")

    # The service

    async def list_runners(self) -> tuple[Runner, ...]:
        return tuple(Runner(id=number, name=name, scale_set_id=1) for name, number in self.registered.items())

    async def remove_runner(self, runner_id: int) -> bool:
        if self.troubles:
            raise self.troubles.pop(0)
        if runner_id in self.busy:
            raise Conflict("it has a job", status=400, type_name="JobStillRunningException")
        name = next((name for name, number in self.registered.items() if number == runner_id), None)
        return name is not None and bool(self.registered.pop(name))

    # The machines

    async def living(self) -> Sequence[RunnerRef]:
        return tuple(self.machines.values())

    async def launch(self, config: JitConfig) -> None:
        self.machines[config.runner_name] = RunnerRef(name=config.runner_name, id=config.runner_id)

    async def end(self, runner: RunnerRef) -> None:
        assert runner.name not in self.registered, "the registration goes first"
        if runner.name in self.machines:
            self.die(runner.name or "")
        else:
            self.on_end(runner, 0)

    def die(self, name: str, status: int = 0) -> None:
        """End a machine; its job is over for the service, too."""
        runner = self.machines.pop(name)
        self.busy.discard(runner.id or 0)
        self.ended.append(name)
        self.on_end(runner, status)

    async def drain(self) -> None:
        while self.machines:
            await asyncio.sleep(1)

    async def stop(self) -> None:
        for name in () if self.outlives_host else tuple(self.machines):
            self.die(name, -15)


@asynccontextmanager
async def autoscaling(world: World, *, max_runners: int = 10) -> AsyncIterator[Autoscaler]:
    manager = create_manager({}, plugins=[("world", world)], load_entry_points=False)
    limits = FleetLimits(max_runners=max_runners)
    autoscaler = Autoscaler(
        AsyncHost(manager),
        cast("ScaleSetClient", world),
        world.make,
        SCALE_SET,
        limits,
        record=RecordFile(None),
        clock=VirtualClock(),
    )
    try:
        yield autoscaler
    finally:
        await autoscaler.stop(asyncio.Event())


def virtual(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    def run() -> None:
        run_virtually(test)

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def counted(world: World, assigned: int) -> Statistics:
    """Return what the service counts."""
    running = len(world.busy)
    registered = len(world.registered)
    return Statistics(
        assigned_jobs=assigned,
        running_jobs=running,
        registered_runners=registered,
        busy_runners=running,
        idle_runners=registered - running,
    )


@virtual
async def test_asks_for_what_is_missing_and_never_for_more_than_the_maximum() -> None:
    world = World(hold=asyncio.Event())
    async with autoscaling(world, max_runners=4) as autoscaler:
        for assigned in (3, 3, 300):
            autoscaler.on_message((), counted(world, assigned))
            await asyncio.sleep(1)
        assert world.hold is not None
        world.hold.set()
        await asyncio.sleep(1)
        assert (world.asked, len(world.machines)) == ([3, 1], 4)
        assert autoscaler._fleet.alive == 4


@virtual
async def test_tells_when_the_demand_falls_during_a_burst() -> None:
    world = World(hold=asyncio.Event())
    async with autoscaling(world) as autoscaler:
        autoscaler.on_message((), counted(world, 6))
        await asyncio.sleep(1)
        autoscaler.on_message((), counted(world, 2))
        await asyncio.sleep(1)
        assert world.told == ["demand 2"]
        assert world.hold is not None
        world.hold.set()


@pytest.mark.parametrize("status", [401, 403, 404, 422])
def test_no_refusal_ends_the_host_and_each_waits_longer(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """A mint answered 403 once ended 20 of 20 jobs; with 422 each message began one more chain: 980 in two minutes."""

    async def main() -> None:
        world = World(error=Rejected("not today", status=status))
        async with autoscaling(world) as autoscaler:
            for _ in range(120):
                autoscaler.on_message((), counted(world, 2))
                await asyncio.sleep(1)
            assert 3 <= len(world.asked) < 10
            world.error = None
            await asyncio.sleep(600)
            assert len(world.machines) == 2

    with caplog.at_level(logging.WARNING):
        run_virtually(main)
    loud = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert loud
    assert "not today" in loud[0].getMessage()


@virtual
async def test_job_events_reach_the_plugins_and_a_runner_ends_with_its_machine() -> None:
    world = World()
    async with autoscaling(world) as autoscaler:
        autoscaler.on_message((), counted(world, 1))
        await asyncio.sleep(1)
        (name,) = world.machines
        number = world.registered[name]
        world.busy.add(number)
        events = (
            JobStartedEvent(job_id="j", runner_id=number, runner_name=name),
            JobCompletedEvent(job_id="j", result="canceled", runner_id=number, runner_name=name),
            JobCompletedEvent(job_id="k", result="canceled"),
        )
        autoscaler.on_message(events, counted(world, 0))
        assert world.told == [f"started j on {name}", f"completed j on {name}", "completed k on None"]
        assert autoscaler._fleet.alive == 1
        del world.registered[name]  # the service removes it with its job
        world.die(name)
        autoscaler.on_message((), counted(world, 0))
        await asyncio.sleep(120)
        assert autoscaler._fleet.alive == 0


@virtual
async def test_a_machine_that_ends_without_a_job_takes_its_registration_with_it() -> None:
    down = Unavailable("down", status=503)
    world = World(troubles=[down, down])
    async with autoscaling(world) as autoscaler:
        autoscaler.on_message((), counted(world, 1))
        await asyncio.sleep(1)
        (name,) = world.machines
        world.die(name, 1)
        autoscaler.on_message((), counted(world, 0))
        await asyncio.sleep(300)
        assert (world.registered, world.troubles) == ({}, [])
        assert f"removed {name}" in world.told


@virtual
async def test_an_idle_runner_too_many_is_removed_and_one_with_a_job_stays() -> None:
    world = World()
    async with autoscaling(world) as autoscaler:
        autoscaler.on_message((), counted(world, 2))
        await asyncio.sleep(1)
        first, second = world.machines
        world.busy.add(world.registered[first])  # nobody has told us yet
        for _ in range(20):
            autoscaler.on_message((), Statistics(registered_runners=len(world.registered), idle_runners=2))
            await asyncio.sleep(30)
        assert (list(world.machines), world.ended) == ([first], [second])
        world.die(first)


@virtual
async def test_machines_that_end_together_are_replaced_by_one_burst() -> None:
    """Nine that ended in one millisecond were nine bursts of one."""
    world = World()
    async with autoscaling(world) as autoscaler:
        autoscaler.on_message((), counted(world, 9))
        await asyncio.sleep(1)
        for name in tuple(world.machines):
            number = world.registered.pop(name)
            started = JobStartedEvent(job_id=name, runner_id=number, runner_name=name)
            over = JobCompletedEvent(job_id=name, result="succeeded", runner_id=number, runner_name=name)
            autoscaler.on_message((started, over), counted(world, 9))
            world.die(name)
        await asyncio.sleep(90)
        assert world.asked == [9, 9]


@virtual
async def test_takes_over_what_an_earlier_life_launched() -> None:
    world = World(machines={"old": RunnerRef(name="old", id=7)}, registered={"old": 7, "other": 8})
    async with autoscaling(world, max_runners=3) as autoscaler:
        await autoscaler.adopt()
        await asyncio.sleep(1)
        assert autoscaler._fleet.alive == 2
        autoscaler.on_message((), counted(world, 3))
        await asyncio.sleep(1)
        assert world.asked == [1]


@virtual
async def test_a_burst_is_finished_when_the_single_run_is_cancelled() -> None:
    """A mint cut off in the middle is a runner that nobody knows of."""
    world = World(hold=asyncio.Event())
    async with autoscaling(world) as autoscaler:
        once = asyncio.create_task(autoscaler.once(2))
        await asyncio.sleep(1)
        once.cancel()
        await asyncio.wait({once})
        assert world.hold is not None
        world.hold.set()
    assert (world.registered, len(world.ended)) == ({}, 2)


@pytest.mark.parametrize(("signals", "timeout"), [(1, None), (2, None), (1, 100.0)], ids=["drain", "forced", "late"])
def test_stopping_lets_runners_with_a_job_finish_it(
    signals: int, timeout: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    """SIGTERM terminated them within 0.3 s; a second signal does, and the time-out, and it is said whose job ended."""

    async def main() -> None:
        world, forced = World(), asyncio.Event()
        async with autoscaling(world) as autoscaler:
            autoscaler.on_message((), counted(world, 3))
            await asyncio.sleep(1)
            busy, *idle = world.machines
            number = world.registered[busy]
            world.busy.add(number)
            autoscaler.on_message((JobStartedEvent(job_id="j", runner_id=number, runner_name=busy),), counted(world, 3))
            stopping = asyncio.create_task(autoscaler.stop(forced, timeout))
            await asyncio.sleep(90)
            assert sorted(world.ended) == sorted(idle)
            assert not stopping.done()
            if signals == 2:
                forced.set()
            elif timeout is None:
                await asyncio.sleep(3600)
                assert list(world.machines) == [busy]
                world.die(busy)
            await stopping
            assert (world.machines, world.registered) == ({}, {})
            assert (busy in caplog.text) is (signals == 2 or timeout is not None)

    with caplog.at_level(logging.WARNING):
        run_virtually(main)


@virtual
async def test_stopping_leaves_a_job_to_a_machine_that_outlives_the_host() -> None:
    world = World(outlives_host=True)
    async with autoscaling(world) as autoscaler:
        autoscaler.on_message((), counted(world, 2))
        await asyncio.sleep(1)
        busy, idle = world.machines
        world.busy.add(world.registered[busy])
        autoscaler.on_message(
            (JobStartedEvent(job_id="j", runner_id=world.registered[busy], runner_name=busy),), counted(world, 2)
        )
    assert (list(world.machines), world.ended) == ([busy], [idle])


@pytest.mark.parametrize(
    "trouble",
    [
        Conflict("it has a job", status=400, type_name="JobStillRunningException"),
        Unavailable("busy", status=429, retry_after=3600),
    ],
)
def test_stopping_does_not_wait_for_what_takes_longer(trouble: Exception) -> None:
    async def main() -> None:
        world = World(troubles=[trouble] * 100)
        async with autoscaling(world) as autoscaler:
            autoscaler.on_message((), counted(world, 1))
            await asyncio.sleep(1)
            began = asyncio.get_running_loop().time()
            await autoscaler.stop(asyncio.Event())
            assert asyncio.get_running_loop().time() - began <= 41
        assert len(world.registered) == 1
        assert len(world.troubles) > 90

    run_virtually(main)
