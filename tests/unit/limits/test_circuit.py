"""The circuit: opens when failures last, probes one at a time, closes at the first success."""

import math

from hypothesis import given
from hypothesis import strategies as st

from scaleset_burst.limits.circuit import Circuit


def opened() -> Circuit:
    """Return a circuit that has just opened, at 5 s."""
    circuit = Circuit()
    for number in range(11):
        circuit.failed(number * 0.5, number * 0.5)
    assert circuit.is_open
    return circuit


def test_one_bad_wave_does_not_open_it() -> None:
    """Many failures at one moment are one bad moment."""
    circuit = Circuit()
    for _ in range(100):
        assert not circuit.failed(1.0, 1.0)
    assert circuit.opens_at(1.0) == 1.0


def test_a_success_starts_the_count_anew() -> None:
    """Failures must be in a row."""
    circuit = Circuit()
    for number in range(100):
        circuit.failed(number * 1.0, number * 1.0)
        circuit.succeeded(number * 1.0)
    assert not circuit.is_open


def test_open_means_one_probe_now_and_then() -> None:
    """Nothing, then one; each failed probe doubles the wait, up to a minute."""
    circuit, now = opened(), 5.0
    waits = []
    for _ in range(8):
        assert circuit.opens_at(now) > now
        wait = circuit.seconds_left(now)
        waits.append(wait)
        now += wait
        assert circuit.opens_at(now) <= now
        circuit.sent(0.0)
        assert circuit.opens_at(now) == math.inf
        assert circuit.failed(now, now)
    assert waits[0] == 5.0
    assert waits[-1] == 60.0
    now += circuit.seconds_left(now)
    circuit.sent(0.0)
    circuit.succeeded(now)
    assert circuit.opens_at(now) == now


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 10)), max_size=200))
def test_whatever_happened_a_minute_opens_it_again(history: list[tuple[bool, float]]) -> None:
    """A service that is back is found within the longest wait."""
    circuit, now = Circuit(), 0.0
    for good, passes in history:
        now += passes
        assert circuit.opens_at(now) <= now + circuit.longest_wait
        if circuit.opens_at(now) <= now:
            circuit.sent(now)
            circuit.succeeded(now) if good else circuit.failed(now, now)
