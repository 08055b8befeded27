"""What a failed mint means: protocol 8.4's last table, row by row, and no error without a meaning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleset_burst.limits.classification import FailureClass, classify
from scaleset_hookspecs import (
    AuthenticationFailed,
    Conflict,
    NotFound,
    PermissionDenied,
    RateLimited,
    Rejected,
    ServiceError,
    Unavailable,
)

ROWS = [
    ("connection refused", Unavailable("x"), FailureClass.NOT_COMMITTED),
    ("timeout after sending", Unavailable("x", maybe_applied=True), FailureClass.AMBIGUOUS),
    ("5xx", Unavailable("x", status=502, maybe_applied=True), FailureClass.AMBIGUOUS),
    ("200, body unreadable", Unavailable("x", status=200, maybe_applied=True), FailureClass.AMBIGUOUS),
    ("429", RateLimited("x", status=429, retry_after=3.0), FailureClass.THROTTLED),
    ("403 as rate limit", RateLimited("x", status=403), FailureClass.THROTTLED),
    ("401", AuthenticationFailed("x", status=401), FailureClass.BATCH_REJECTED),
    ("403", PermissionDenied("x", status=403), FailureClass.BATCH_REJECTED),
    ("404", NotFound("x", status=404), FailureClass.BATCH_REJECTED),
    ("400", Rejected("x", status=400), FailureClass.ITEM_REJECTED),
    ("group full", Rejected("reached max limit of 10000 runners", status=422), FailureClass.BATCH_REJECTED),
    ("409 AgentExists", Conflict("x", status=409, type_name="TaskAgentExistsException"), FailureClass.NAME_TAKEN),
    ("400 AgentExists", Rejected("x", status=400, type_name="AgentExistsException"), FailureClass.NAME_TAKEN),
    ("409 untyped", Conflict("x", status=409), FailureClass.NAME_TAKEN),
]


@pytest.mark.parametrize(("error", "failure_class"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_every_row_of_the_table(error: ServiceError, failure_class: FailureClass) -> None:
    """Each outcome has the action the protocol names."""
    assert classify(error).failure_class is failure_class


@given(
    kind=st.sampled_from(
        [ServiceError, Unavailable, RateLimited, Rejected, Conflict, NotFound, PermissionDenied, AuthenticationFailed]
    ),
    status=st.one_of(st.none(), st.integers(100, 599)),
    maybe=st.booleans(),
    name=st.one_of(st.none(), st.text(max_size=30)),
)
def test_doubt_is_never_taken_for_safety(
    kind: type[ServiceError], status: int | None, maybe: bool, name: str | None
) -> None:
    """Whatever may have been applied is never called not committed, nor tried again under its name."""
    classified = classify(kind("x", status=status, maybe_applied=maybe, type_name=name))
    if maybe and not issubclass(kind, RateLimited):
        assert classified.failure_class in {FailureClass.AMBIGUOUS, FailureClass.NAME_TAKEN}


@pytest.mark.parametrize(("status", "refusal"), [(429, True), (503, True), (502, False), (None, False)])
def test_only_too_much_lowers_the_limit(status: int | None, refusal: bool) -> None:
    """A lost response says nothing about capacity; 429 and 503 do."""
    assert classify(Unavailable("x", status=status, maybe_applied=True)).refusal is refusal
