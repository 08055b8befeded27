"""JSON into values (protocol 4.3, 6.3, 7)."""

import json
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleset_client import decoding, events
from scaleset_client.types import JobCompletedEvent, JobStartedEvent
from scaleset_hookspecs import Label, Statistics


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-05-05T12:00:00Z", 1777982400.0),
        ("2026-05-05T12:00:00.1Z", 1777982400.1),
        ("2026-05-05T12:00:00.1234567Z", 1777982400.123456),
        ("2026-05-05T14:00:00+02:00", 1777982400.0),
        ("2026-05-05T12:00:00", 1777982400.0),
        (" 2026-05-05T12:00:00z ", 1777982400.0),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("0001-01-01T00:00:00", None),
        ("yesterday", None),
        ("2026-13-45T99:00:00Z", None),
        ("", None),
        (None, None),
        (1777982400, None),
    ],
)
def test_times(text: object, moment: float | None) -> None:
    """Any number of digits; .NET's zero is "not said"."""
    assert decoding.timestamp(text) == (None if moment is None else pytest.approx(moment, abs=1e-5))


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (2**53 + 1, 2**53 + 1),
        (2**63 - 1, 2**63 - 1),
        (2**63, None),
        (-(2**63) - 1, None),
        ("9007199254740993", 9007199254740993),
        ("x", None),
        ("9" * 5000, None),
        (7.0, 7),
        (7.5, None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        (None, None),
        ([], None),
    ],
)
def test_integers_have_64_bits(value: object, number: int | None) -> None:
    """Message ids are larger than a float's whole numbers."""
    assert decoding.integer(value) == number


@pytest.mark.parametrize(
    "body", [b"", b"  ", b"\xef\xbb\xbf", b"{", b"<html>", b"\xff\xfe", b"[" * 100_000, b"1" * 5000]
)
def test_what_is_not_json_is_unreadable(body: bytes) -> None:
    """With a reason, and never with what stands in it."""
    with pytest.raises(decoding.Unreadable) as caught:
        decoding.document(body)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_the_byte_order_mark_is_stripped(bom: bytes) -> None:
    """Successes may have one too."""
    assert decoding.document(bom + b'{"a": "\xc3\xbc"}') == {"a": "\u00fc"}


@pytest.mark.parametrize("key", ["RunnerSetting", "runnerSetting"])
def test_a_scale_set_by_either_spelling(key: str) -> None:
    """The capital is what clients send; the server's own spelling is not known."""
    found = decoding.scale_set({"id": 1, key: {"disableUpdate": True}, "labels": [{"name": "a", "type": None}, 7]})
    assert found.disable_update
    assert found.labels == (Label(name="a"),)
    assert (found.name, found.runner_group_id, found.created_at, found.statistics) == ("", 1, None, None)


@pytest.mark.parametrize("value", [None, [], "x", {}, {"id": None}, {"id": "x"}, {"id": True}])
def test_a_scale_set_needs_an_id(value: object) -> None:
    """Without it nothing can be done with it."""
    with pytest.raises(decoding.Unreadable):
        decoding.scale_set(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"runner": {"id": 1}},
        {"runner": None, "encodedJITConfig": "x"},
        {"runner": {}, "encodedJITConfig": "x"},
        {"runner": {"id": 1}, "encodedJITConfig": ""},
        {"runner": {"id": 1}, "encodedJITConfig": 5},
    ],
)
def test_a_minted_runner_needs_id_and_config(value: object) -> None:
    """Half of it is not usable, and the runner is registered: the caller must know."""
    with pytest.raises(decoding.Unreadable):
        decoding.minted(value)


def test_a_jit_config_is_not_in_the_repr() -> None:
    """It holds a private key."""
    assert "SECRET" not in repr(decoding.minted({"runner": {"id": 1}, "encodedJITConfig": "SECRET"}))


def test_a_runner_says_only_what_the_service_said() -> None:
    """A status that is no text and a missing `busy` are unknown, not "idle"."""
    runner = decoding.runner({"id": "7", "name": "r", "status": 2, "runnerScaleSetId": 0})
    assert (runner.id, runner.status, runner.busy, runner.scale_set_id) == (7, None, None, None)


def test_statistics() -> None:
    """Seven counters; what is no counter is 0, what is no object is not there."""
    assert decoding.statistics({"totalAssignedJobs": "4", "totalIdleRunners": -1}) == Statistics(assigned_jobs=4)
    assert decoding.statistics(None) is None


def test_job_events() -> None:
    """Section 7; every field may be missing."""
    done = {
        "messageType": "JobCompleted",
        "runnerRequestId": 0,
        "jobId": "j",
        "requestLabels": ["a", 5],
        "runnerId": 7,
        "runnerName": "r",
        "result": "canceled",
        "workflowRunId": 2**40,
        "finishTime": "2026-05-05T12:00:00Z",
    }
    event = events.job_event(done)
    assert isinstance(event, JobCompletedEvent)
    assert (event.job_id, event.labels, event.runner_id, event.result) == ("j", ("a",), 7, "canceled")
    assert (event.workflow_run_id, event.finished_at, event.queued_at) == (2**40, 1777982400.0, None)
    assert events.job_event({"messageType": "JobStarted"}) == JobStartedEvent()
    assert events.job_event({"messageType": "JobPaused"}) is None
    assert events.job_event({}) is None


LAST = Statistics(assigned_jobs=5)


@pytest.mark.parametrize("body", [None, "", " ", "[]", "{}", "7", '["x", null]', '[{"messageType":"New"}]', 5])
def test_messages_without_events_we_know(body: object) -> None:
    """An empty text, an unknown type: still a message, to be acknowledged."""
    assert events.message({"messageId": 1, "body": body}, LAST).events == ()


@pytest.mark.parametrize("value", [None, [], {}, {"messageId": None}, {"messageId": 1, "body": "[{"}])
def test_messages_that_cannot_be_read(value: object) -> None:
    """A message cut off is no empty message."""
    with pytest.raises(decoding.Unreadable):
        events.message(value, LAST)


KEYS = st.sampled_from(
    [
        "id",
        "name",
        "runner",
        "encodedJITConfig",
        "value",
        "count",
        "labels",
        "RunnerSetting",
        "createdOn",
        "statistics",
        "messageId",
        "body",
        "messageType",
        "sessionId",
        "messageQueueUrl",
        "messageQueueAccessToken",
        "runnerScaleSet",
        "token",
        "url",
        "expires_at",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)
DECODERS: list[Callable[[object], object]] = [
    decoding.scale_set,
    decoding.scale_sets,
    decoding.runner_groups,
    decoding.runners,
    decoding.minted,
    lambda value: decoding.session(value, 1),
    lambda value: decoding.acquired_ids(value, range(9)),
    decoding.rest_token,
    decoding.admin_connection,
    events.offers,
    lambda value: events.message(value, LAST),
    lambda value: events.message({"messageId": 1, "body": json.dumps(value)}, LAST),
]


@given(st.sampled_from(DECODERS), JSON)
def test_any_json_is_a_value_or_unreadable(decode: Callable[[object], object], value: object) -> None:
    """No decoder fails in any other way."""
    with suppress(decoding.Unreadable):
        decode(value)


@pytest.mark.parametrize("value", [{"count": 0, "value": None}, {"count": 0}, {}, {"value": []}, {"value": None}])
def test_lists_of_none(value: object) -> None:
    """As other implementations write them; the official client and its port read each of these as none."""
    assert decoding.runners(value) == ()


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"count": 2, "value": None},
        {"count": "2"},
        {"count": 1, "value": []},
        {"count": 0, "value": {}},
        {"id": 7, "name": "r"},
        {"typeName": "X", "message": "no", "value": None},
    ],
)
def test_what_is_no_list_says_nothing(value: object) -> None:
    """An error or an object in its place, or a list that says it holds more: taken for none, it settles a name."""
    with pytest.raises(decoding.Unreadable):
        decoding.runners(value)
