"""Unresolved mints: whatever is said of them and whenever they are committed, no ghosts and no window too full."""

import asyncio
import random
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleset_burst.limits.admission import CERTAIN
from scaleset_burst.limits.budget import Budget
from scaleset_burst.minting.resolver import PARALLEL, REMOVALS
from scaleset_burst.minting.unresolved import UnresolvedMint
from scaleset_client.types import MintedRunner, Runner
from scaleset_hookspecs import JitConfig, ProvisionSettings
from scaleset_hookspecs.errors import Conflict, NotFound, RateLimited, Rejected, Unavailable
from tests.kit.examples import examples
from tests.kit.minting import RecordingNames, make_minter
from tests.kit.service import ModelService
from tests.kit.virtual import run_virtually

PLAIN = ProvisionSettings()
WINDOW = 60.0


@dataclass
class Wild(ModelService):
    """A service whose answers get lost, whose commits come late, whose lists lie and whose removals fail.

    Attributes:
        failure_classes: What becomes of the mints, in turn: minted, or an answer that was none and a commit that many
            seconds after the request; infinitely late is never.
        outages: When nothing is answered: seconds after the start, and how long.
        lag: For how many seconds after an outage look-ups show nothing that was registered before its end.
        lists: `honest`, `empty`, `broken`, `cut` after three, or `behind` by a minute.
        removals: What becomes of the removals of each runner, one after the other; of further ones, as of the last.
    """

    failure_classes: list[float] = field(default_factory=lambda: [0.0])
    outages: list[tuple[float, float]] = field(default_factory=list)
    lag: float = 0.0
    lists: str = "honest"
    removals: list[str] = field(default_factory=lambda: ["done"])
    registered_at: dict[str, float] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    tried: Counter[int] = field(default_factory=Counter)
    sent: list[str] = field(default_factory=list)
    looking_up: int = 0
    most_looking_up: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.born = self._now()

    def _age(self) -> float:
        return self._now() - self.born

    def _reachable(self) -> None:
        if any(start <= self._age() < start + length for start, length in self.outages):
            raise Unavailable("connection refused")

    def _shows(self, name: str, behind: float = 0.0) -> Runner | None:
        runner = self.runners.get(name.lower())
        lagging = any(start + length <= self._age() < start + length + self.lag for start, length in self.outages)
        return None if runner is None or lagging or self.registered_at[name] > self._now() - behind else runner

    def _commit(self, scale_set_id: int, name: str) -> MintedRunner:
        self.registered_at[name] = self._now()
        return super()._commit(scale_set_id, name)

    async def _mint(self, scale_set_id: int, name: str) -> MintedRunner:
        self.sent.append(name)
        late = self.failure_classes[len(self.sent) % len(self.failure_classes)]
        self._reachable()
        await self._latency()
        if late == 0.0:
            return self._commit(scale_set_id, name)
        if late < float("inf"):
            asyncio.get_running_loop().call_later(late - 0.1, self._commit, scale_set_id, name)
        raise Unavailable("gateway", status=504, maybe_applied=True)

    async def find_runner(self, name: str) -> Runner | None:
        self.looking_up += 1
        self.most_looking_up = max(self.looking_up, self.most_looking_up)
        try:
            self._reachable()
            await super().find_runner(name)
            return self._shows(name)
        finally:
            self.looking_up -= 1

    async def list_runners(self) -> tuple[Runner, ...]:
        await super().list_runners()
        self._reachable()
        if self.lists == "broken":
            raise Unavailable("the answer is larger than 16 MiB")
        behind = 60.0 if self.lists == "behind" else 0.0
        shown = [runner for runner in self.runners.values() if self._shows(runner.name, behind)]
        return tuple(shown[: {"empty": 0, "cut": 3}.get(self.lists, len(shown))])

    async def remove_runner(self, runner_id: int) -> bool:
        self.requests["remove"] += 1
        self._reachable()
        await self._latency()
        failure_class = self.removals[min(self.tried[runner_id], len(self.removals) - 1)]
        self.tried[runner_id] += 1
        if failure_class == "busy":
            raise Conflict("job", status=400, type_name="JobStillRunningException")
        if failure_class == "unknown":
            raise NotFound("page not found", status=404)
        if failure_class == "forbidden":
            raise Rejected("not now", status=403)
        if failure_class == "down":
            raise Unavailable("upstream", status=503)
        if failure_class == "absent":
            return False
        for name, runner in list(self.runners.items()):
            if runner.id == runner_id:
                self.removed.append(runner.name)
                del self.runners[name]
        if failure_class == "lost":
            raise Unavailable("reset")
        return True


def fullest_window(times: list[float]) -> int:
    """Return how many of the times lie within one window at most."""
    times = sorted(times)
    return max((bisect_right(times, at + WINDOW - 1e-6) - index for index, at in enumerate(times)), default=0)


late = st.one_of(st.just(0.0), st.just(float("inf")), st.floats(0.1, 50.0))
removal = st.sampled_from(["done", "busy", "unknown", "forbidden", "down", "absent", "lost"])


@settings(max_examples=examples(200), deadline=None)
@given(
    failure_classes=st.lists(late, max_size=4).map(lambda failure_classes: [*failure_classes, 0.0, 0.0]),
    outages=st.lists(st.tuples(st.floats(0.0, 300.0), st.floats(0.5, 200.0)), max_size=3),
    lag=st.sampled_from([0.0, 5.0, 20.0]),
    lists=st.sampled_from(["honest", "empty", "broken", "cut", "behind"]),
    removals=st.lists(removal, max_size=6).map(lambda failure_classes: [*failure_classes, "done"]),
    count=st.integers(1, 40),
    limit=st.integers(8, 40),
)
def test_no_ghosts_and_no_window_too_full(
    *,
    failure_classes: list[float],
    outages: list[tuple[float, float]],
    lag: float,
    lists: str,
    removals: list[str],
    count: int,
    limit: int,
) -> None:
    """Commits up to 50 s late, outages at any time, lists that lie, removals that fail in every way."""

    async def main() -> None:
        service = Wild(failure_classes=failure_classes, outages=outages, lag=lag, lists=lists, removals=removals)
        minter, queue, _ = make_minter(service, budget=Budget(limit, WINDOW), max_attempts=1000)
        given_out: list[str] = []
        while len(given_out) < count:
            try:
                outcomes = await minter.provision(queue, count - len(given_out), PLAIN, None)
            except Unavailable:
                await asyncio.sleep(10.0)
            else:
                given_out += [each.runner_name for each in outcomes if isinstance(each, JitConfig)]
        await asyncio.sleep(8 * 3600.0)
        assert len(minter.resolver) == 0
        assert not set(service.removed) & set(given_out)
        assert {runner.name for runner in service.runners.values()} == set(given_out)
        assert fullest_window(service.registrations) <= limit
        assert service.most_looking_up <= PARALLEL

    run_virtually(main)


def test_a_commit_that_comes_after_many_looks_is_found_and_counted() -> None:
    """All of the window is unresolved and committed 50 s later: nothing else is registered meanwhile."""

    async def main() -> None:
        service = Wild(failure_classes=[50.0] * 100 + [0.0] * 100)
        minter, queue, _ = make_minter(service, budget=Budget(100, WINDOW))
        outcomes = await minter.provision(queue, 100, PLAIN, None)
        await asyncio.sleep(3600.0)
        assert len(service.runners) == len([each for each in outcomes if isinstance(each, JitConfig)])
        assert fullest_window(service.registrations) <= 100

    run_virtually(main)


def test_failures_of_one_moment_are_one_wave() -> None:
    """A hundred answers that fail at the instant they were asked for: the wait before the next is short."""

    async def main() -> None:
        service = Wild(latency=0.0, failure_classes=[float("inf")])
        minter, queue, _ = make_minter(service)
        call = asyncio.ensure_future(minter.provision(queue, 100, PLAIN, None))
        await asyncio.sleep(0.01)
        service.failure_classes = [0.0]
        await call
        assert asyncio.get_running_loop().time() - service.born < 5.0

    run_virtually(main)


def test_a_place_is_given_back_when_its_mint_never_happened() -> None:
    """A window full of mints that were never committed opens again when that is certain, not a window later."""

    async def main() -> None:
        service = Wild(failure_classes=[float("inf")] * 10)
        minter, queue, _ = make_minter(service, budget=Budget(10, 7200.0), max_attempts=3)
        call = asyncio.ensure_future(minter.provision(queue, 10, PLAIN, None))
        await asyncio.sleep(CERTAIN - 5.0)
        assert len(service.sent) == 10
        service.failure_classes = [0.0]
        outcomes = await call
        assert all(isinstance(each, JitConfig) for each in outcomes)
        assert asyncio.get_running_loop().time() - service.born < 2 * CERTAIN

    run_virtually(main)


def test_a_place_is_not_held_for_ever() -> None:
    """The look-ups never work: a mint that came as late as can be has left the window, and others may go."""

    async def main() -> None:
        class Blind(Wild):
            async def find_runner(self, name: str) -> Runner | None:
                raise Rejected(f"may not look for {name}", status=403)

        service = Blind(failure_classes=[float("inf")])
        minter, queue, _ = make_minter(service, budget=Budget(10, WINDOW), max_attempts=3)
        call = asyncio.ensure_future(minter.provision(queue, 10, PLAIN, None))
        await asyncio.sleep(10.0)
        service.failure_classes = [0.0]
        outcomes = await call
        assert all(isinstance(each, JitConfig) for each in outcomes)
        assert len(minter.resolver) == 10, "nobody knows yet what became of them"

    run_virtually(main)


def test_waiting_for_unresolved_mints_has_an_eta() -> None:
    """Whoever waits for places that unresolved mints hold hears how long it will take."""

    async def main() -> None:
        service = Wild(failure_classes=[float("inf")])
        minter, queue, _ = make_minter(service, budget=Budget(10, WINDOW), max_attempts=3)
        told: list[float] = []
        heard = ProvisionSettings(on_wait=lambda seconds, _count: told.append(seconds))
        call = asyncio.ensure_future(minter.provision(queue, 10, heard, None))
        await asyncio.sleep(10.0)
        service.failure_classes = [0.0]
        await call
        assert len(told) >= 1
        assert CERTAIN - 10.0 <= max(told) <= CERTAIN + WINDOW

    run_virtually(main)


@pytest.mark.parametrize("later", [0.05, 30.0, 50.0])
def test_a_gateway_that_fails_at_once_does_not_end_the_call(later: float) -> None:
    """Of 100 mints each got a 504 without a moment's wait, and was committed later: the call waits for the window."""

    async def main() -> None:
        class AtOnce(Wild):
            async def _latency(self) -> None:
                """Give nobody else a turn."""

        service = AtOnce(failure_classes=[later] * 100 + [0.0] * 1000)
        minter, queue, _ = make_minter(service, budget=Budget(100, WINDOW))
        outcomes = await minter.provision(queue, 100, PLAIN, None)
        assert all(isinstance(outcome, JitConfig) for outcome in outcomes)
        await asyncio.sleep(3600.0)
        assert len(service.runners) == 100

    run_virtually(main)


@pytest.mark.parametrize("lists", ["empty", "cut", "behind", "broken"])
def test_a_list_that_misses_runners_proves_nothing(lists: str) -> None:
    """Fifty lost answers at once, and a list that does not show them: looks by name find them within seconds."""

    async def main() -> None:
        service = Wild(failure_classes=[0.2] * 50 + [0.0] * 1000, lists=lists)
        minter, queue, _ = make_minter(service)
        outcomes = await minter.provision(queue, 300, PLAIN, None)
        await asyncio.sleep(15.0)
        given_out = {each.runner_name for each in outcomes if isinstance(each, JitConfig)}
        assert len(given_out) == 300
        assert {runner.name for runner in service.runners.values()} == given_out

    run_virtually(main)


def test_an_honest_list_saves_looks() -> None:
    """Of 200 registered names each is removed, and one list found most of them."""

    async def main() -> None:
        service = Wild()
        minter, _, _ = make_minter(service)
        for number in range(200):
            service._commit(42, f"ours-{number}")
        minter.resolver.add(UnresolvedMint(name=f"ours-{number}", scale_set_id=42) for number in range(200))
        await asyncio.sleep(60.0)
        assert not service.runners
        assert service.requests["list"] >= 1
        assert service.requests["find"] < 24

    run_virtually(main)


def test_what_a_dead_host_left_is_removed_many_at_a_time() -> None:
    """Of 160 registered names, each a third of a second away, none is left after one list and five waves."""

    async def main() -> None:
        service = Wild(latency=0.35)
        minter, _, _ = make_minter(service)
        for number in range(160):
            service._commit(42, f"theirs-{number}")
        minter.resolver.add(UnresolvedMint(name=f"theirs-{number}", scale_set_id=42) for number in range(160))
        await asyncio.sleep(0.35 * (1 + 160 / REMOVALS) + 0.2)
        assert not service.runners

    run_virtually(main)


def test_five_thousand_names_cost_few_looks_and_no_mint_waits() -> None:
    """A dead process left thousands: two looks by name each, a few at a time, and mints go on beside them."""

    async def main() -> None:
        service = Wild(latency=0.3)
        minter, queue, _ = make_minter(service)
        minter.resolver.add(UnresolvedMint(name=f"ours-{number}", scale_set_id=42) for number in range(5000))
        loop = asyncio.get_running_loop()
        began = loop.time()
        await minter.provision(queue, 64, PLAIN, None)
        assert loop.time() - began < 1.0, "virtual seconds: one round trip and a little"
        await asyncio.sleep(3600.0)
        assert len(minter.resolver) == 0
        assert service.requests["find"] <= 2.2 * 5000
        assert service.most_looking_up <= PARALLEL

    run_virtually(main)


def test_an_outage_is_met_with_few_look_ups() -> None:
    """Hundreds of names, and a service that is away for ten minutes: one look-up now and then, not one for each."""

    async def main() -> None:
        service = Wild(outages=[(0.0, 600.0)])
        attempts = 0
        find = service.find_runner

        async def counted(name: str) -> Runner | None:
            nonlocal attempts
            attempts += 1
            return await find(name)

        service.find_runner = counted  # type: ignore[method-assign]
        minter, _, _ = make_minter(service)
        for number in range(300):
            service._commit(42, f"ours-{number}")
        minter.resolver.add(UnresolvedMint(name=f"ours-{number}", scale_set_id=42) for number in range(300))
        await asyncio.sleep(590.0)
        assert attempts < 100
        await asyncio.sleep(120.0)
        assert not service.runners

    run_virtually(main)


@pytest.mark.parametrize(("share", "count"), [(0.1, 500), (0.3, 100)])
def test_looks_that_fail_now_and_then_delay_little(share: float, count: int) -> None:
    """A share of the looks fails at random: that is no outage, so nothing begins anew and few are asked again."""

    async def main() -> None:
        chance = random.Random(3)

        class Flaky(Wild):
            async def find_runner(self, name: str) -> Runner | None:
                if chance.random() < share:
                    raise Unavailable("upstream", status=503)
                return await super().find_runner(name)

        service = Flaky(lists="empty")
        minter, _, _ = make_minter(service)
        for number in range(0, count, 2):
            service._commit(42, f"ours-{number}")
        minter.resolver.add(UnresolvedMint(name=f"ours-{number}", scale_set_id=42) for number in range(count))
        await asyncio.sleep(1200.0)
        assert len(minter.resolver) == 0
        assert not service.runners
        assert service.requests["find"] <= 6 * count

    run_virtually(main)


@pytest.mark.parametrize(("said", "quiet"), [(200.0, 199.0), (None, 59.0)])
def test_told_to_wait_nobody_looks(said: float | None, quiet: float) -> None:
    """A rate limit stops every look until the time it gives, and for a minute if it gives none."""

    async def main() -> None:
        class Limited(Wild):
            until = 0.0

            async def find_runner(self, name: str) -> Runner | None:
                self.requests["asked"] += 1
                if self._age() < self.until:
                    wait = None if said is None else self.until - self._age()
                    raise RateLimited("slow down", status=429, retry_after=wait)
                return await super().find_runner(name)

        service = Limited(lists="broken")
        service.until = said or 30.0
        minter, _, _ = make_minter(service)
        minter.resolver.add(UnresolvedMint(name=f"ours-{number}", scale_set_id=42) for number in range(100))
        await asyncio.sleep(quiet)
        assert service.requests["asked"] <= PARALLEL
        await asyncio.sleep(600.0)
        assert len(minter.resolver) == 0

    run_virtually(main)


def test_a_hung_look_holds_up_no_other() -> None:
    """One look-up that takes a minute: the others are resolved meanwhile."""

    async def main() -> None:
        class Hanging(Wild):
            async def find_runner(self, name: str) -> Runner | None:
                if name == "ours-0":
                    await asyncio.sleep(60.0)
                return await super().find_runner(name)

        service = Hanging()
        minter, _, _ = make_minter(service)
        for number in range(20):
            service._commit(42, f"ours-{number}")
        minter.resolver.add(UnresolvedMint(name=f"ours-{number}", scale_set_id=42) for number in range(20))
        await asyncio.sleep(5.0)
        assert [runner.name for runner in service.runners.values()] == ["ours-0"]

    run_virtually(main)


@pytest.mark.parametrize(
    "other",
    [
        Runner(id=7, name="theirs", scale_set_id=42, status="offline", busy=False),
        Runner(id=7, name="", scale_set_id=42, status="offline", busy=False),
    ],
)
def test_a_look_that_answers_with_another_runner_is_not_believed(other: Runner) -> None:
    """A service that leaves the filter out, or an answer of somebody else: that runner is left alone."""

    async def main() -> None:
        class Mistaken(Wild):
            async def find_runner(self, name: str) -> Runner | None:
                del name
                return other

        service = Mistaken()
        minter, _, _ = make_minter(service)
        minter.resolver.add([UnresolvedMint(name="ours", scale_set_id=42)])
        await asyncio.sleep(3600.0)
        assert service.requests["remove"] == 0
        assert len(minter.resolver) == 1

    run_virtually(main)


def test_a_spelling_of_the_service_is_still_ours() -> None:
    """The service may change the case of a name (protocol 8.4)."""

    async def main() -> None:
        service = Wild()
        minter, _, _ = make_minter(service)
        service._commit(42, "ours")
        service.runners["ours"] = replace(service.runners["ours"], name="OURS")
        service.registered_at["OURS"] = service.registered_at["ours"]
        minter.resolver.add([UnresolvedMint(name="ours", scale_set_id=42)])
        await asyncio.sleep(5.0)
        assert not service.runners

    run_virtually(main)


def test_names_that_another_host_resolves_count_as_used() -> None:
    """Whoever took a name over may find it registered: its place is not given back."""

    async def main() -> None:
        service = Wild(failure_classes=[float("inf")])
        minter, queue, names = make_minter(service, budget=Budget(10, WINDOW), max_attempts=3)
        assert isinstance(names, RecordingNames)
        call = asyncio.ensure_future(minter.provision(queue, 10, PLAIN, None))
        await asyncio.sleep(5.0)
        service.failure_classes = [0.0]
        sent, at = list(service.sent), asyncio.get_running_loop().time()
        minter.resolver.forget(sent)
        await call
        assert len(minter.resolver) == 0
        assert min(service.registrations) >= at + WINDOW

    run_virtually(main)
