"""One scale set of the host: tells its fleet what happens, and carries out what the fleet decides."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from autoscaler.launchers import Launcher, LaunchError, OnEnd
from scaleset_client import AnyJobEvent, JobCompletedEvent, JobStartedEvent, ScaleSetClient
from scaleset_client.clock import Clock, SystemClock, woken
from scaleset_hookspecs import (
    Answer,
    Certainty,
    Conflict,
    FailureReason,
    JitConfig,
    JobCompleted,
    JobStarted,
    MintFailure,
    NotFound,
    Outcome,
    ProvisionSettings,
    RunnerRef,
    ScalesetError,
    ScaleSetRef,
    ServiceError,
    Statistics,
)
from scaleset_hookspecs.host import AsyncHost, RecordFile
from scaleset_hookspecs.host.fleet import (
    Action,
    Adopted,
    BurstEnded,
    Drain,
    End,
    Fact,
    Fleet,
    FleetLimits,
    Launched,
    Life,
    LookedUp,
    LookUp,
    Lower,
    MachineEnded,
    Mint,
    Removal,
    Remove,
    RemoveAnswered,
    Say,
    Tick,
)

__all__ = ["Autoscaler"]

logger = logging.getLogger(__name__)

STOP_SECONDS = 20.0
"""Time to remove what runners left when the host stops; whoever stopped it kills it soon after."""

CALLS_AT_ONCE = 8
"""Look-ups and removals in flight, beside the mints."""

LONGEST_SLEEP = 3600.0


class Autoscaler:
    """Keeps as many runners of one scale set as the service's counters ask for; `Fleet` decides, this one acts.

    Args:
        hooks: Who answers the requests: a plugin, or the host's defaults.
        client: Removes registrations.
        launcher: Makes what starts runners and ends them, given who hears of a machine's end.
        scale_set: The scale set, with its id.
        limits: What the fleet may be.
        record: Hears what becomes of each burst.
        clock: Where times and waits come from.

    Whatever the service answers, the host goes on: its runners may have jobs.
    """

    def __init__(
        self,
        hooks: AsyncHost,
        client: ScaleSetClient,
        launcher: Callable[[OnEnd], Launcher],
        scale_set: ScaleSetRef,
        limits: FleetLimits,
        *,
        record: RecordFile,
        clock: Clock | None = None,
    ) -> None:
        self._hooks = hooks
        self._client = client
        self._launcher = launcher(self.on_machine_ended)
        self.scale_set = scale_set
        self._limits = limits
        self._record = record
        self._clock = clock or SystemClock()
        self._fleet = Fleet(limits)
        self._bursts = 0
        self._refused: set[str | None] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._calls = asyncio.Semaphore(CALLS_AT_ONCE)
        self._told: list[Fact] = []
        self._changed = asyncio.Event()
        self._news = asyncio.Event()
        self._ticking = asyncio.create_task(self._tick())

    @property
    def runners(self) -> Counter[Life]:
        """How many of the runners that are known by name are how far."""
        return Counter(each.life for each in self._fleet.runners)

    @property
    def desired(self) -> int | None:
        """How many runners are wanted in all; `None` before the service has counted."""
        return self._fleet.desired

    def tell(self, *facts: Fact) -> None:
        """Tell the fleet, and begin with what it says, once all that has happened now is told: fewer, larger bursts."""
        if not self._told:
            asyncio.get_running_loop().call_soon(self._decide)
        self._told += facts

    def _decide(self) -> None:
        facts, self._told = self._told, []
        for action in self._fleet.on_all(facts, self._clock.monotonic()):
            self._do(action)
        self._changed.set()
        self._news.set()

    def on_message(self, events: Sequence[AnyJobEvent], statistics: Statistics) -> None:
        """Take up what one message of the service says."""
        facts: list[Fact] = []
        for event in events:
            if isinstance(event, JobStartedEvent):
                runner = RunnerRef(name=event.runner_name, id=event.runner_id)
                started = JobStarted(job_id=event.job_id, runner=runner, request_id=event.request_id)
                self._hooks.after_job_started(self.scale_set, started)
                facts.append(started)
            elif isinstance(event, JobCompletedEvent):
                had = RunnerRef(name=event.runner_name, id=event.runner_id) if event.runner_name else None
                done = JobCompleted(job_id=event.job_id, result=event.result, runner=had, request_id=event.request_id)
                self._hooks.after_job_completed(self.scale_set, done)
                facts.append(done)
        self._hooks.on_scaleset_statistics(self.scale_set, statistics)
        self.tell(*facts, statistics)

    def moved(self, scale_set: ScaleSetRef) -> None:
        """Take up that the scale set has another id: it was deleted, and made anew under its name."""
        self.scale_set = scale_set

    def on_machine_ended(self, runner: RunnerRef, status: int) -> None:
        """Take up that a runner's machine or process has ended."""
        logger.debug("runner %s ended with status %d", runner.name, status)
        self.tell(MachineEnded(runner=runner))

    async def check_scale_set(self) -> None:
        """Ask for the scale set's settings, so that a wrong one is found out before there is any demand.

        Raises:
            NotFound: There is no such scale set.
        """
        answer = await self._hooks.get_scaleset_settings(self.scale_set)
        if answer.certainty is Certainty.ABSENT:
            raise NotFound(f"the scale set {self.scale_set.name} is gone: {answer.reason}")

    async def adopt(self) -> None:
        """Take over the runners that an earlier life of this host launched: what lives here, and what is registered."""
        living = await self._launcher.living()
        for runner in living:
            self.tell(Adopted(runner=runner, watched=True))
        listed = [each for each in await self._client.list_runners() if each.scale_set_id == self.scale_set.id]
        for each in listed:
            self.tell(Adopted(runner=RunnerRef(name=each.name, id=each.id)))
        if living or listed:
            logger.info("%s: %d runners live, %d are registered", self.scale_set.name, len(living), len(listed))

    async def once(self, count: int) -> int:
        """Provision one burst; return how many failed. Cancelled, it ends in `stop`: a mint cut off leaves a runner."""
        burst = asyncio.create_task(self._burst(Mint(count=count, desired=count)))
        self._keep(burst)
        outcomes = await asyncio.shield(burst)
        await self._launcher.drain()
        return count - sum(isinstance(outcome, JitConfig) for outcome in outcomes)

    async def stop(self, forced: asyncio.Event, drain_timeout: float | None = None, *, keep: bool = False) -> None:
        """Start no more runners, remove idle ones, let busy ones finish; leave no registration that nobody will serve.

        Runners that outlive the host keep their jobs; its next life takes them over.

        Args:
            forced: Set when busy runners are to be ended, too.
            drain_timeout: Seconds after which they are in any case; `None`: never.
            keep: Whether runners that outlive the host are all left as they are.
        """
        stays = self._launcher.outlives_host
        if not (keep and stays):
            self.tell(Drain())
            self._decide()
            await self._until(lambda: stays or not self._busy(), forced, drain_timeout)
            await self._until(self._over, forced, STOP_SECONDS)
        if (left := self._busy()) and not stays:
            why = "a second signal came" if forced.is_set() else "the drain time-out is over"
            logger.warning("%s: ending %d runners that have a job: %s", why, len(left), ", ".join(left))
        await self._launcher.stop()
        if not stays:
            await self._until(self._over, asyncio.Event(), STOP_SECONDS)
        self._ticking.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(self._ticking, *self._tasks, return_exceptions=True)

    def _busy(self) -> list[str]:
        return [str(each.runner.name) for each in self._fleet.runners if each.life is Life.BUSY]

    def _over(self) -> bool:
        """Whether nothing is left that could still be done; a job that outlives its runner keeps the registration."""
        stays = self._launcher.outlives_host
        rest = (
            each
            for each in self._fleet.runners
            if not (each.life is Life.BUSY and stays)
            and not (each.life is Life.ENDED and each.runner.name in self._refused)
        )
        return not self._bursts and next(rest, None) is None

    async def _until(self, over: Callable[[], bool], forced: asyncio.Event, seconds: float | None) -> None:
        """Wait until it is over, or told to end, or so many seconds have passed."""

        async def watch() -> None:
            while not over():
                self._news.clear()
                await self._news.wait()

        waits = [asyncio.ensure_future(watch()), asyncio.ensure_future(forced.wait())]
        waits += [asyncio.ensure_future(self._clock.sleep(seconds))] if seconds is not None else []
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()

    # What the fleet decides

    async def _tick(self) -> None:
        """Tell the fleet that time has passed, whenever it wants to know."""
        while True:
            self._changed.clear()
            at, now = self._fleet.next_at, self._clock.monotonic()
            if at is not None and at <= now:
                self.tell(Tick())
            await woken(
                self._changed, LONGEST_SLEEP if at is None else max(0.05, min(at - now, LONGEST_SLEEP)), self._clock
            )

    def _do(self, action: Action) -> None:
        match action:
            case Mint():
                self._start(self._burst(action))
            case Lower(desired=desired):
                self._hooks.on_demand_changed(self.scale_set, desired)
            case LookUp(runner=runner):
                self._start(self._look_up(runner))
            case Remove(runner=runner):
                self._start(self._remove(runner))
            case End(runner=runner):
                self._start(self._end(runner))
            case Say(level=level, text=text):
                logger.log(level, "%s: %s", self.scale_set.name, text)

    async def _burst(self, mint: Mint) -> Sequence[Outcome]:
        """Ask for runners and launch each as its config arrives."""
        self._bursts += 1
        record = self._record.burst(self.scale_set, mint.count)
        logger.info("%s: %d runners wanted, asking for %d", self.scale_set.name, mint.desired, mint.count)

        async def launch(config: JitConfig) -> None:
            try:
                await self._launcher.launch(config)
            except LaunchError as error:
                logger.warning("%s: runner %s was not launched: %s", self.scale_set.name, config.runner_name, error)
                raise
            runner = RunnerRef(name=config.runner_name, id=config.runner_id)
            self._hooks.after_runner_launched(self.scale_set, config)
            record.runner_ready(config)
            self.tell(Launched(runner=runner, watched=self._launcher.watches))

        outcomes: Sequence[Outcome] = ()
        try:
            await self.check_scale_set()
            wanted = ProvisionSettings(desired=mint.desired, max_runners=self._limits.max_runners)
            outcomes = await self._hooks.provision_runners(self.scale_set, mint.count, settings=wanted, on_ready=launch)
        except ScalesetError as error:
            wait = error.retry_after if isinstance(error, ServiceError) else None
            outcomes = (MintFailure(reason=FailureReason.REJECTED, message=str(error), retry_after=wait),)
        finally:
            self._bursts -= 1
            failures = tuple(each for each in outcomes if isinstance(each, MintFailure))
            record.end(failures)
            self._log(mint.count, record.ready, failures)
            self.tell(BurstEnded(asked=mint.count, launched=record.ready, failures=failures))
        return outcomes

    def _log(self, asked: int, launched: int, failures: Sequence[MintFailure]) -> None:
        logger.info("%s: %d of %d runners are up", self.scale_set.name, launched, asked)
        for reason, count in Counter(failure.reason for failure in failures).items():
            example = next(failure.message for failure in failures if failure.reason is reason)
            logger.warning("%d not: %s, for example: %s", count, reason, example)

    async def _look_up(self, runner: RunnerRef) -> None:
        try:
            async with self._calls:
                answer = await self._hooks.get_runner_info(self.scale_set, runner)
        except ScalesetError as error:
            answer = Answer(certainty=Certainty.UNKNOWN, reason=str(error))
        self.tell(LookedUp(runner=runner, answer=answer))

    async def _remove(self, runner: RunnerRef) -> None:
        removal, wait = Removal.FAILED, None
        try:
            async with self._calls:
                there = runner.id is not None and await self._client.remove_runner(runner.id)
            removal = Removal.REMOVED if there else Removal.ABSENT
        except Conflict:
            removal = Removal.HAS_JOB
            self._refused.add(runner.name)
        except ServiceError as error:
            wait = error.retry_after
            logger.warning("runner %s stays registered for now: %s", runner.name, error)
        if removal in {Removal.REMOVED, Removal.ABSENT}:
            self._refused.discard(runner.name)
            self._hooks.after_runner_removed(self.scale_set, runner)
        self.tell(RemoveAnswered(runner=runner, removal=removal, retry_after=wait))

    async def _end(self, runner: RunnerRef) -> None:
        await self._launcher.end(runner)
        if not self._launcher.watches:
            self.tell(MachineEnded(runner=runner))

    def _start(self, work: Coroutine[Any, Any, object]) -> None:
        self._keep(asyncio.create_task(work))

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("going on without it", exc_info=error)
