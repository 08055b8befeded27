"""The concurrency limit and the hedge in the real minting room, against services in virtual time."""

import pytest

from benchmarks.limiter.model import BURST, MOST, Wild, bursts, compare, constant, lognormal
from benchmarks.limiter.services import SERVICES, TAILS
from scaleset_burst.limits.concurrency import Limiter

QUICK = (
    "uniform 40 to 360 ms",
    "lognormal 250 ms, sigma 1.2",
    "queues from 4, lognormal 1.2",
    "refuses from 24, uniform",
    "64, 8, 64 refuses, constant",
    "1 % lone 503",
)


def holds(wild: Wild, number: int) -> None:
    """Hold the bounds: against the best fixed limit, refusals, and nothing left behind."""
    found = compare(wild, number=number)
    assert found.median <= 1.15
    assert found.worst <= 1.4
    assert found.ours.left == 0
    if len(wild.capacities) == 1 and not wild.errors:
        assert found.refused_later < 0.02


@pytest.mark.parametrize("name", QUICK)
def test_a_burst_takes_hardly_longer_than_under_the_best_fixed_limit(name: str) -> None:
    holds(SERVICES[name], 5 if "8" in name else 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SERVICES))
def test_it_does_so_against_every_service(name: str) -> None:
    holds(SERVICES[name], 10)


def test_without_a_refusal_the_limit_stays_where_it_began() -> None:
    """Whatever the latency, and though a tenth of the answers is lost."""
    for wild in (Wild(drift=5.0, latency=lognormal(0.25, 1.2)), Wild(stall=3.0), Wild(lost=0.1)):
        assert bursts(wild, Limiter(MOST), number=3).limits == [MOST] * 3


def test_a_capacity_that_falls_within_a_burst_fails_no_mint() -> None:
    """A mint that is refused because the limit was too high has not used up one of its attempts."""
    run = bursts(SERVICES["64, 8, 64 within a burst, refuses"], Limiter(MOST), number=3)
    assert [len(delivered) for delivered in run.delivered] == [BURST] * 3
    assert run.left == 0


@pytest.mark.parametrize(
    "name", ["lognormal 250 ms, sigma 1.2", "a fifth ten times slower", "uniform, 10 % of answers lost"]
)
def test_a_hedge_registers_a_tenth_more_at_most_and_leaves_nothing(name: str) -> None:
    """Each runner asked for is there once; what lost the race was removed."""
    without = bursts(TAILS[name], Limiter(MOST), number=3)
    hedged = bursts(TAILS[name], Limiter(MOST), number=3, hedge=True)
    assert [len(delivered) for delivered in hedged.delivered] == [BURST] * 3
    assert hedged.registered <= without.registered + 3 * BURST / 10 + 1
    assert hedged.left == 0


def test_a_hedge_shortens_the_tail() -> None:
    """Virtual time of the last runner, with lost answers: no longer the time limit of an attempt."""
    wild = TAILS["uniform, 1 % of answers lost"]
    assert max(bursts(wild, Limiter(MOST), number=3).seconds) > 15.0
    assert max(bursts(wild, Limiter(MOST), number=3, hedge=True).seconds) < 3.0


def test_a_service_like_a_metronome_is_never_asked_twice() -> None:
    run = bursts(Wild(latency=constant(0.05)), Limiter(MOST), number=3, hedge=True)
    assert run.registered == 3 * BURST
