"""What a failed mint means, from the bytes of the answer to the failure class."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleset_burst.limits.classification import FailureClass, classify
from scaleset_client.failures import failure
from scaleset_client.operations import Operation
from scaleset_client.transport import Response
from scaleset_hookspecs.errors import (
    AuthenticationFailed,
    Conflict,
    NotFound,
    PermissionDenied,
    RateLimited,
    Rejected,
    ServiceError,
    Unavailable,
)

ERRORS = (
    ServiceError,
    Unavailable,
    RateLimited,
    Rejected,
    AuthenticationFailed,
    PermissionDenied,
    NotFound,
    Conflict,
)

ROWS = [
    pytest.param(
        Rejected("no", status=501, maybe_applied=True), FailureClass.AMBIGUOUS, True, id="maybe, though refused"
    ),
    pytest.param(ServiceError("what?"), FailureClass.AMBIGUOUS, True, id="of no known kind"),
    pytest.param(Unavailable("refused"), FailureClass.NOT_COMMITTED, True, id="never sent"),
    pytest.param(RateLimited("slow", status=429), FailureClass.THROTTLED, True, id="429"),
    pytest.param(Conflict("conflict", status=409), FailureClass.NAME_TAKEN, False, id="name taken"),
    pytest.param(PermissionDenied("no", status=403), FailureClass.BATCH_REJECTED, False, id="no permission"),
]


@pytest.mark.parametrize(("error", "failure_class", "overload"), ROWS)
def test_what_counts_against_the_service(error: ServiceError, failure_class: FailureClass, overload: bool) -> None:
    """A refusal that is our own fault opens no circuit."""
    classified = classify(error)
    assert (classified.failure_class, classified.overload) == (failure_class, overload)


def errors() -> st.SearchStrategy[ServiceError]:
    """Any error the client could raise, and some it could not."""
    return st.builds(
        lambda kind, message, **facts: kind(message, **facts),
        st.sampled_from(ERRORS),
        st.text(max_size=40),
        status=st.none() | st.integers(100, 599),
        type_name=st.none() | st.sampled_from(["AgentExistsException", "JobStillRunningException", "Other"]),
        retry_after=st.none() | st.floats(0, 1e6),
        maybe_applied=st.booleans(),
    )


@given(error=errors())
def test_every_error_has_a_verdict(error: ServiceError) -> None:
    """Nothing raises, and a wait the service named survives where it is a limit."""
    classified = classify(error)
    assert isinstance(classified.failure_class, FailureClass)
    if classified.failure_class is FailureClass.THROTTLED:
        assert classified.retry_after == error.retry_after


@given(error=errors().filter(lambda error: error.maybe_applied and not isinstance(error, RateLimited)))
def test_a_name_that_may_be_registered_is_never_tried_again(error: ServiceError) -> None:
    """Whatever else the error says: perhaps applied is resolved (protocol 8.4)."""
    assert classify(error).failure_class in {FailureClass.AMBIGUOUS, FailureClass.NAME_TAKEN}


def test_a_limit_that_may_have_been_applied_is_ambiguous() -> None:
    """The client says `RateLimited, maybe_applied` for a 503 whose text names a limit; 5xx is "maybe" (8.4)."""
    body = b'{"message":"Request was blocked due to exceeding usage of resource DBCPU"}'
    error = failure(Operation.MINT, Response(503, [], body), now=0.0)
    assert isinstance(error, RateLimited)
    assert error.maybe_applied
    assert classify(error).failure_class is FailureClass.AMBIGUOUS


@pytest.mark.parametrize("status", [500, 502, 503, 504, 507])
def test_a_server_error_of_the_real_client_is_ambiguous(status: int) -> None:
    """From the bytes of the answer to the failure class."""
    assert (
        classify(failure(Operation.MINT, Response(status, [], b"oops"), now=0.0)).failure_class
        is FailureClass.AMBIGUOUS
    )


def test_a_wait_named_by_a_server_error_is_kept() -> None:
    """A 503 may carry `Retry-After` as well."""
    error = failure(Operation.MINT, Response(503, [(b"Retry-After", b"7")], b""), now=0.0)
    assert classify(error).retry_after == 7.0
