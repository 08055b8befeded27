"""How long answers take: distributions, stalls and drift, from a seed."""

import math
import random
from statistics import median, quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleset_client.clock import SystemClock
from scaleset_simulator import SimulatorError, SimulatorProcess
from scaleset_simulator.latency import parse_latency
from scaleset_simulator.options import Options
from scaleset_simulator.world import World

DRAWS = 4000


def draws(text: str, now: float = 0.0, count: int = DRAWS) -> list[float]:
    chance, latency = random.Random(7), parse_latency(text)
    return [latency.draw(chance, now) for _ in range(count)]


@pytest.mark.parametrize(("text", "seconds"), [("50ms", 0.05), ("0", 0.0), ("1.5", 1.5), ("2s", 2.0), ("1m", 60.0)])
def test_a_plain_time_is_always_the_same(text: str, seconds: float) -> None:
    assert set(draws(text)) == {seconds}


def test_the_nth_mint_takes_the_same_time_whatever_else_is_asked() -> None:
    def mints(others: int) -> list[float]:
        world = World(Options(latency=parse_latency("lognormal:250ms,0.8"), seed=3), SystemClock())
        taken = []
        for _ in range(20):
            taken.append(world.latency("mint"))
            for _ in range(others):
                world.latency("find_runner")
        return taken

    assert len(set(mints(0))) == 20
    assert mints(0) == mints(3)


@pytest.mark.parametrize(
    "text", ["uniform:1s-2s", "lognormal:1s,0.1", "mix:50%*1s+50%*2s", "1s;stall=1s/9s", "1s;drift=2/1m"]
)
def test_only_a_plain_time_is_fixed(text: str) -> None:
    assert not parse_latency(text).fixed
    assert parse_latency("1s").fixed


def test_uniform_fills_its_range_and_nothing_else() -> None:
    values = draws("uniform:40ms-360ms")
    assert 0.04 <= min(values) < 0.06
    assert 0.34 < max(values) <= 0.36
    assert median(values) == pytest.approx(0.2, abs=0.02)


def test_lognormal_has_its_median_and_its_spread() -> None:
    values = draws("lognormal:250ms,0.8")
    assert median(values) == pytest.approx(0.25, rel=0.08)
    upper = quantiles(values, n=1000)[840]  # one sigma above the median
    assert upper == pytest.approx(0.25 * math.exp(0.8), rel=0.15)


def test_a_mix_draws_each_hump_as_often_as_it_says() -> None:
    values = draws("mix:90%*50ms+10%*uniform:400ms-600ms")
    slow = [value for value in values if value > 0.1]
    assert len(slow) / DRAWS == pytest.approx(0.1, abs=0.02)
    assert all(0.4 <= value <= 0.6 for value in slow)


def test_nothing_is_answered_while_the_service_stalls() -> None:
    latency = parse_latency("100ms;stall=2s/30s")
    chance = random.Random(1)
    for begun in range(0, 120_000, 37):
        now = begun / 1000
        ends = (now + latency.draw(chance, now)) % 30.0
        assert ends <= 28.0 + 1e-6 or math.isclose(ends, 30.0), (now, ends)
    assert latency.draw(chance, 5.0) == pytest.approx(0.1)
    assert latency.draw(chance, 27.95) == pytest.approx(2.1)
    assert latency.draw(chance, 29.0) == pytest.approx(1.1)
    assert parse_latency("60s;stall=2s/30s").draw(chance, 0.0) == pytest.approx(64.0)  # it works 28 s in every 30


def test_drift_makes_it_slower_and_lets_it_come_back() -> None:
    latency, chance = parse_latency("100ms;drift=5/2m"), random.Random(1)
    assert latency.draw(chance, 0.0) == pytest.approx(0.1)
    assert latency.draw(chance, 60.0) == pytest.approx(0.5)
    assert latency.draw(chance, 120.0) == pytest.approx(0.1)


def test_the_same_seed_draws_the_same_times() -> None:
    text = "mix:80%*lognormal:100ms,1.2+20%*uniform:1s-2s;stall=1s/10s"
    assert draws(text) == draws(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fast",
        "-1s",
        "nan",
        "2h",
        "uniform:360ms-40ms",
        "uniform:40ms",
        "lognormal:250ms",
        "lognormal:250ms,9",
        "lognormal:250ms,-1",
        "mix:50%*1s",
        "mix:90%*50ms+20%*60ms",
        "mix:" + "+".join(["5%*1ms"] * 20),
        "gamma:1s,2",
        "50ms;stall=3s/2s",
        "50ms;stall=3s",
        "50ms;drift=0.5/2m",
        "50ms;drift=nan/2m",
        "50ms;drift=5/0",
        "50ms;pause=1s/2s",
    ],
)
def test_what_is_no_latency_is_refused_with_what_would_be(text: str) -> None:
    with pytest.raises(ValueError, match="expected a time such as 50ms"):
        parse_latency(text)


@given(st.text(max_size=60))
def test_any_other_text_is_refused_or_drawn_from(text: str) -> None:
    try:
        latency = parse_latency(text)
    except ValueError:
        return
    assert 0.0 <= latency.draw(random.Random(1), 1.0) < math.inf


def test_a_simulator_takes_one_and_another_while_it_runs() -> None:
    with SimulatorProcess(latency="uniform:1ms-2ms") as simulator:
        assert simulator.control("POST", "settings", {"latency": "lognormal:1ms,0.5"})["latency"] == "lognormal:1ms,0.5"
        with pytest.raises(SimulatorError, match="is no latency"):
            simulator.configure(latency="slow")
    with pytest.raises(SimulatorError, match="is no latency"), SimulatorProcess(latency="slow"):
        pass


def test_a_seed_that_is_given_again_begins_the_same_latencies_again() -> None:
    world = World(Options(latency=parse_latency("lognormal:100ms,1.2")), SystemClock())
    first = [world.latency("mint") for _ in range(5)]
    assert [world.latency("mint") for _ in range(5)] != first
    world.draw_anew()
    assert [world.latency("mint") for _ in range(5)] == first
