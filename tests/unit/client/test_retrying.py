"""Whether and when to send again."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleset_client.retrying import Backoff, next_wait
from scaleset_hookspecs import Conflict, RateLimited, Rejected, ServiceError, Unavailable

BACKOFF = Backoff(attempts=5, first=1, longest=8, limit=60)


def ask(error: ServiceError, *, attempt: int = 1, repeatable: bool = True, waited: float = 0) -> float | None:
    return next_wait(attempt, error, repeatable=repeatable, waited=waited, chance=random.Random(1), backoff=BACKOFF)


@pytest.mark.parametrize("error", [Rejected("no"), Conflict("no")])
def test_what_was_refused_is_not_repeated(error: ServiceError) -> None:
    """The same request would fail again."""
    assert ask(error) is None


def test_what_may_have_happened_is_repeated_only_if_that_does_no_harm() -> None:
    """A lost answer to something that counts twice is the caller's to resolve."""
    lost = Unavailable("lost", maybe_applied=True)
    assert ask(lost, repeatable=True) is not None
    assert ask(lost, repeatable=False) is None
    assert ask(Unavailable("not sent"), repeatable=False) is not None


def test_attempts_are_counted() -> None:
    """The fifth is the last."""
    assert ask(Unavailable("x"), attempt=4) is not None
    assert ask(Unavailable("x"), attempt=5) is None


@given(st.integers(1, 4), st.floats(0, 30), st.integers())
def test_waits_double_with_jitter(attempt: int, waited: float, seed: int) -> None:
    """Between half and one and a half of 1, 2, 4, 8."""
    wait = next_wait(
        attempt, Unavailable("x"), repeatable=True, waited=waited, chance=random.Random(seed), backoff=BACKOFF
    )
    assert wait is not None
    assert 0.5 <= wait / 2 ** (attempt - 1) <= 1.5


def test_jitter_is_there() -> None:
    """Two who fail together do not come back together."""
    assert BACKOFF.wait(1, random.Random(1)) != BACKOFF.wait(1, random.Random(2))
    assert BACKOFF.wait(10_000, random.Random(1)) <= 12


@given(st.floats(0, 50), st.integers())
def test_retry_after_is_kept_and_never_undercut(asked: float, seed: int) -> None:
    """A little later is polite, earlier is not."""
    error = RateLimited("x", retry_after=asked)
    wait = next_wait(1, error, repeatable=False, waited=0, chance=random.Random(seed), backoff=BACKOFF)
    assert wait is not None
    assert asked <= wait <= asked + 1


@pytest.mark.parametrize(("asked", "waited"), [(61, 0), (30, 31), (86_400, 0)])
def test_a_wait_beyond_the_limit_is_the_callers_to_know(asked: float, waited: float) -> None:
    """It is told at once, not kept."""
    assert ask(RateLimited("x", retry_after=asked), waited=waited) is None
