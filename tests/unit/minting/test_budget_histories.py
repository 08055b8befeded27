"""The budget when answers are lost, late or out of order."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleset_burst.limits.budget import DEFAULT_PAUSE, LONGEST_PAUSE, Budget
from tests.kit.examples import examples

WINDOW = 300.0


def spend(budget: Budget, now: float, count: int) -> None:
    """Send and answer at once."""
    budget.reserve(now, count)
    budget.settle(now, count, 0)


Steps = list[tuple[float, str, int, float]]
STEPS = st.lists(
    st.tuples(
        st.floats(0, 120),
        st.sampled_from(["send", "send", "answer", "lose", "wait"]),
        st.integers(1, 30),
        st.floats(0, 1),
    ),
    max_size=150,
)


class Model:
    """A service that commits at an unknown moment between a request and its answer."""

    def __init__(self, limit: int) -> None:
        self.budget = Budget(limit, WINDOW)
        self.in_flight: list[tuple[float, int]] = []
        self.commits: list[tuple[float, int]] = []
        self.told_until = 0.0
        self.broken = 0

    def step(self, now: float, what: str, count: int, share: float) -> None:
        """Do one thing of the schedule, if it can be done."""
        if what == "send":
            allowed = self.budget.allow(now, count)
            assert 0 <= allowed <= count
            if allowed:
                self.broken += now < self.told_until
                self.budget.reserve(now, allowed)
                self.in_flight.append((now, allowed))
        elif self.in_flight:
            sent_at, sent = self.in_flight.pop(int(share * (len(self.in_flight) - 1)))
            if what == "wait":
                self.budget.settle(now, 0, sent)
                self.told_until = max(self.told_until, now + 60 * share)
                self.budget.told_to_wait(now, 60 * share, Random(1))
                return
            self.budget.settle(now, sent, 0)
            self.commits.append((sent_at + share * (now - sent_at), sent))
            if what == "answer":
                self.budget.succeeded(1e9)
            else:
                self.budget.undecided(1e9)


@settings(max_examples=examples(150))
@given(limit=st.integers(1, 60), steps=STEPS)
def test_no_window_wherever_it_starts_holds_too_many(limit: int, steps: Steps) -> None:
    """Promise 3: with commits anywhere between request and answer; and no request while told to wait."""
    model, now = Model(limit), 0.0
    for seconds, what, count, share in steps:
        now += seconds
        model.step(now, what, count, share)
        assert len(model.budget.spent) <= limit
    assert model.broken == 0
    for start, _ in model.commits:
        assert sum(count for at, count in model.commits if start <= at < start + WINDOW) <= limit


def test_the_whole_limit_can_be_used() -> None:
    """Care must not cost registrations: all of them at once, and again one window later."""
    budget = Budget(1500, WINDOW)
    assert budget.allow(0.0, 2000) == 1500
    spend(budget, 0.0, 1500)
    assert budget.allow(WINDOW - 0.001, 1) == 0
    assert budget.opens_at(1.0) == WINDOW
    assert budget.allow(WINDOW, 2000) == 1500


def test_what_never_happened_is_given_back() -> None:
    """A refused registration does not count."""
    budget = Budget(10, WINDOW)
    budget.reserve(0.0, 10)
    assert budget.used_at(0.0) == 10
    budget.settle(1.0, 4, 6)
    assert budget.used_at(1.0) == 4


def test_a_lost_answer_counts_from_its_end() -> None:
    """It may have been committed at the last moment."""
    budget = Budget(1, WINDOW)
    budget.reserve(0.0, 1)
    budget.settle(15.0, 1, 0)
    assert budget.allow(WINDOW, 1) == 0
    assert budget.allow(WINDOW + 15.0, 1) == 1


def test_a_refused_probe_waits_again() -> None:
    """Each refused probe of a limit without a time doubles the wait; jitter only ever adds."""
    budget, now, waits = Budget(100, WINDOW), 0.0, []
    for _ in range(10):
        until = budget.told_to_wait(now, None, Random(1))
        waits.append(until - now)
        now = until
        budget.reserve(now, 1)
        budget.settle(now, 0, 1)
    assert DEFAULT_PAUSE <= waits[0] <= DEFAULT_PAUSE * 1.1
    assert all(longer > shorter for shorter, longer in pairwise(waits[:6]))
    assert max(waits) <= LONGEST_PAUSE * 1.1


def test_one_wave_of_refusals_is_one_refusal() -> None:
    """Sixty-four answers of one wave do not double the wait sixty-four times."""
    budget = Budget(100, WINDOW)
    budget.reserve(0.0, 64)
    last = 0.0
    for _ in range(64):
        budget.settle(0.0, 0, 1)
        last = budget.told_to_wait(0.0, None, Random(1))
    assert last <= DEFAULT_PAUSE * 1.1


def test_a_later_shorter_wait_does_not_end_a_longer_one() -> None:
    """The longest wait that was named holds."""
    budget = Budget(100, WINDOW)
    budget.told_to_wait(0.0, 60.0, Random(1))
    assert budget.told_to_wait(1.0, 2.0, Random(1)) == 60.0


def test_a_probe_that_told_nothing_is_followed_by_another() -> None:
    """A lost probe neither reopens nor blocks for good."""
    budget = Budget(100, WINDOW)
    budget.told_to_wait(0.0, 5.0, Random(1))
    budget.reserve(5.0, 1)
    budget.settle(6.0, 1, 0)
    budget.undecided(1e9)
    assert budget.allow(6.0, 50) == 1


@given(before=st.integers(0, 10), pause=st.floats(0, 400), count=st.integers(1, 45))
def test_the_eta_is_when_the_last_one_is_allowed(before: int, pause: float, count: int) -> None:
    """With answers that take no time, spending as soon as it is allowed ends exactly at the ETA."""
    budget = Budget(10, WINDOW)
    for each in range(before):
        spend(budget, float(each), 1)
    now = 10.0
    if pause:
        budget.told_to_wait(now, pause, Random(1))
    promised = budget.eta(now, count)
    missing, rounds = count, 0
    while missing:
        rounds += 1
        assert rounds < 200
        allowed = budget.allow(now, missing)
        if allowed:
            spend(budget, now, allowed)
            budget.succeeded(1e9)
            missing -= allowed
            continue
        opens = budget.opens_at(now)
        assert opens is not None
        assert opens > now
        now = opens
    assert now == pytest.approx(promised)


def test_the_eta_counts_what_is_in_flight() -> None:
    """All ten are on their way, so the next is a window away at the least."""
    budget = Budget(10, WINDOW)
    budget.reserve(0.0, 10)
    assert budget.eta(0.0, 1) >= WINDOW


def paused_with_a_probe_and_an_older_request_out() -> Budget:
    """Two were sent; one was throttled, the other still hangs while the probe goes out at second 6."""
    budget = Budget(100, WINDOW)
    budget.reserve(0.0, 2)
    budget.settle(1.0, 0, 1)
    budget.told_to_wait(1.0, 5.0, Random(1))
    budget.reserve(6.0, 1)
    budget.settle(7.0, 1, 0)  # the older one is answered, the probe is not
    return budget


def test_an_older_lost_request_sends_no_second_probe() -> None:
    """A single probe (protocol 10.1): the hung request of before the pause tells nothing about it."""
    budget = paused_with_a_probe_and_an_older_request_out()
    budget.undecided(0.0)
    assert budget.allow(7.0, 50) == 0


def test_an_older_success_does_not_end_the_pause() -> None:
    """It was accepted before the service said wait."""
    budget = paused_with_a_probe_and_an_older_request_out()
    budget.succeeded(0.0)
    assert budget.allow(7.0, 50) == 0
