"""Runners: whether one is registered, the look-ups by id and by name, and what each event makes untrue.

"Absent" is said only on the service's word, and only when that proves it: `mints` says when it does.
"""

from cachetools import LRUCache

from scaleset_burst.cache.entries import Entry
from scaleset_burst.cache.mints import Mints
from scaleset_burst.cache.readthrough import Facts, Lookup, LookupResult, Question, absent, just_said, unknown
from scaleset_burst.cache.service import MetadataService
from scaleset_client.clock import Clock
from scaleset_client.types import Runner
from scaleset_hookspecs import Answer, JitConfig, RunnerInfo, RunnerRef, UsageError

__all__ = ["Runners"]

TOUCHED = 20_000
"""Ids and names kept with the time of their last event: a look-up under way may show them as before it."""

ENDED = 10_000
"""Ids kept whose end was told, so that a start that comes late does not bring them back."""


class Runners:
    """What is remembered of runners, by id; names lead to ids, because ids are never given twice and names may be."""

    def __init__(
        self,
        service: MetadataService,
        facts: Facts[RunnerInfo, Runner],
        mints: Mints,
        clock: Clock,
        *,
        keep: bool,
        max_entries: int,
    ) -> None:
        self.facts = facts
        self.mints = mints
        self._service = service
        self._clock = clock
        self._keep = keep
        self._ids: LRUCache[str, int] = LRUCache(max_entries)
        self._touched: LRUCache[int | str, float] = LRUCache(TOUCHED)
        self._ended: LRUCache[int, bool] = LRUCache(ENDED)

    # Questions

    async def answer(self, runner: RunnerRef) -> Answer[RunnerInfo]:
        """Answer from memory or from the service.

        Raises:
            Rejected: The credentials are refused.
            UsageError: The runner has neither a name nor an id.
        """
        if runner.id is None and not runner.name:
            raise UsageError("get_runner_info: the runner has neither a name nor an id; give one of them")
        answer, _ = await self.facts.ask(lambda: _RunnerQuestion(self, runner))
        return answer

    def entry(self, runner: RunnerRef) -> Entry[RunnerInfo] | None:
        """Return what is remembered of a runner; its value is `None` if it is confirmed to be gone."""
        runner_id = self._id_of(runner)
        entry = None if runner_id is None else self.facts.get(runner_id)
        if entry is not None and entry.value is None and runner.id is None:
            return None  # the id is gone, but somebody may have registered the name again
        return entry

    def touched_since(self, runner: RunnerRef, since: float) -> bool:
        """Return whether an event told of the runner later than that, so that what was asked then may be outdated."""
        self._recall(runner)
        keys = (runner.id, runner.name)
        return any(self._touched.get(key, since) > since for key in keys if key is not None)

    # Look-ups

    async def fetch(self, runner: RunnerRef) -> Runner | None:
        """Ask the service, by id if there is one."""
        if runner.id is not None:
            return await self._service.get_runner(runner.id)
        assert runner.name is not None  # noqa: S101  # checked before
        return await self._service.find_runner(runner.name)

    def learn(self, runner: RunnerRef, result: LookupResult[Runner]) -> None:
        """Keep what a look-up said, unless an event said something later."""
        if result.found is None:
            self.drop(runner)
            return
        found = RunnerRef(name=result.found.name, id=result.found.id)
        self.mints.seen(found)
        if not self.touched_since(found, result.asked_at):
            self._keep_info(_info(result.found), said_at=result.asked_at, source="service")

    # Events

    def minted(self, config: JitConfig) -> None:
        """Note our own mint: the service said that it registered the runner.

        It is remembered when somebody first asks about it: of a burst hardly any are asked about.
        """
        self.mints.minted(config.runner_name, config.runner_id, self._clock.monotonic(), config.scale_set.id)
        if self.facts.looking_up:  # beside a burst nobody is, as a rule
            self.facts.invalidate(config.runner_name)
            self.facts.invalidate(config.runner_id)

    def started(self, runner: RunnerRef, scale_set_id: int | None) -> None:
        """Mark a runner busy. Whether it is online was not said, so an older state is not carried over.

        An event for a runner whose job is over, or that was reported gone, is late or wrong: then the service is asked.
        So it is after an event without an id: the name may have passed to another runner since we learnt whose it was.
        That a job started does not make an absence credible: look-ups may not show the runner yet.
        """
        now = self._clock.monotonic()
        runner_id = self._id_of(runner)
        before = None if runner_id is None else self.facts.get(runner_id)
        known = None if before is None else before.value
        gone = before is not None and before.value is None
        self._touch(runner)
        name = runner.name or (known.name if known is not None else None)
        if runner.id is None or name is None or gone or runner.id in self._ended:
            return
        if known is not None and known.scale_set_id is not None:
            scale_set_id = known.scale_set_id
        info = RunnerInfo(id=runner.id, name=name, scale_set_id=scale_set_id, busy=True)
        self._keep_info(info, said_at=now, source="event")

    def completed(self, runner: RunnerRef) -> None:
        """Forget a runner whose job is over: its registration goes away by itself, but has not yet (protocol 8.3)."""
        self.mints.ended(runner)
        self._end(runner)

    def removed(self, runner: RunnerRef) -> None:
        """Believe a host that says a runner is gone, unless it may only have been looked for too early."""
        if self.mints.may_appear(runner, self._clock.monotonic()):
            self._end(runner)  # whatever is said of it from now on, the service is asked
        else:
            self.gone(runner)

    def gone(self, runner: RunnerRef) -> None:
        """Remember that a registration was removed; only the service's own word to us says so for certain."""
        runner_id = self._end(runner)
        self.mints.forget(runner)
        if runner_id is not None and self._keep:
            self.facts.put(runner_id, None, said_at=self._clock.monotonic(), source="event")

    def drop(self, runner: RunnerRef) -> bool:
        """Forget a runner under each of its keys, and rely on no look-up under way; return whether it was known."""
        runner_id = self._id_of(runner)
        names = {runner.name} if runner.name is not None else set()
        dropped = False
        if runner_id is not None:
            entry = self.facts.get(runner_id)
            if entry is not None and entry.value is not None:
                names.add(entry.value.name)
            dropped = self.facts.drop(runner_id)
        if runner.id is None and runner.name is not None and runner_id is None:
            # The way from the name to the id was pushed out: look at the entries themselves.
            name = runner.name
            dropped = self.facts.drop_where(lambda info: info is not None and info.name == name) > 0
        for name in names:
            self.facts.invalidate(name)
            self._ids.pop(name, None)
        return dropped

    def drop_all(self) -> int:
        """Forget every runner; return how many were remembered."""
        unasked = self.mints.recall_none()
        return self.facts.drop_all() + (unasked if self._keep else 0)

    def _id_of(self, runner: RunnerRef) -> int | None:
        self._recall(runner)
        if runner.id is not None:
            return runner.id
        return None if runner.name is None else self._ids.get(runner.name)

    def _end(self, runner: RunnerRef) -> int | None:
        mint = self.mints.find(runner)
        runner_id = self._id_of(runner)
        if runner_id is None and mint is not None:
            runner_id = mint.runner_id
        if runner_id is not None:
            self._ended[runner_id] = True
            runner = RunnerRef(id=runner_id, name=runner.name)
        self._touch(runner)
        return runner_id

    def _touch(self, runner: RunnerRef) -> None:
        """Forget a runner because an event told of it."""
        for key in (self._id_of(runner), runner.name):
            if key is not None:
                self._touched[key] = self._clock.monotonic()
        self.drop(runner)

    def _recall(self, runner: RunnerRef) -> None:
        for mint in self.mints.recall(runner):
            self._touched[mint.runner_id] = self._touched[mint.name] = mint.at
            info = RunnerInfo(id=mint.runner_id, name=mint.name, scale_set_id=mint.scale_set_id)
            self._keep_info(info, said_at=mint.at, source="mint")

    def _keep_info(self, info: RunnerInfo, *, said_at: float, source: str) -> None:
        named = self._ids.get(info.name)
        other = None if named is None else self.facts.get(named)
        if other is None or other.said_at <= said_at:
            self._ids[info.name] = info.id
        if self._keep:
            self.facts.put(info.id, info, said_at=said_at, source=source)


class _RunnerQuestion(Question[RunnerInfo, Runner]):
    """Whether a runner is registered."""

    def __init__(self, runners: Runners, runner: RunnerRef) -> None:
        self.counted = self.asked = runners.facts
        # An id and a name never meet as keys, since their types differ.
        self.key = runner.id if runner.id is not None else runner.name
        self.kept = runners.entry(runner)
        self._runners = runners
        self._runner = runner

    def lookup(self) -> Lookup[Runner]:
        runners, runner = self._runners, self._runner
        return Lookup(self.key, lambda: runners.fetch(runner), lambda result: runners.learn(runner, result))

    def told(self, result: LookupResult[Runner], now: float) -> Answer[RunnerInfo] | None:
        runners, runner, found = self._runners, self._runner, result.found
        if runners.touched_since(runner if found is None else RunnerRef(id=found.id, name=found.name), result.asked_at):
            return None  # an event that its flight did not know to be about it, or that came just after its end
        if found is not None:
            return just_said(_info(found), result.asked_at, self.asked.lifetime, now)
        why = runners.mints.why_unproven(runner, result.asked_at)
        if why is not None:
            return unknown(why)
        runners.mints.forget(runner)
        called = f"called {runner.name!r}" if runner.id is None else f"with the id {runner.id}"
        return absent(f"the service has no runner {called}", age=now - result.asked_at)


def _info(runner: Runner) -> RunnerInfo:
    """Return the runner as it crosses a hook; what the service did not say stays unsaid."""
    return RunnerInfo(
        id=runner.id,
        name=runner.name,
        scale_set_id=runner.scale_set_id,
        status=runner.status,
        busy=runner.busy,
    )
