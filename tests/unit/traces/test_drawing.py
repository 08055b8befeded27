"""Spans as values: what outcomes of every kind become."""

from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from scaleset_burst.traces.drawing import mint, nanoseconds, request
from scaleset_client.observing import RequestRecord
from scaleset_client.operations import Operation
from scaleset_hookspecs import FailureReason, JitConfig, MintAttempt, MintFailure, ScaleSetRef

ATTEMPTS = st.builds(
    MintAttempt,
    started_at=st.floats(1e9, 2e9),
    seconds=st.floats(0, 1e4),
    result=st.sampled_from(["minted", "ambiguous", "throttled"]),
    token=st.floats(0, 10),
    connect=st.floats(0, 10),
    status=st.none() | st.integers(100, 599),
    request_id=st.none() | st.just("C0DE:1"),
)
TRIED = st.lists(ATTEMPTS, max_size=5).map(tuple)
MINTED = st.builds(
    JitConfig,
    runner_id=st.integers(1),
    runner_name=st.just("linux-1"),
    scale_set=st.just(ScaleSetRef(name="linux")),
    encoded=st.just("SECRET"),
    minted_at=st.just(2e9),
    attempts=TRIED,
)
FAILED = st.builds(
    MintFailure, reason=st.sampled_from(FailureReason), message=st.just("SECRET"), request_id=st.none(), attempts=TRIED
)


@given(MINTED | FAILED)
def test_each_request_is_one_span_and_nothing_else_is_told(outcome: JitConfig | MintFailure) -> None:
    drawn = mint(outcome)
    if not outcome.attempts:
        assert drawn is None
        return
    assert drawn is not None
    span, below = drawn
    sent = [one for one in (span, *below) if one.sent]
    assert len(sent) == len(outcome.attempts)
    assert (span.sent, below == ()) == (
        (True, True) if isinstance(outcome, JitConfig) and len(sent) == 1 else (False, False)
    )
    for one, attempt in zip(sent, outcome.attempts, strict=True):
        assert one.began == nanoseconds(attempt.started_at) <= one.ended
        assert one.attributes.get("http.response.status_code") == attempt.status
        assert one.attributes.get("github.request_id") == attempt.request_id
        assert (one.error is None) == (attempt.result == "minted")
        assert span.began <= one.began <= one.ended <= span.ended
    assert "SECRET" not in repr(drawn)
    assert all(isinstance(value, str | int | float) for one in (span, *below) for value in one.attributes.values())
    if isinstance(outcome, MintFailure):
        assert span.error == span.attributes["error.type"] == outcome.reason
    elif below:
        assert span.error is None


def test_a_request_tells_whom_it_asked_and_how_it_ended() -> None:
    """All of its record; a status that is an error is one."""
    record = RequestRecord(
        kind=Operation.GET_RUNNER,
        status=404,
        seconds=0.5,
        method="GET",
        host="ghes.example",
        request_id="C0DE:2",
    )
    assert {field.name for field in fields(record)} == {
        "kind", "status", "seconds", "failure", "method", "host", "request_id",
    }  # fmt: skip
    span = request(record, 1e9)
    assert (span.name, span.began, span.ended, span.error) == ("get_runner", int(999_999_999.5e9), int(1e18), "404")
    assert span.attributes == {
        "http.request.method": "GET",
        "server.address": "ghes.example",
        "http.response.status_code": 404,
        "github.request_id": "C0DE:2",
        "error.type": "404",
    }
    lost = RequestRecord(kind=Operation.REGISTRATION_TOKEN, status=None, seconds=0.0, failure="Unavailable", host="h")
    assert request(lost, 1e9).error == "Unavailable"
