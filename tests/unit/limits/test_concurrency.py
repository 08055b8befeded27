"""The concurrency limit as a pure law: counts of signs, no time."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleset_burst.limits.concurrency import EARNED, FACTOR, PATIENCE, SAVED, Limiter, Sent

MOST = 64
BURST = 300


class Flight:
    """Mints in flight under a law, answered in whatever order the test says."""

    def __init__(self, limiter: Limiter, now: float = 0.0) -> None:
        self.limiter, self.now = limiter, now
        self.in_flight: list[Sent] = []

    def fill(self, waiting: int) -> int:
        """Send as many as may go; return how many went."""
        before = len(self.in_flight)
        while waiting > len(self.in_flight) - before and len(self.in_flight) < self.limiter.limit:
            self.in_flight.append(self.limiter.sent(self.now, len(self.in_flight) + 1))
        return len(self.in_flight) - before

    def end(self, index: int, sign: str) -> None:
        """Answer one of them."""
        sent = self.in_flight.pop(index % len(self.in_flight))
        if sign == "refused":
            self.limiter.refused(sent, len(self.in_flight), now=self.now)
        elif sign == "timed out":
            self.limiter.timed_out(sent)
        elif sign == "accepted":
            self.limiter.accepted(sent, len(self.in_flight))

    def burst(self, capacity: int, size: int = BURST) -> tuple[int, int]:
        """Mint a burst in step, all that is refused known before any is accepted; return waves and refusals."""
        waiting, waves, refusals = size, 0, 0
        while waiting or self.in_flight:
            waiting -= self.fill(waiting)
            waves += 1
            for _ in range(max(0, len(self.in_flight) - capacity)):
                self.end(-1, "refused")
                waiting, refusals = waiting + 1, refusals + 1
            for _ in range(len(self.in_flight)):
                self.end(0, "accepted")
                waiting -= self.fill(waiting)
                if len(self.in_flight) > capacity:
                    self.end(-1, "refused")
                    waiting, refusals = waiting + 1, refusals + 1
        return waves, refusals


def after(history: Sequence[tuple[int, str, int]], most: int = MOST) -> Limiter:
    """Return a limiter with a history: index, sign and how many wait, again and again."""
    flight = Flight(Limiter(most))
    for index, sign, waiting in history:
        flight.fill(waiting)
        if flight.in_flight:
            flight.end(index, sign)
        assert 1 <= flight.limiter.limit <= most
    return flight.limiter


SIGNS = st.sampled_from(("accepted", "accepted", "refused", "timed out", "lost"))
HISTORIES = st.lists(st.tuples(st.integers(0, 1000), SIGNS, st.integers(0, 100)), max_size=300)


@given(most=st.integers(1, 1000), history=HISTORIES)
def test_the_limit_stays_within_its_bounds(most: int, history: Sequence[tuple[int, str, int]]) -> None:
    """From 1 to the most there may be, whatever happens."""
    after(history, most)


@given(history=HISTORIES)
def test_it_recovers_within_two_bursts_from_any_history(history: Sequence[tuple[int, str, int]]) -> None:
    """What was learnt is doubted by each burst; the second one at the latest takes two waves more than it must."""
    flight = Flight(after(history))
    flight.burst(MOST)
    waves, _ = flight.burst(MOST)
    assert flight.limiter.limit == MOST
    assert waves <= 7  # five without a history


@given(
    floor=st.integers(1, 80),
    steps=st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 100)), max_size=400),
)
def test_it_is_never_below_a_floor_that_nobody_refused(floor: int, steps: Sequence[tuple[int, int]]) -> None:
    """A service that refuses what is beyond its capacity, answering in any order, never teaches less than that."""
    flight, refused = Flight(Limiter(MOST)), set[int]()
    for index, waiting in steps:
        known = len(flight.in_flight)
        flight.fill(waiting)
        for sent in flight.in_flight[known:]:
            working = sum(each.number not in refused for each in flight.in_flight if each.number < sent.number)
            if working >= floor:
                refused.add(sent.number)
        if flight.in_flight:
            sent = flight.in_flight[index % len(flight.in_flight)]
            flight.end(index, "refused" if sent.number in refused else "accepted")
        assert flight.limiter.limit >= min(MOST, floor)


@pytest.mark.parametrize("capacity", [4, 8, 24, 48])
def test_a_constant_capacity_refuses_one_percent_after_the_first_wave(capacity: int) -> None:
    flight = Flight(Limiter(MOST))
    _, first = flight.burst(capacity)
    assert first <= MOST - capacity + SAVED
    refusals = sum(flight.burst(capacity)[1] for _ in range(10))
    assert refusals < 0.02 * (10 * BURST)
    assert capacity <= flight.limiter.limit <= capacity + SAVED


@pytest.mark.parametrize("capacity", [4, 8, 24])
def test_a_capacity_that_comes_back_costs_two_waves(capacity: int) -> None:
    flight = Flight(Limiter(MOST))
    assert flight.burst(MOST)[0] == 5
    flight.burst(capacity)
    assert flight.burst(MOST)[0] <= 7
    assert flight.limiter.limit == MOST


def test_one_refusal_costs_nothing_that_a_burst_notices() -> None:
    """Alone, or in a small burst, it is an accident; at the limit it takes one off, until the next burst."""
    flight = Flight(Limiter(MOST))
    flight.fill(1)
    flight.end(0, "refused")
    assert flight.limiter.limit == MOST
    flight.fill(20)
    flight.end(0, "refused")
    assert flight.limiter.limit == MOST
    flight.fill(100)
    flight.end(0, "refused")
    assert flight.limiter.limit == MOST - 1
    flight.burst(MOST)
    assert flight.burst(MOST)[0] == 5
    assert flight.limiter.limit == MOST


def test_a_service_that_was_down_was_not_full() -> None:
    """Nothing was accepted beside what was refused: with the first mint that is, the limit is back."""
    flight = Flight(Limiter(MOST))
    flight.fill(MOST)
    for _ in range(MOST):
        flight.end(0, "refused")
    assert flight.limiter.limit == 1
    flight.fill(1)
    flight.end(0, "accepted")
    assert flight.limiter.limit == MOST


def test_small_bursts_against_a_small_capacity_lower_a_limit_they_never_reach() -> None:
    flight = Flight(Limiter(MOST))
    refusals = [flight.burst(8, 20)[1] for _ in range(20)]
    assert flight.limiter.limit <= 8 + SAVED
    assert sum(refusals[1:]) <= 0.02 * 20 * 19


def test_what_was_paid_by_a_pause_is_not_tried_again_soon() -> None:
    flight = Flight(Limiter(MOST))
    flight.fill(MOST)
    for _ in range(40):
        flight.limiter.refused(flight.in_flight.pop(), len(flight.in_flight), now=0.0, pause=60.0)
    for _ in range(5):
        flight.now += 200.0
        assert flight.burst(24)[1] == 0
    flight.now = 60.0 * PATIENCE
    assert flight.burst(24)[1] == SAVED


def test_hardly_any_answer_in_time_halves_the_limit_once() -> None:
    """A queue so long that mints run out of time; a single lost answer, or a tenth of them, says nothing."""
    flight = Flight(Limiter(MOST))
    flight.fill(MOST)
    for _ in range(10):
        flight.end(0, "accepted")
    for _ in range(50):
        flight.end(0, "timed out")
    assert flight.limiter.limit == MOST // 2
    flight.fill(1)
    flight.end(0, "timed out")
    assert flight.limiter.limit == MOST // 2
    lossy = Flight(Limiter(MOST))
    lossy.fill(MOST)
    for _ in range(57):
        lossy.end(0, "accepted")
    for _ in range(7):
        lossy.end(0, "timed out")
    assert lossy.limiter.limit == MOST


def test_a_try_that_succeeds_makes_the_next_one_larger() -> None:
    """Within one long burst: nothing was refused for as long as the tries are saved, then every wave is wider."""
    limiter = Limiter(1000, current=10)
    flight = Flight(limiter)
    flight.burst(1000, SAVED * EARNED)
    assert limiter.limit == 10
    steps = []
    flight.fill(10_000)
    while limiter.limit < 1000:
        before = limiter.limit
        flight.end(0, "accepted")
        flight.fill(10_000)
        if limiter.limit > before:
            steps.append(limiter.limit - before)
    assert steps[:2] == [SAVED * FACTOR, SAVED * FACTOR**2]
