"""Keeps what is remembered of runners true: each event updates or evicts exactly what it touches."""

from cachetools import LRUCache

from scaleset_burst.clock import Clock
from scaleset_burst.metadata.runners import Runners
from scaleset_hookspecs import JitConfig, RunnerInfo, RunnerRef

__all__ = ["RunnerEvents"]

ENDED = 10_000
"""Ids kept whose end was told, so that a start that comes late does not bring them back."""


class RunnerEvents:
    """What happens to runners, as hosts and our own mints tell it."""

    def __init__(self, runners: Runners, clock: Clock) -> None:
        self._runners = runners
        self._clock = clock
        self._ended: LRUCache[int, bool] = LRUCache(ENDED)

    def minted(self, config: JitConfig) -> None:
        """Remember our own mint: the service said that it registered the runner."""
        self._runners.minted(config.runner_name, config.runner_id, config.scale_set.id, self._clock.monotonic())

    def started(self, runner: RunnerRef, scale_set_id: int | None) -> None:
        """Mark a runner busy. Whether it is online was not said, so an older state is not carried over.

        An event for a runner whose job is over, or that was reported gone, is late or wrong: then the service is asked.
        So it is after an event without an id: the name may have passed to another runner since we learnt whose it was.
        That a job started does not make an absence credible: look-ups may not show the runner yet.
        """
        now = self._clock.monotonic()
        runner_id = self._runners.id_of(runner)
        before = None if runner_id is None else self._runners.memory.get(runner_id)
        known = None if before is None else before.value
        gone = before is not None and before.value is None
        self._runners.touch(runner, now)
        name = runner.name or (known.name if known is not None else None)
        if runner.id is None or name is None or gone or runner.id in self._ended:
            return
        if known is not None and known.scale_set_id is not None:
            scale_set_id = known.scale_set_id
        info = RunnerInfo(id=runner.id, name=name, scale_set_id=scale_set_id, busy=True)
        self._runners.keep(info, said_at=now, source="event")

    def completed(self, runner: RunnerRef) -> None:
        """Forget a runner whose job is over: its registration goes away by itself, but has not yet (protocol 8.3)."""
        self._runners.mints.ended(runner)
        self._end(runner)

    def removed(self, runner: RunnerRef) -> None:
        """Believe a host that says a runner is gone, unless it may only have been looked for too early."""
        if self._runners.mints.may_appear(runner, self._clock.monotonic()):
            self._end(runner)  # whatever is said of it from now on, the service is asked
        else:
            self.gone(runner)

    def gone(self, runner: RunnerRef) -> None:
        """Remember that a registration was removed; only the service's own word to us says so for certain."""
        runner_id = self._end(runner)
        self._runners.mints.forget(runner)
        if runner_id is not None:
            self._runners.bury(runner_id, said_at=self._clock.monotonic())

    def _end(self, runner: RunnerRef) -> int | None:
        mint = self._runners.mints.find(runner)
        runner_id = self._runners.id_of(runner)
        if runner_id is None and mint is not None:
            runner_id = mint.runner_id
        if runner_id is not None:
            self._ended[runner_id] = True
            runner = RunnerRef(id=runner_id, name=runner.name)
        self._runners.touch(runner, self._clock.monotonic())
        return runner_id
