"""Carries the scaler's decisions out: asks the hooks for runners, launches them, removes those not needed."""

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import Any

from autoscaler.launchers import Launcher, LaunchError
from autoscaler.report import Report
from autoscaler.scaler import Fleet, decide
from scaleset_client import AnyJobEvent, JobCompletedEvent, JobStartedEvent, ScaleSetClient
from scaleset_hookspecs import (
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
from scaleset_hookspecs.host import AsyncHost

__all__ = ["Autoscaler"]

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
LONGEST_RETRY = 300.0
"""Wait before asking again for what failed without a time of its own; doubles with each failure, up to this."""

LOUD = 3
"""Failures in a row from which on they are said as an error."""

CLEAN_UP_SECONDS = 30.0
"""Wait before a dead runner's registration is tried again: the service may think for minutes that it has a job."""

STOP_SECONDS = 20.0
"""Time to remove what runners left when the host stops; whoever stopped it kills it soon after."""

LAST_RETRY_SECONDS = 1.0
"""The wait between tries in that time."""

NOT_FAILURES = frozenset({FailureReason.ALREADY_PROVIDED, FailureReason.STOPPED})
"""Outcomes that need no second look at the demand; it may have risen again since it fell."""


class Autoscaler:
    """Keeps as many runners of one scale set as the service's counters ask for.

    Args:
        hooks: Who answers the requests: a plugin, or the host's defaults.
        client: Removes runners that are not needed.
        launcher: Starts and ends them.
        scale_set: The scale set, with its id.
        min_idle: Runners kept ready.
        max_runners: Runners in all at most.
        report: Hears when runners are ready.

    Whatever the service answers, the host goes on: its runners may have jobs.
    """

    def __init__(
        self,
        hooks: AsyncHost,
        client: ScaleSetClient,
        launcher: Launcher,
        scale_set: ScaleSetRef,
        *,
        min_idle: int,
        max_runners: int,
        report: Report,
    ) -> None:
        self._hooks = hooks
        self._client = client
        self._launcher = launcher
        self._scale_set = scale_set
        self._min_idle = min_idle
        self._max_runners = max_runners
        self._report = report
        self._fleet = Fleet()
        self._statistics = Statistics()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopping = asyncio.Event()
        self._until = 0.0
        self._failures = 0
        self._failing_since = 0.0
        self._waiting = False

    def take_over(self, living: Sequence[RunnerRef]) -> None:
        """Count the runners that an earlier life of the host launched."""
        if living:
            logger.info("%d runners live from an earlier life of this host", len(living))
        for runner in living:
            self._fleet.adopted(runner)

    # What the listener tells

    def on_statistics(self, statistics: Statistics) -> None:
        """Compare the demand with the runners there are, and start what that asks for."""
        if self._stopping.is_set():
            return
        self._statistics = statistics
        self._hooks.on_scaleset_statistics(self._scale_set, statistics)
        self._fleet.assigned(statistics.assigned_jobs)
        decision = decide(statistics, self._fleet, min_idle=self._min_idle, max_runners=self._max_runners)
        if decision.fell:
            self._hooks.on_demand_changed(self._scale_set, decision.desired)
        for runner in decision.remove:
            self._fleet.leaving(runner)
            self._start(self._remove(runner))
        if decision.provision and not self._waiting:
            self._report.demand_known()
            logger.info("%d runners wanted, asking for %d", decision.desired, decision.provision)
            self._fleet.requested += decision.provision
            self._start(self._burst(decision.provision, decision.desired))

    def on_event(self, event: AnyJobEvent) -> None:
        """Take up what happened to one job."""
        if isinstance(event, JobStartedEvent):
            runner = RunnerRef(name=event.runner_name, id=event.runner_id)
            self._fleet.busy(runner)
            self._hooks.after_job_started(
                self._scale_set, JobStarted(job_id=event.job_id, runner=runner, request_id=event.request_id)
            )
        elif isinstance(event, JobCompletedEvent):
            gone = RunnerRef(name=event.runner_name, id=event.runner_id) if event.runner_name else None
            if gone is not None:
                self._fleet.gone(gone)  # an ephemeral runner ends with its job
            self._hooks.after_job_completed(
                self._scale_set,
                JobCompleted(job_id=event.job_id, result=event.result, runner=gone, request_id=event.request_id),
            )

    def on_runner_ended(self, runner: RunnerRef, status: int) -> None:
        """Take up that a runner's process has ended; without a job it leaves its registration behind."""
        if self._fleet.ended(runner) is None:
            return
        logger.info("runner %s ended with status %d", runner.name, status)
        self._hooks.after_runner_removed(self._scale_set, runner)
        self._start(self._clean_up(runner))

    # What is done about it

    async def look(self) -> None:
        """Ask for the scale set's settings, so that a wrong one is found out before there is any demand.

        Raises:
            NotFound: There is no such scale set.
        """
        answer = await self._hooks.get_scaleset_settings(self._scale_set)
        if answer.certainty is Certainty.ABSENT:
            raise NotFound(f"the scale set {self._scale_set.name} is gone: {answer.reason}")

    async def once(self, count: int) -> int:
        """Provision one burst; return how many failed. Cancelled, it ends in `stop`: a mint cut off leaves a runner."""
        self._report.demand_known()
        self._fleet.requested += count
        burst = asyncio.create_task(self._provision(count, count))
        self._keep(burst)
        outcomes = await asyncio.shield(burst)
        await self._launcher.drain()
        return sum(isinstance(outcome, MintFailure) for outcome in outcomes)

    async def stop(self, forced: asyncio.Event | None = None, drain_timeout: float | None = None) -> None:
        """Start no more runners, remove idle ones, let busy ones finish; leave no registration that nobody will serve.

        Args:
            forced: Set when busy runners are to be ended, too.
            drain_timeout: Seconds after which they are in any case; `None`: never.
        """
        self._stopping.set()
        loop = asyncio.get_running_loop()
        self._until = loop.time() + STOP_SECONDS
        await self._hooks.stopping()
        if not self._launcher.outlives_host:
            for runner in self._fleet.idle():
                self._fleet.leaving(runner)
                self._start(self._remove(runner))
        while self._tasks:
            await asyncio.wait(set(self._tasks))
        await self._drain(forced or asyncio.Event(), drain_timeout)
        self._until = loop.time() + STOP_SECONDS
        await self._launcher.stop()
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _drain(self, forced: asyncio.Event, timeout: float | None) -> None:
        """Wait until runners with a job have ended by themselves."""
        busy = [] if self._launcher.outlives_host else self._fleet.with_jobs()
        if not busy:
            return
        logger.info("%d runners have a job and finish it: %s", len(busy), ", ".join(busy))
        told, over = asyncio.ensure_future(forced.wait()), asyncio.ensure_future(self._launcher.drain())
        await asyncio.wait({told, over}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        left = [] if over.done() else self._fleet.with_jobs()
        told.cancel()
        over.cancel()
        if left:
            why = "a second signal came" if forced.is_set() else "the drain time-out is over"
            logger.warning("%s: ending %d runners that have a job: %s", why, len(left), ", ".join(left))

    async def _burst(self, count: int, desired: int) -> None:
        try:
            outcomes = await self._provision(count, desired)
        except ScalesetError as error:
            self._failed(str(error), error.retry_after if isinstance(error, ServiceError) else None)
            return
        failures = [
            outcome for outcome in outcomes if isinstance(outcome, MintFailure) and outcome.reason not in NOT_FAILURES
        ]
        if failures:
            told = [failure.retry_after for failure in failures if failure.retry_after is not None]
            self._failed(failures[-1].message, max(told, default=None))
        else:
            self._failures = 0

    def _failed(self, reason: str, retry_after: float | None) -> None:
        """Ask again later, each time later; what is wrong may be mended meanwhile, and jobs run on."""
        now = asyncio.get_running_loop().time()
        self._failing_since = self._failing_since if self._failures else now
        self._failures += 1
        wait = retry_after or min(LONGEST_RETRY, RETRY_SECONDS * 2 ** min(self._failures - 1, 10))
        logger.log(
            logging.ERROR if self._failures >= LOUD else logging.WARNING,
            "no runners now, asking again in %.0f s; %d bursts in a row have failed, for %.0f s; the last: %s",
            wait,
            self._failures,
            now - self._failing_since,
            reason,
        )
        if not self._waiting:
            self._waiting = True
            self._start(self._reconsider(wait))

    async def _provision(self, count: int, desired: int) -> Sequence[Outcome]:
        launched = 0

        async def launch(config: JitConfig) -> None:
            nonlocal launched
            try:
                await self._launcher.launch(config)
            except LaunchError as error:
                logger.warning("runner %s was not launched: %s", config.runner_name, error)
                raise
            launched += 1
            self._fleet.requested -= 1
            self._fleet.launched(config)
            self._hooks.after_runner_launched(self._scale_set, config)
            self._report.runner_ready()

        try:
            await self.look()
            wanted = ProvisionSettings(desired=desired, max_runners=self._max_runners)
            outcomes = await self._hooks.provision_runners(self._scale_set, count, settings=wanted, on_ready=launch)
        finally:
            self._fleet.requested -= count - launched
            self._report.failed(count - launched)
            self._report.write()
        _log(outcomes)
        return outcomes

    async def _reconsider(self, seconds: float) -> None:
        stops = await self._stops_within(seconds)
        self._waiting = False
        if not stops:
            self.on_statistics(self._statistics)

    async def _remove(self, runner: RunnerRef) -> None:
        """Remove the registration first and end the machine only then, so that no job is lost."""
        if runner.id is None:
            return
        try:
            await self._client.remove_runner(runner.id)
        except Conflict:
            self._fleet.busy(runner)  # it has just been given a job
            return
        except ServiceError as error:
            logger.warning("runner %s stays registered: %s", runner.name, error)
            self._fleet.stays(runner)
            return
        self._fleet.gone(runner)
        await self._launcher.end(runner)
        self._hooks.after_runner_removed(self._scale_set, runner)

    async def _clean_up(self, runner: RunnerRef) -> None:
        """Remove what a runner that has ended may have left, however often that takes: nobody else will."""
        while True:
            stopping = self._stopping.is_set()
            try:
                await self._remove_rest(runner, ask=not stopping)
            except ServiceError as error:
                logger.warning("runner %s may have left its registration: %s", runner.name, error)
                if not stopping:
                    await self._stops_within(error.retry_after or CLEAN_UP_SECONDS)
                    continue
                wait = error.retry_after or LAST_RETRY_SECONDS
                if isinstance(error, Conflict) or asyncio.get_running_loop().time() + wait > self._until:
                    return
                await asyncio.sleep(wait)
            else:
                return

    async def _remove_rest(self, runner: RunnerRef, *, ask: bool) -> None:
        known = await self._hooks.get_runner_info(self._scale_set, runner) if ask else None
        if runner.id is not None and (known is None or known.certainty is not Certainty.ABSENT):
            await self._client.remove_runner(runner.id)

    async def _stops_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _start(self, work: Coroutine[None, None, None]) -> None:
        self._keep(asyncio.create_task(self._guard(work)))

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guard(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except ScalesetError:
            logger.exception("going on without it")


def _log(outcomes: Sequence[Outcome]) -> None:
    failures = [outcome for outcome in outcomes if isinstance(outcome, MintFailure)]
    logger.info("%d of %d runners are up", len(outcomes) - len(failures), len(outcomes))
    for reason, count in Counter(failure.reason for failure in failures).items():
        example = next(failure.message for failure in failures if failure.reason is reason)
        logger.warning("%d not: %s, for example: %s", count, reason, example)
