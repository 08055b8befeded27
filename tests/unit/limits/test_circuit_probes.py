"""The circuit over long outages, and with answers that come late."""

import math

from hypothesis import given
from hypothesis import strategies as st

from scaleset_burst.limits.circuit import Circuit


def down(now: float = 0.0) -> Circuit:
    """Return a circuit that has just opened."""
    circuit = Circuit()
    for _ in range(circuit.threshold - 1):
        circuit.failed(now - circuit.patience, now)
    assert circuit.failed(now, now)
    return circuit


def test_few_failures_do_not_open_it_however_long_they_last() -> None:
    """A quiet burst with a rare failure goes on."""
    circuit = Circuit()
    assert not any(circuit.failed(1000.0 * number, 1000.0 * number) for number in range(circuit.threshold - 1))


def test_a_good_probe_closes_it_as_if_nothing_had_been() -> None:
    """The next outage begins with the first wait again."""
    circuit = down()
    circuit.sent(0.0)
    circuit.succeeded(9.0)
    assert circuit == Circuit(probe_at=circuit.probe_at, worked_at=9.0, closed_at=9.0)


def test_an_outage_of_a_day_is_survived() -> None:
    """Two thousand failed probes, a minute apart at the end."""
    circuit = down()
    for _ in range(2000):
        circuit.sent(0.0)
        circuit.failed(circuit.probe_at, circuit.probe_at)


def test_a_late_failure_of_an_older_request_is_not_the_probes() -> None:
    """While the probe is out nothing else leaves, whatever comes back from before."""
    circuit = down()
    at = circuit.probe_at
    circuit.sent(at)
    circuit.failed(at + 1, 0.0)
    assert circuit.opens_at(at + 1000) == math.inf


def test_hung_requests_of_before_the_last_good_answer_do_not_open_it() -> None:
    """The limits may let nothing more go, so that nothing can succeed while old requests time out one by one."""
    circuit = Circuit()
    circuit.succeeded(10.0)
    assert not any(circuit.failed(15.0 + number, 9.0 - number / 100) for number in range(50))
    for number in range(circuit.threshold):
        circuit.failed(70.0 + number, 60.0 + number)
    assert circuit.is_open


@given(steps=st.lists(st.tuples(st.floats(0, 20), st.sampled_from(["send", "fail", "succeed"])), max_size=80))
def test_one_probe_at_a_time_goes_while_open(steps: list[tuple[float, str]]) -> None:
    """Whatever happens: while open nothing goes beside a probe, while closed everything."""
    circuit, now = Circuit(threshold=2, patience=1.0), 0.0
    for seconds, what in steps:
        now += seconds
        may_go = circuit.opens_at(now) <= now
        assert may_go or circuit.is_open
        if what == "send" and may_go:
            circuit.sent(0.0)
            assert circuit.opens_at(math.inf) == math.inf or not circuit.is_open
        elif what == "fail":
            circuit.failed(now, now)
        elif what == "succeed":
            circuit.succeeded(now)
            assert circuit.opens_at(now) == now
        assert circuit.seconds_left(now) >= 0
