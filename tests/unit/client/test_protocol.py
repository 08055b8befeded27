"""Any answer to any operation is a value or one of our errors, and no secret gets into it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleset_client import decoding, events, protocol
from scaleset_client.decoding import Unreadable
from scaleset_client.failures import SliceRefused
from scaleset_client.operations import RULES, Operation
from scaleset_client.transport import Response
from scaleset_client.types import MintRequest
from scaleset_hookspecs import Rejected, ServiceError, Statistics, Unavailable

DECODERS: dict[Operation, Callable[[object], Any]] = {
    Operation.INSTALLATION_TOKEN: decoding.rest_token,
    Operation.REGISTRATION_TOKEN: decoding.rest_token,
    Operation.ADMIN_CONNECTION: decoding.admin_connection,
    Operation.FIND_SCALE_SET: decoding.scale_sets,
    Operation.CREATE_SCALE_SET: decoding.scale_set,
    Operation.MINT: decoding.minted,
    Operation.GET_RUNNER: decoding.runner,
    Operation.OPEN_SESSION: lambda value: decoding.session(value, 1),
    Operation.POLL: lambda value: events.message(value, Statistics()),
    Operation.ACQUIRE_JOBS: lambda value: decoding.acquired_ids(value, ()),
    Operation.REMOVE_RUNNER: protocol.nothing,
}
SECRET = "S3cr3tValueOfTheTest"
FRAGMENTS = st.sampled_from(
    [
        SECRET,
        "\ufeff",
        "{",
        "}",
        '"',
        ":",
        "typeName",
        "message",
        "Bearer ",
        "<title>",
        "GitHub.X.AgentExistsException, Y",
    ]
)
BODIES = st.one_of(
    st.binary(max_size=200),
    st.lists(st.one_of(FRAGMENTS, st.text(max_size=10)), max_size=12).map(lambda parts: "".join(parts).encode()),
    st.builds(
        lambda name, said: json.dumps({"typeName": name, "message": said}).encode(),
        st.one_of(st.text(max_size=60), st.just(SECRET), st.integers()),
        st.one_of(st.text(max_size=60), st.just(f"x {SECRET}"), st.none()),
    ),
)
HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "activityid", "x-github-request-id", "x-ratelimit-remaining", "x-ratelimit-reset"]),
    st.one_of(st.text(max_size=30), st.just(SECRET), st.just("0")),
)


@given(st.sampled_from(list(DECODERS)), st.integers(100, 999), HEADERS, BODIES)
def test_any_answer(kind: Operation, status: int, headers: dict[str, str], body: bytes) -> None:
    """Arbitrary statuses, headers and bodies."""
    response = Response(status, [(name.encode(), value.encode()) for name, value in headers.items()], body)
    error = error_of(lambda: protocol.read(kind, response, DECODERS[kind], now=1e9, secrets=(SECRET,)))
    if error is not None:
        assert SECRET not in f"{error}{error!r}{vars(error)}"
        assert len(error.message) < 700
        assert not error.maybe_applied or (RULES[kind].changes and (status >= 500 or status < 300))


def error_of(call: Callable[[], object]) -> ServiceError | None:
    try:
        call()
    except ServiceError as error:
        return error
    return None


@given(BODIES, st.sampled_from([200, 201, 400, 404, 500]))
def test_any_answer_to_a_slice(body: bytes, status: int) -> None:
    """One outcome each, or one error for all."""
    wanted = (MintRequest(name="a"), MintRequest(name="b"))
    try:
        outcomes = protocol.read_slice(wanted, 1, Response(status, [], body), now=1e9, secrets=(SECRET,))
    except ServiceError:
        return
    assert len(outcomes) == 2
    assert SECRET not in repr(outcomes)


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "name": st.sampled_from(["a", "b", ""]),
                "runner": st.one_of(
                    st.none(), st.fixed_dictionaries({"id": st.integers(), "name": st.sampled_from("ab")})
                ),
                "encodedJITConfig": st.sampled_from(["x", ""]),
                "status": st.one_of(st.integers(), st.none(), st.text(max_size=3)),
                "typeName": st.one_of(st.just("X.AgentExistsException"), st.integers()),
            },
        ),
        max_size=4,
    )
)
def test_any_members_of_a_slice(members: list[object]) -> None:
    """Members that are missing, doubled or broken."""
    wanted = (MintRequest(name="a"), MintRequest(name="b"))
    body = json.dumps({"count": len(members), "value": members}).encode()
    outcomes = protocol.read_slice(wanted, 1, Response(200, [], body), now=1e9)
    assert len(outcomes) == 2
    for request, outcome in zip(wanted, outcomes, strict=True):
        assert isinstance(outcome, ServiceError) or outcome.runner.name == request.name


@pytest.mark.parametrize("kind", list(DECODERS))
@pytest.mark.parametrize("status", [200, 201, 202, 203, 204, 206])
def test_statuses_are_strict(kind: Operation, status: int) -> None:
    """Another 2xx than the one in the table is no success (protocol 4.1)."""
    if status in RULES[kind].success:
        return
    with pytest.raises(Unavailable):
        protocol.read(kind, Response(status, [], b"{}"), DECODERS[kind], now=0)


def test_a_refused_slice_is_a_refusal() -> None:
    """Whoever knows nothing of slices still sees that nothing was minted."""
    assert issubclass(SliceRefused, Rejected)


@pytest.mark.parametrize(
    ("names", "found"),
    [([], None), (["a"], "a"), (["A"], "A"), (["A", "a"], "a"), (["a", "b"], "a")],
)
def test_looking_for_a_name(names: list[str], found: str | None) -> None:
    """Exactly that one, however many the service sends."""
    assert protocol.one_named(Operation.FIND_RUNNER, names, "a", lambda one: one) == found


@pytest.mark.parametrize("other", ["b", ""])
def test_a_list_of_others_answers_another_question(other: str) -> None:
    """It says nothing about the one that was looked for: taken for "there is none", it would settle a name."""
    with pytest.raises(Unreadable, match="1 others"):
        protocol.one_named(Operation.FIND_RUNNER, [other], "a", lambda one: one)


def test_two_of_one_name_are_an_error() -> None:
    """Protocol 4.2: more than one is no answer."""
    with pytest.raises(Rejected, match="2 of them"):
        protocol.one_named(Operation.FIND_RUNNER, ["a", "a"], "a", lambda one: one)
