"""The budget of registrations, held to its invariants by arbitrary histories."""

import random

from hypothesis import given
from hypothesis import strategies as st

from scaleset_burst.limits.budget import Budget

Step = tuple[str, float, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(["send", "commit", "release", "pause", "pause-unknown", "ok"]),
        st.floats(0.0, 90.0),
        st.integers(1, 40),
    ),
    max_size=120,
)


@given(history=steps, limit=st.integers(1, 100), delay=st.floats(0.0, 5.0))
def test_no_window_ever_holds_too_many(history: list[Step], limit: int, delay: float) -> None:
    """Wherever the commits fall between a request and its answer, any window holds at most the limit."""
    budget, now = Budget(limit, 300.0), 0.0
    flying: list[float] = []
    commits: list[float] = []
    for what, passes, count in history:
        now += passes
        if what == "send":
            allowed = budget.allow(now, count)
            budget.reserve(now, allowed)
            flying += [now] * allowed
        elif what in {"commit", "release"} and flying:
            some, flying = flying[:count], flying[count:]
            committed = len(some) if what == "commit" else 0
            budget.settle(now, committed, len(some) - committed)
            budget.succeeded(1e9)
            commits += [min(now, sent + delay) for sent in some][:committed]
        elif what == "pause":
            budget.told_to_wait(now, passes, random.Random(0))
    commits += [min(now, sent + delay) for sent in flying]
    commits.sort()
    for start in commits:
        assert sum(1 for each in commits if start <= each < start + 300.0) <= limit


@given(history=steps)
def test_told_to_wait_is_zero_then_one(history: list[Step]) -> None:
    """During a pause nothing is allowed; after it exactly one, until it is answered."""
    budget, now, paused = Budget(1000, 300.0), 0.0, 0.0
    probing = told = False
    flying = 0
    for what, passes, count in history:
        now += passes
        allowed = budget.allow(now, count)
        if told and (now < paused or probing):
            assert allowed == 0
        elif told:
            assert allowed <= 1
        if what == "send" and allowed:
            budget.reserve(now, allowed)
            flying += allowed
            probing = probing or told
        elif what == "pause":
            paused, probing, told = max(paused, now + passes), False, True
            budget.told_to_wait(now, passes, random.Random(0))
        elif what == "ok" and probing:
            budget.settle(now, 1, 0)
            flying -= 1
            budget.succeeded(1e9)
            probing = told = False


def test_without_a_time_the_pause_doubles() -> None:
    """A minute at least, then two, then four, as GitHub asks."""
    budget, now = Budget(10, 300.0), 0.0
    waits = []
    for _ in range(3):
        until = budget.told_to_wait(now, None, random.Random(1))
        waits.append(until - now)
        now = until
        assert budget.allow(now, 5) == 1
        budget.reserve(now, 1)
        budget.settle(now, 0, 1)
    assert 60 <= waits[0] <= 66
    assert 120 <= waits[1] <= 132
    assert 240 <= waits[2] <= 264


@given(asked=st.lists(st.floats(0, 3), min_size=2, max_size=40))
def test_a_pause_of_nothing_still_grows(asked: list[float]) -> None:
    """`Retry-After: 0` and dates in the past had one request follow the other: 11,916 in 5 s."""
    budget, now, waits = Budget(1000, 300.0), 0.0, []
    for seconds in asked:
        until = budget.told_to_wait(now, seconds, random.Random(1))
        waits.append(until - now)
        now = until
        assert budget.allow(now, 5) == 1
        budget.reserve(now, 1)
        budget.settle(now, 0, 1)
    assert all(wait > min(64.0, 2.0**number) - 0.001 for number, wait in enumerate(waits))
    assert max(waits) < 64.001


def test_a_pause_outlives_the_process_that_was_told() -> None:
    """What is left of it is kept, and then one probe goes; a pause that is over is none."""
    budget = Budget(10, 300.0)
    budget.resume_pause(1000.0, -3.0)
    assert budget.allow(1000.0, 5) == 5
    budget.resume_pause(1000.0, 40.0)
    assert budget.allow(1039.0, 5) == 0
    assert budget.pause_left(1010.0) == 30.0
    assert budget.allow(1040.0, 5) == 1


@given(used=st.integers(0, 100), wanted=st.integers(1, 500))
def test_the_eta_is_kept(used: int, wanted: int) -> None:
    """At the time promised for the last of them, it is allowed, if each is sent as early as it may be."""
    budget = Budget(100, 300.0)
    budget.reserve(0.0, used)
    budget.settle(0.0, used, 0)
    promised = budget.eta(0.0, wanted)
    now, left = 0.0, wanted
    while True:
        allowed = budget.allow(now, left)
        budget.reserve(now, allowed)
        budget.settle(now, allowed, 0)
        left -= allowed
        if not left:
            break
        opens = budget.opens_at(now)
        assert opens is not None
        now = opens
    assert abs(now - promised) < 1e-6


def test_what_is_in_flight_counts() -> None:
    """A registration without an answer may be committed at any moment."""
    budget = Budget(10, 300.0)
    budget.reserve(0.0, 10)
    assert budget.allow(1000.0, 1) == 0
    assert budget.used_at(1000.0) == 10
    budget.settle(1000.0, 10, 0)
    assert budget.allow(1299.0, 1) == 0
    assert budget.allow(1300.0, 20) == 10


def test_what_was_registered_before_counts_until_it_leaves_the_window() -> None:
    budget = Budget(100, 300.0)
    budget.reserve(1000.0, 10)
    budget.settle(1000.0, 10, 0)
    budget.recall(1000.0, [(299.0, 30), (100.0, 40)])
    assert budget.allow(1000.0, 100) == 20
    assert budget.allow(1001.0, 100) == 50
    assert budget.allow(1200.0, 100) == 90
    assert budget.allow(1300.0, 100) == 100
