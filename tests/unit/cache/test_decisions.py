"""What a question costs, decided over values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleset_burst.cache.backoff import FIRST_BACKOFF, LONGEST_BACKOFF, backoff_seconds
from scaleset_burst.cache.entries import JITTER, Decision, Entry, decide, make_entry

NEVER = float("-inf")


@pytest.mark.parametrize(
    ("now", "backoff_until", "expected"),
    [
        (79.9, NEVER, Decision.SERVE),
        (80.0, NEVER, Decision.SERVE_AND_REFRESH),
        (99.9, NEVER, Decision.SERVE_AND_REFRESH),
        (100.0, NEVER, Decision.FETCH),
        (90.0, 95.0, Decision.SERVE),
        (95.0, 95.0, Decision.SERVE_AND_REFRESH),
        (100.0, 101.0, Decision.BACKOFF),
        (101.0, 101.0, Decision.FETCH),
    ],
)
def test_a_question_is_decided_by_three_times(now: float, backoff_until: float, expected: Decision) -> None:
    assert decide(fresh_until=100.0, refresh_at=80.0, backoff_until=backoff_until, now=now) is expected


def test_nothing_remembered_is_fetched_unless_the_service_failed_a_moment_ago() -> None:
    assert decide(fresh_until=NEVER, refresh_at=NEVER, backoff_until=NEVER, now=0.0) is Decision.FETCH
    assert decide(fresh_until=NEVER, refresh_at=NEVER, backoff_until=1.0, now=0.0) is Decision.BACKOFF


@given(lifetime=st.floats(0, 1e5), jitter=st.floats(0, 1), stale_limit=st.floats(0, 1e5), said_at=st.floats(0, 1e6))
def test_jitter_only_ever_shortens_a_life(lifetime: float, jitter: float, stale_limit: float, said_at: float) -> None:
    entry = make_entry("x", said_at=said_at, lifetime=lifetime, stale_limit=stale_limit, jitter=jitter)
    assert said_at <= entry.refresh_at <= entry.fresh_until <= said_at + lifetime
    assert entry.fresh_until >= said_at + lifetime * (1 - JITTER) - 1e-6
    assert entry.drop_at == pytest.approx(said_at + lifetime + stale_limit)


def test_a_confirmed_absence_is_never_served_stale() -> None:
    entry: Entry[str] = make_entry(None, said_at=0.0, lifetime=30.0, stale_limit=600.0, jitter=0.0)
    assert entry.drop_at == entry.fresh_until


@given(failures=st.integers(1, 10_000), retry_after=st.none() | st.floats(0, 1e4), jitter=st.floats(0, 1))
def test_a_rest_doubles_up_to_a_bound_and_never_undercuts_the_service(
    failures: int, retry_after: float | None, jitter: float
) -> None:
    seconds = backoff_seconds(failures, retry_after, jitter)
    assert seconds >= FIRST_BACKOFF / 2
    assert seconds >= (retry_after or 0.0)
    assert seconds <= max(LONGEST_BACKOFF, (retry_after or 0.0) + FIRST_BACKOFF)
    if failures < 6 and retry_after is None:
        assert backoff_seconds(failures + 1, None, jitter) == pytest.approx(2 * seconds)
