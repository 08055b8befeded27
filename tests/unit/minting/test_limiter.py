"""The limiter against a model of a service whose capacity it does not know: counts, no real time."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.limiter.laws import Fixed
from benchmarks.limiter.model import play, waves_to_converge
from scaleset_burst.minting.limiter import Limiter

MINTS = 5000


def best(capacity: Callable[[float], int], mode: str) -> float:
    """Return the time of the best number somebody could have chosen."""
    return min(play(Fixed(number), MINTS, capacity, mode).seconds for number in (8, 16, 32, 64, 128, 256))  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["queue", "refuse"])
@pytest.mark.parametrize("capacity", [8, 64, 256])
def test_it_finds_the_capacity(capacity: int, mode: str) -> None:
    """Within 20 % of the best fixed setting, and under 2 % of the calls refused."""
    result = play(Limiter(512), MINTS, lambda _: capacity, mode)  # type: ignore[arg-type]
    assert result.seconds <= 1.2 * best(lambda _: capacity, mode)
    assert result.refused < 0.02 * result.sent


@pytest.mark.parametrize("mode", ["queue", "refuse"])
@pytest.mark.parametrize("seed", range(5))
def test_it_follows_a_step_within_twenty_waves(mode: str, seed: int) -> None:
    """64, then 8, then 64 again: converged within 20 waves each time."""

    def steps(share: float) -> int:
        return 8 if 0.4 <= share < 0.5 else 64

    waves = waves_to_converge(play(Limiter(512), MINTS, steps, mode, seed))  # type: ignore[arg-type]
    assert len(waves) == 3
    assert all(each is not None and each <= 20 for each in waves)


def test_a_service_that_became_slower_is_not_mistaken_for_a_full_one() -> None:
    """When smaller waves are no faster, the limit comes back."""
    limiter = Limiter(64)
    now = 0.0
    for latency in [0.05] * 10 + [0.5] * 60:
        for _ in range(limiter.limit):
            limiter.answered(now, now, latency, limiter.limit - 1)
        now += latency
    assert limiter.limit == 64


@given(
    most=st.integers(1, 1000),
    steps=st.lists(st.tuples(st.booleans(), st.floats(0.001, 30.0), st.integers(0, 1000)), max_size=300),
)
def test_the_limit_stays_within_its_bounds(most: int, steps: list[tuple[bool, float, int]]) -> None:
    """Never below 1, never above the maximum; a refusal never raises it."""
    limiter, now = Limiter(most), 0.0
    for refused, latency, in_flight in steps:
        before = limiter.limit
        now += latency
        if refused:
            limiter.refused(now, in_flight)
            assert limiter.limit <= before
        else:
            limiter.answered(now, now - latency, latency, in_flight)
        assert 1 <= limiter.limit <= most
