"""How many runners to start and which to stop: decisions over values, on the register of runners."""

from dataclasses import dataclass, field
from enum import StrEnum

from scaleset_hookspecs import JitConfig, RunnerRef, Statistics

__all__ = ["Decision", "Fleet", "RunnerState", "decide", "desired_runners"]


class RunnerState(StrEnum):
    """What the host knows of one runner."""

    IDLE = "idle"
    """Launched, and no job of it was seen."""
    BUSY = "busy"
    """The service said that it took a job."""
    LEAVING = "leaving"
    """Being removed because it is not needed."""
    ENDED = "ended"
    """Its process ended with a job that the service still counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do now.

    Attributes:
        desired: Runners wanted in all, busy ones included.
        provision: How many to ask for.
        remove: Idle runners that are not needed, oldest first.
        fell: Whether more are asked for already than are wanted.
    """

    desired: int
    provision: int = 0
    remove: tuple[RunnerRef, ...] = ()
    fell: bool = False


@dataclass(slots=True)
class Fleet:
    """Every runner this host started and has not seen the end of, and how many more are asked for."""

    requested: int = 0
    _runners: dict[str, tuple[RunnerRef, RunnerState]] = field(default_factory=dict)
    _early: dict[str, RunnerState] = field(default_factory=dict)

    @property
    def known(self) -> int:
        """Runners that count against the demand: started ones and requested ones."""
        leaving = sum(state is RunnerState.LEAVING for _, state in self._runners.values())
        return self.requested + len(self._runners) - leaving

    def launched(self, config: JitConfig) -> None:
        """Take up a runner: idle, unless there was news of it while it was being launched."""
        runner = RunnerRef(name=config.runner_name, id=config.runner_id)
        state = self._early.pop(config.runner_name, RunnerState.IDLE)
        if state is not RunnerState.ENDED:
            self._runners[config.runner_name] = (runner, state)

    def adopted(self, runner: RunnerRef) -> None:
        """Take up a runner of an earlier life; if it has a job, the service will not let it be removed."""
        self._runners[runner.name or ""] = (runner, RunnerState.IDLE)

    def busy(self, runner: RunnerRef) -> None:
        """Note that a runner has a job."""
        known = self._runners.get(runner.name or "")
        if known is None:
            self._note(runner, RunnerState.BUSY)
        elif known[1] is not RunnerState.ENDED:
            self._mark(runner, RunnerState.BUSY)

    def leaving(self, runner: RunnerRef) -> None:
        """Note that a runner is being removed."""
        self._mark(runner, RunnerState.LEAVING)

    def ended(self, runner: RunnerRef) -> RunnerRef | None:
        """Note that a runner's process has ended; return it if that is news.

        One with a job keeps its place until the job is over for the service: nobody else can take that job.
        """
        known = self._runners.get(runner.name or "")
        if known is None or known[1] is RunnerState.ENDED:
            return None
        if known[1] is RunnerState.BUSY:
            self._mark(runner, RunnerState.ENDED)
            return known[0]
        return self.gone(runner)

    def assigned(self, jobs: int) -> None:
        """Take up how many jobs the service counts, and forget ended runners whose jobs cannot be among them."""
        states = [state for _, state in self._runners.values()]
        over = states.count(RunnerState.BUSY) + states.count(RunnerState.ENDED) - jobs
        ended = [name for name, (_, state) in self._runners.items() if state is RunnerState.ENDED]
        for name in ended[: max(0, over)]:
            del self._runners[name]

    def stays(self, runner: RunnerRef) -> None:
        """Note that a runner could not be removed: it may be tried again."""
        known = self._runners.get(runner.name or "")
        if known is not None and known[1] is RunnerState.LEAVING:
            self._mark(runner, RunnerState.IDLE)

    def gone(self, runner: RunnerRef) -> RunnerRef | None:
        """Forget a runner; return it if it was ours and had not been forgotten yet."""
        known = self._runners.pop(runner.name or "", None)
        if known is None:
            self._note(runner, RunnerState.ENDED)
            return None
        return known[0]

    def with_jobs(self) -> list[str]:
        """Return the names of the runners that have a job and have not ended."""
        return [name for name, (_, state) in self._runners.items() if state is RunnerState.BUSY]

    def idle(self) -> tuple[RunnerRef, ...]:
        """Return the idle runners, oldest first."""
        return tuple(runner for runner, state in self._runners.values() if state is RunnerState.IDLE)

    def _note(self, runner: RunnerRef, state: RunnerState) -> None:
        """Keep news of a runner that may still be launching; of what was never ours, only until the burst is over."""
        if not self.requested:
            self._early.clear()
        elif runner.name and self._early.get(runner.name) is not RunnerState.ENDED:
            self._early[runner.name] = state

    def _mark(self, runner: RunnerRef, state: RunnerState) -> None:
        known = self._runners.get(runner.name or "")
        if known is not None:
            self._runners[runner.name or ""] = (known[0], state)


def desired_runners(statistics: Statistics, *, min_idle: int, max_runners: int) -> int:
    """Return how many runners there should be in all.

    Assigned jobs include the running ones, so the answer is compared with all runners, busy ones included
    (protocol section 6.6).
    """
    return min(max_runners, min_idle + statistics.assigned_jobs)


def decide(statistics: Statistics, fleet: Fleet, *, min_idle: int, max_runners: int) -> Decision:
    """Return what to do, given the latest counters and the runners there are."""
    desired = desired_runners(statistics, min_idle=min_idle, max_runners=max_runners)
    missing = desired - fleet.known
    if missing >= 0:
        return Decision(desired=desired, provision=missing)
    surplus = max(0, -missing - fleet.requested)
    return Decision(desired=desired, remove=fleet.idle()[:surplus], fell=fleet.requested > 0)
