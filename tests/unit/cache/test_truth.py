"""Drives the cache and a model of the service with time, failures, events and concurrency, in any order.

Whatever happens: an answer marked fresh is never older than its lifetime and was true within that time, and no answer
is older than what the cache heard before the question; "absent" is never said of a runner that exists or may still
appear; nothing is fetched twice at once, and nothing that just failed is fetched at once again.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scaleset_burst.cache import Kind
from scaleset_hookspecs import (
    Answer,
    Certainty,
    JitConfig,
    JobCompleted,
    JobStarted,
    NotFound,
    RunnerInfo,
    RunnerRef,
    ScaleSetRef,
    ScaleSetSettings,
    Statistics,
    Unavailable,
)
from tests.kit.examples import examples
from tests.kit.virtual import VirtualLoop
from tests.unit.cache.model import ModelService, down, make

SETTINGS: dict[str, Any] = {"ttl": 300, "runner_ttl": 30, "runner_grace": 60, "stale_limit": 600, "statistics_ttl": 5}
LIFETIMES = {"settings": 300.0, "runner": 30.0}
SET = ScaleSetRef(name="linux")
NAMES = ("r1", "r2", "r3")


@dataclass
class Span:
    """A time in which something was so."""

    start: float
    end: float = float("inf")
    busy: bool | None = None

    def meets(self, start: float, end: float) -> bool:
        return self.start <= end and start <= self.end


@dataclass
class Truth:
    """The life of one runner, or of one scale set."""

    id: int
    name: str
    ours: bool = False
    minted_at: float = 0.0
    visible_at: float = 0.0
    end_heard: bool = False
    heard_at: float = float("-inf")
    spans: list[Span] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        return bool(self.spans) and self.spans[-1].end == float("inf")

    def become(self, now: float, busy: bool | None = None) -> None:
        self.finish(now)
        self.spans.append(Span(now, busy=busy))

    def finish(self, now: float) -> None:
        if self.alive:
            self.spans[-1].end = now


class CacheAgainstTheTruth(RuleBasedStateMachine):
    """One cache, one service, one loop on virtual time; questions stay open while other things happen."""

    @initialize(seed=st.integers(0, 1000), statistics=st.booleans(), most=st.sampled_from([10, 1000]))
    def start(self, seed: int, statistics: bool, most: int) -> None:
        self.runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.service = ModelService()
        self.cache = make(self.service, seed=seed, cache_statistics=statistics, max_entries=most, **SETTINGS)
        self.asking: list[asyncio.Task[None]] = []
        self.runners: dict[int, Truth] = {}
        self.sets: list[Truth] = []
        self.dead_ids: set[int] = set()
        self.hides = False
        self.create_set()

    def run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.runner.run(work())

    @property
    def now(self) -> float:
        return self.runner.get_loop().time()

    # Time, latency and failures

    @rule(seconds=st.sampled_from([0.01, 0.4, 1.5, 4.0, 11.0, 26.0, 61.0, 270.0, 400.0, 2000.0]))
    def time_passes(self, seconds: float) -> None:
        async def wait() -> None:
            end = self.now + seconds
            while self.now < end:
                self.show_and_hide()
                await asyncio.sleep(min(max(seconds / 20, 0.1), end - self.now + 1e-9))
            self.show_and_hide()

        self.run(wait)
        for task in [task for task in self.asking if task.done()]:
            self.asking.remove(task)
            if not task.cancelled():
                task.result()

    @rule(seconds=st.sampled_from([0.0, 0.2, 3.0, 20.0]))
    def latency_changes(self, seconds: float) -> None:
        self.service.latency = seconds

    @rule(retry_after=st.sampled_from([None, 2.0, 90.0]))
    def service_fails(self, retry_after: float | None) -> None:
        self.service.error = down(retry_after)

    @rule()
    def service_recovers(self) -> None:
        self.service.error = None

    @rule()
    def young_runners_flicker(self) -> None:
        self.hides = not self.hides
        self.show_and_hide()

    def show_and_hide(self) -> None:
        """The service does not always show registrations of ours that are young."""
        for truth in self.runners.values():
            young = truth.ours and self.now - truth.minted_at < 59.0
            hidden = (truth.ours and self.now < truth.visible_at) or (young and self.hides)
            (self.service.hidden.add if hidden else self.service.hidden.discard)(truth.id)

    # What happens at the service, and what the host hears of it

    @rule()
    def create_set(self) -> None:
        self.delete_set()
        made = self.service.add_set(SET.name, statistics=Statistics(assigned_jobs=1))
        truth = Truth(made.id, made.name)
        truth.become(self.now)
        self.sets.append(truth)

    @rule()
    def delete_set(self) -> None:
        self.service.sets.pop((1, SET.name), None)
        if self.sets:
            self.sets[-1].finish(self.now)

    def register(self, name: str) -> Truth:
        made = self.service.add_runner(name, scale_set_id=7)
        truth = Truth(made.id, name)
        truth.become(self.now, busy=False)
        self.runners[made.id] = truth
        return truth

    def taken(self, name: str) -> bool:
        return any(truth.alive and truth.name == name for truth in self.runners.values())

    @rule(name=st.sampled_from(NAMES), delay=st.sampled_from([0.0, 5.0, 59.0, 110.0]))
    def we_mint(self, name: str, delay: float) -> None:
        self.mint(name, delay)

    def mint(self, name: str, delay: float) -> None:
        if not self.taken(name):
            truth = self.register(name)
            truth.ours, truth.minted_at, truth.visible_at = True, self.now, self.now + delay
            self.show_and_hide()
            config = JitConfig(
                runner_id=truth.id, runner_name=name, scale_set=SET, encoded="secret", minted_at=self.now
            )
            self.tell(truth, lambda: self.cache.on_minted(config))

    @rule(
        name=st.sampled_from(NAMES),
        delay=st.sampled_from([0.0, 59.0, 110.0]),
        waits=st.sampled_from([(28.0, 17.0), (45.0, 10.0), (61.0, 20.0), (10.0, 51.0)]),
        meanwhile=st.sampled_from(["nothing", "flicker", "flicker and early look", "failure"]),
    )
    def we_mint_and_the_service_is_slow_to_show_it(
        self, name: str, delay: float, waits: tuple[float, float], meanwhile: str
    ) -> None:
        self.mint(name, delay)
        self.service.latency = 0.2
        self.service.error = None
        self.hides = False
        for seconds in waits:
            self.time_passes(seconds)
            for truth in [truth for truth in self.runners.values() if truth.name == name and truth.alive]:
                if "early look" in meanwhile:
                    self.look_too_early(truth, "id")
                self.ask(self.ref(truth, "id"))
                self.ask(self.ref(truth, "name"))
            self.time_passes(1.5)
            if "flicker" in meanwhile:
                self.young_runners_flicker()
                self.on_loop(lambda: self.cache.invalidate(Kind.RUNNER))
            elif meanwhile == "failure":
                self.service.error = down()

    @rule(name=st.sampled_from(NAMES))
    def somebody_registers(self, name: str) -> None:
        if not self.taken(name):
            self.register(name)

    @precondition(lambda self: self.runners)
    @rule(data=st.data(), heard=st.booleans(), again=st.booleans(), how=st.sampled_from(["id", "name", "both"]))
    def job_starts(self, data: st.DataObject, heard: bool, again: bool, how: str) -> None:
        self.start_job(data.draw(st.sampled_from(list(self.runners.values()))), heard, again, how)

    def start_job(self, truth: Truth, heard: bool, again: bool, how: str) -> None:
        if truth.alive:
            self.change(truth, busy=True)
        elif not again or how == "name" or not truth.end_heard:
            return  # a start told again comes late, but after nothing less than the end of its own runner
        if heard or not truth.alive:
            event = JobStarted(job_id="1", runner=self.ref(truth, how))
            self.tell(truth, lambda: self.cache.on_job_started(SET, event))

    @precondition(lambda self: self.runners)
    @rule(data=st.data(), how=st.sampled_from(["id", "name", "both"]), heard=st.booleans())
    def job_ends(self, data: st.DataObject, how: str, heard: bool) -> None:
        self.end_job(data.draw(st.sampled_from(list(self.runners.values()))), how, heard)

    def end_job(self, truth: Truth, how: str, heard: bool) -> None:
        if truth.alive:
            self.remove(truth)
            truth.end_heard = heard and how != "name"
            if heard:
                event = JobCompleted(job_id="1", result="succeeded", runner=self.ref(truth, how))
                self.tell(truth, lambda: self.cache.on_job_completed(SET, event))

    @precondition(lambda self: self.runners)
    @rule(data=st.data(), how=st.sampled_from(["id", "name", "both"]), by=st.sampled_from(["host", "us", "silent"]))
    def runner_is_removed(self, data: st.DataObject, how: str, by: str) -> None:
        self.take_away(data.draw(st.sampled_from(list(self.runners.values()))), how, by)

    def take_away(self, truth: Truth, how: str, by: str) -> None:
        if truth.alive:
            self.remove(truth)
            truth.end_heard = by != "silent" and how != "name"
            if by == "host":
                self.tell(truth, lambda: self.cache.on_runner_removed(SET, self.ref(truth, how)))
            elif by == "us":
                self.tell(truth, lambda: self.cache.on_runner_gone(self.ref(truth, how)))

    @precondition(lambda self: self.runners)
    @rule(data=st.data(), how=st.sampled_from(["id", "name", "both"]))
    def host_looks_too_early(self, data: st.DataObject, how: str) -> None:
        """A host that believes a list reports a runner gone that is only not shown yet."""
        self.look_too_early(data.draw(st.sampled_from(list(self.runners.values()))), how)

    def look_too_early(self, truth: Truth, how: str) -> None:
        if truth.alive and truth.id in self.service.hidden:
            self.tell(truth, lambda: self.cache.on_runner_removed(SET, self.ref(truth, how)))

    @precondition(lambda self: self.runners)
    @rule(
        data=st.data(),
        latency=st.sampled_from([3.0, 20.0]),
        part=st.sampled_from([0.25, 0.75]),
        what=st.sampled_from(["start", "end", "removed by host", "removed by us", "early look", "flicker"]),
        how=st.sampled_from(["id", "name", "both"]),
    )
    def something_happens_while_questions_are_open(
        self, data: st.DataObject, latency: float, part: float, what: str, how: str
    ) -> None:
        """Before or after the service looks, and the next questions come at once."""
        truth = data.draw(st.sampled_from(list(self.runners.values())))
        self.service.latency = latency
        for asked in data.draw(st.sampled_from([("id",), ("name",), ("id", "name")])):
            self.ask(self.ref(truth, asked))
        self.time_passes(latency * part)
        match what:
            case "start":
                self.start_job(truth, heard=True, again=False, how=how)
            case "end":
                self.end_job(truth, how, heard=True)
            case "removed by host":
                self.take_away(truth, how, "host")
            case "removed by us":
                self.take_away(truth, how, "us")
            case "early look":
                self.look_too_early(truth, how)
            case _:
                self.young_runners_flicker()
        for asked in ("id", "name"):
            self.ask(self.ref(truth, asked))
        self.time_passes(2 * latency)

    @rule(latency=st.sampled_from([3.0, 20.0]), part=st.sampled_from([0.25, 0.75]), known=st.booleans())
    def the_set_is_created_again_while_questions_are_open(self, latency: float, part: float, known: bool) -> None:
        self.service.latency = latency
        dead = self.sets[-1]
        if not known:
            self.delete_set()
        self.spawn(lambda: self.check_settings(SET))
        self.spawn(lambda: self.check_id(None))
        self.time_passes(latency * part)
        self.create_set()
        if known:
            self.spawn(lambda: self.check_id(dead.id))
        self.spawn(lambda: self.check_settings(SET))
        self.spawn(lambda: self.check_id(None, must_exist=True))
        self.time_passes(4 * latency)

    @rule(jobs=st.integers(0, 3))
    def statistics_arrive(self, jobs: int) -> None:
        self.on_loop(lambda: self.cache.on_statistics(SET, Statistics(assigned_jobs=jobs)))

    @rule(kind=st.sampled_from([None, *Kind]))
    def somebody_invalidates(self, kind: Kind | None) -> None:
        self.on_loop(lambda: self.cache.invalidate(kind))

    def change(self, truth: Truth, *, busy: bool) -> None:
        truth.become(self.now, busy=busy)
        self.service.runners[truth.id] = replace(self.service.runners[truth.id], busy=busy)

    def remove(self, truth: Truth) -> None:
        truth.finish(self.now)
        del self.service.runners[truth.id]

    def ref(self, truth: Truth, how: str) -> RunnerRef:
        return RunnerRef(
            id=truth.id if how in {"id", "both"} else None, name=truth.name if how in {"name", "both"} else None
        )

    def tell(self, truth: Truth, act: Callable[[], object]) -> None:
        self.on_loop(act)
        truth.heard_at = self.now

    def on_loop(self, act: Callable[[], object]) -> None:
        async def acting() -> None:
            _ = act()

        self.run(acting)

    # Questions

    @rule(data=st.data(), how=st.sampled_from(["id", "name", "both"]), times=st.integers(1, 3))
    def ask_for_a_runner(self, data: st.DataObject, how: str, times: int) -> None:
        known = [self.ref(truth, how) for truth in self.runners.values()]
        runner = data.draw(st.sampled_from([RunnerRef(name="r1"), RunnerRef(id=5), *known]))
        for _ in range(times):
            self.ask(runner)

    def ask(self, runner: RunnerRef) -> None:
        self.spawn(lambda: self.check_runner(runner))

    @rule(stale_id=st.booleans(), times=st.integers(1, 3))
    def ask_for_settings(self, stale_id: bool, times: int) -> None:
        ref = replace(SET, id=self.sets[0].id) if stale_id else SET
        for _ in range(times):
            self.spawn(lambda: self.check_settings(ref))

    @rule(data=st.data(), dead=st.booleans())
    def ask_for_an_id(self, data: st.DataObject, dead: bool) -> None:
        truth = data.draw(st.sampled_from(self.sets))
        self.spawn(lambda: self.check_id(truth.id if dead and not truth.alive else None))

    @precondition(lambda self: self.asking)
    @rule(data=st.data())
    def a_caller_gives_up(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(self.asking))
        task.cancel()

    def spawn(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def spawning() -> None:
            await asyncio.sleep(0.001)  # so that no question is put in the very instant of a change
            self.asking.append(asyncio.get_running_loop().create_task(work()))
            await asyncio.sleep(0)

        self.run(spawning)

    async def check_runner(self, runner: RunnerRef) -> None:
        asked = self.now
        heard = {truth.id: truth.heard_at for truth in self.runners.values()}
        answer = await self.cache.runner_info(SET, runner)
        self.check_nobody_closed(answer.reason)
        if answer.value is not None:
            self.check_value(answer, "runner", self.runners[answer.value.id], answer.value.busy)
            assert answer.age is not None
            assert self.now - answer.age >= heard.get(answer.value.id, 0.0) - 1e-6, f"{answer} is older than an event"
            assert runner.id in {None, answer.value.id}
            assert runner.id is not None or runner.name == answer.value.name
        if answer.certainty is Certainty.ABSENT:
            assert not any(
                all_the_time(truth, asked, self.now) for truth in self.runners.values() if names(runner, truth)
            ), f"{runner} was there all the time and is called absent: {answer}"

    async def check_settings(self, ref: ScaleSetRef) -> None:
        asked = self.now
        dead = set(self.dead_ids)
        answer = await self.cache.scale_set_settings(ref)
        self.check_nobody_closed(answer.reason)
        if answer.value is not None:
            value = answer.value
            assert value.id not in dead, f"{answer} is dead, and the cache knows it"
            self.check_value(answer, "settings", next(truth for truth in self.sets if truth.id == value.id), None)
        if answer.certainty is Certainty.ABSENT:
            assert not any(all_the_time(truth, asked, self.now) for truth in self.sets), answer

    async def check_id(self, dead_id: int | None, *, must_exist: bool = False) -> None:
        dead, asked = set(self.dead_ids), self.now
        try:
            if dead_id is None:
                found = await self.cache.scale_set_id(SET)
            else:
                found = await self.cache.re_resolve(SET, dead_id=dead_id)
        except NotFound:
            assert not must_exist or not any(all_the_time(truth, asked, self.now) for truth in self.sets)
            return
        except Unavailable as error:
            self.check_nobody_closed(error.message)
            return
        assert found in {truth.id for truth in self.sets} - dead
        if dead_id is not None:
            assert found != dead_id
            self.dead_ids.add(dead_id)

    def check_nobody_closed(self, reason: str | None) -> None:
        """Somebody else's cancellation looks like that to a caller who shared his look."""
        assert "closed" not in (reason or "")

    def check_value(
        self, answer: Answer[RunnerInfo] | Answer[ScaleSetSettings], what: str, truth: Truth, busy: bool | None
    ) -> None:
        assert answer.age is not None
        said_at = self.now - answer.age - 1e-6
        if answer.certainty is Certainty.FRESH:
            assert answer.age <= LIFETIMES[what] + 1e-6, f"fresh, and {answer.age} s old"
        else:
            assert answer.certainty is Certainty.STALE
            assert answer.reason
        matching = [span for span in truth.spans if span.meets(said_at, self.now)]
        assert matching, f"{answer} was never so"
        assert busy is None or any(span.busy == busy for span in matching), f"{answer} was never so"

    @invariant()
    def nothing_is_fetched_twice_at_once_nor_at_once_after_a_failure(self) -> None:
        service = getattr(self, "service", ModelService())
        assert not service.twice
        assert not service.hammered

    def teardown(self) -> None:
        if not hasattr(self, "runner"):
            return
        try:
            for _ in range(3):
                self.time_passes(400.0)
            assert not self.asking, "a question was never answered"
            self.run(self.cache.aclose)
        finally:
            self.runner.close()


def names(runner: RunnerRef, truth: Truth) -> bool:
    return runner.id == truth.id if runner.id is not None else runner.name == truth.name


def all_the_time(truth: Truth, start: float, end: float) -> bool:
    """Whether something existed without a gap; spans follow each other, and instants have an order unseen by us."""
    return truth.spans[0].start < start and truth.spans[-1].end > end


TestCacheAgainstTheTruth = CacheAgainstTheTruth.TestCase
TestCacheAgainstTheTruth.settings = settings(
    max_examples=examples(300),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
