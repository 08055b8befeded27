"""The account of a burst: parts that sum to the whole, and a table people can read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleset_burst.minting.report import BurstReport, ConfigTiming

SECONDS = st.floats(0, 1000)


@given(steps=st.tuples(SECONDS, SECONDS, SECONDS, SECONDS), extra=st.tuples(SECONDS, SECONDS, SECONDS))
def test_the_parts_sum_to_the_total_and_none_is_negative(
    steps: tuple[float, float, float, float], extra: tuple[float, float, float]
) -> None:
    """Even when the waits that were measured beside it exceed the way itself."""
    queued = 5.0
    first = queued + steps[0]
    sent = first + steps[1]
    answered = sent + steps[2]
    delivered = answered + steps[3]
    budget, token, connect = extra
    timing = ConfigTiming.from_times(
        queued=queued,
        first_sent=first,
        sent=sent,
        answered=answered,
        delivered=delivered,
        budget_wait=budget,
        token=token,
        connect=connect,
    )
    assert timing.total == pytest.approx(delivered - queued, abs=1e-9)
    parts = (timing.queue, timing.budget, timing.token, timing.connect, timing.server, timing.retry, timing.delivery)
    assert min(parts) >= -1e-9


def test_each_second_lands_in_its_part() -> None:
    """A way with every kind of wait in it."""
    timing = ConfigTiming.from_times(
        queued=0.0,
        first_sent=10.0,
        sent=13.0,
        answered=20.0,
        delivered=21.0,
        budget_wait=4.0,
        token=1.0,
        connect=2.0,
    )
    assert timing == ConfigTiming(queue=6.0, budget=4.0, token=1.0, connect=2.0, server=4.0, retry=3.0, delivery=1.0)


def report(count: int) -> BurstReport:
    """Return a report over configs of 1, 2, … seconds, all of them the service's."""
    timings = tuple(
        ConfigTiming.from_times(queued=0.0, first_sent=0.0, sent=0.0, answered=float(each), delivered=float(each))
        for each in range(1, count + 1)
    )
    return BurstReport(
        scale_set="linux",
        seconds=float(count),
        waves=3,
        requests=count + 2,
        classes={"minted": count, "ambiguous": 2},
        timings=timings,
        mints=2,
    )


def test_the_table_has_a_line_for_each_part() -> None:
    """Head, columns, seven parts, total."""
    lines = report(100).lines()
    assert [line.split()[0] for line in lines[2:]] == [
        "queue",
        "budget",
        "token",
        "connect",
        "server",
        "retry",
        "delivery",
        "total",
    ]
    assert "100 delivered in 100.000 s, 102 requests in 3 waves (2 ambiguous, 100 minted)" in lines[0]
    assert lines[-1].split()[1:] == ["50.5000", "100.0000", "100.0000", "100.0%"]


def test_a_burst_without_a_config_has_a_report_too() -> None:
    """Nothing delivered is one line, not a division by zero."""
    lines = report(0).lines()
    assert len(lines) == 1
    assert "0 delivered" in lines[0]


def test_configs_that_took_no_time_are_rendered() -> None:
    """Virtual time can stand still."""
    timing = ConfigTiming.from_times(queued=1.0, first_sent=1.0, sent=1.0, answered=1.0, delivered=1.0)
    still = BurstReport(scale_set="a", seconds=0.0, waves=1, requests=1, classes={}, timings=(timing,))
    assert len(still.lines()) == 10
