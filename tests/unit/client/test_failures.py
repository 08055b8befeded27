"""Which error an answer becomes (protocol section 5)."""

import json

import pytest

from scaleset_client.failures import (
    SliceRefused,
    again,
    failure,
    is_gone,
    is_job_still_running,
    is_name_taken,
    is_session_lost,
    item_failure,
    unreadable,
)
from scaleset_client.operations import RULES, Operation
from scaleset_client.transport import Response
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

NOW = 1_800_000_000.0


def fail(kind: Operation, status: int, body: object = b"", **headers: str) -> ServiceError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return failure(kind, Response(status, names, raw), now=NOW)


NAMES = [
    ("GitHub.DistributedTask.WebApi.TaskAgentExistsException, GitHub.DistributedTask.WebApi", 409, Conflict),
    ("AgentExistsException", 400, Conflict),
    ("GitHub.DistributedTask.WebApi.TaskAgentNotFoundException, GitHub.DistributedTask.WebApi", 404, NotFound),
    ("AgentNotFoundException", 400, NotFound),
    ("GitHub.DistributedTask.WebApi.TaskAgentJobStillRunningException, X", 400, Conflict),
    ("JobStillRunningException", 409, Conflict),
    ("GitHub.Actions.Runtime.WebApi.RunnerScaleSetNotFoundException, X", 404, NotFound),
    ("GitHub.Actions.Runtime.WebApi.RunnerScaleSetExistsException, X", 400, Conflict),
    ("GitHub.Actions.Runtime.WebApi.RunnerScaleSetSessionConflictException, X", 409, Conflict),
    ("GitHub.Actions.Runtime.WebApi.RunnerScaleSetSessionExpiredException, X", 400, NotFound),
    ("GitHub.Actions.Runtime.WebApi.RunnerAdminException, X", 404, NotFound),
    ("GitHub.Services.InvalidTokenException, X", 401, AuthenticationFailed),
    ("GitHub.Services.InvalidTokenException, X", 400, AuthenticationFailed),
    ("Something.NewException, X", 400, Rejected),
    ("Something.NewException, X", 503, Unavailable),
]


@pytest.mark.parametrize(("name", "status", "error"), NAMES)
@pytest.mark.parametrize("key", ["typeName", "typeKey"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_the_name_decides_before_the_status(
    name: str, status: int, error: type[ServiceError], key: str, bom: bytes
) -> None:
    """Every name of 5.3, also behind a byte order mark and in the full envelope."""
    body = {"$id": "1", "innerException": None, key: name, "message": "why", "errorCode": 0, "eventId": 3000}
    made = fail(Operation.GET_RUNNER, status, bom + json.dumps(body).encode())
    assert type(made) is error
    assert made.type_name == name.partition(",")[0].rpartition(".")[2]
    assert made.status == status
    assert "why" in made.message


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, Rejected),
        (400, Rejected),
        (401, AuthenticationFailed),
        (403, PermissionDenied),
        (404, NotFound),
        (405, Rejected),
        (408, Unavailable),
        (409, Conflict),
        (410, NotFound),
        (422, Rejected),
        (429, RateLimited),
        (500, Unavailable),
        (501, Rejected),
        (502, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
        (206, Unavailable),
        (100, Unavailable),
        (999, Unavailable),
    ],
)
@pytest.mark.parametrize(
    "body", [b"", b"page not found", b"<html><body>x</body></html>", b"[1]", b"null", b'{"mess', b"\xff"]
)
def test_without_a_name_the_status_decides(status: int, error: type[ServiceError], body: bytes) -> None:
    """Statuses of 5.4, with every form of body of 5.1."""
    made = fail(Operation.GET_RUNNER, status, body)
    assert type(made) is error
    assert made.type_name is None or status == 409


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Operation.MINT, "AgentExistsException"),
        (Operation.REMOVE_RUNNER, "JobStillRunningException"),
        (Operation.CREATE_SCALE_SET, "RunnerScaleSetExistsException"),
        (Operation.OPEN_SESSION, "RunnerScaleSetSessionConflictException"),
        (Operation.GET_RUNNER, None),
    ],
)
def test_409_means_what_its_endpoint_means(kind: Operation, name: str | None) -> None:
    """When the body says nothing, the endpoint says which conflict it is."""
    assert fail(kind, 409).type_name == name


@pytest.mark.parametrize(
    ("status", "body", "headers", "limited"),
    [
        (403, {"message": "Resource not accessible"}, {}, False),
        (403, {"message": "API rate limit exceeded for installation"}, {}, True),
        (403, b"You have exceeded a secondary Rate Limit", {}, True),
        (403, b"", {"retry_after": "5"}, True),
        (403, b"", {"x_ratelimit_remaining": "0"}, True),
        (403, b"", {"x_ratelimit_remaining": "10"}, False),
        (503, b"Request was blocked due to exceeding usage of resource 'DBCPU'", {}, True),
        (503, b"upstream overflow", {"retry_after": "5"}, False),
        (404, {"message": "no rate limit here"}, {}, False),
    ],
)
def test_a_limit_is_told_from_a_lack_of_permission(
    status: int, body: object, headers: dict[str, str], limited: bool
) -> None:
    """Protocol 10.2."""
    assert isinstance(fail(Operation.GET_RUNNER, status, body, **headers), RateLimited) is limited


def test_waits_and_ids_are_kept() -> None:
    """What support and whoever repeats need."""
    made = fail(
        Operation.GET_RUNNER, 503, b"x", retry_after="9", activityid="act\x00-1", x_github_request_id="AB:CD", date="x"
    )
    assert (made.retry_after, made.activity_id, made.request_id) == (9, "act-1", "AB:CD")
    assert fail(Operation.REGISTRATION_TOKEN, 429).retry_after == 60
    assert fail(Operation.MINT, 429).retry_after is None


@pytest.mark.parametrize("kind", list(Operation))
@pytest.mark.parametrize("status", [200, 201, 400, 401, 403, 404, 409, 429, 500, 503])
def test_only_5xx_and_strange_successes_of_changes_may_have_been_applied(kind: Operation, status: int) -> None:
    """Protocol 8.4: 4xx means "no"."""
    expected = RULES[kind].changes and (status >= 500 or status < 300)
    assert fail(kind, status).maybe_applied is expected
    assert unreadable(kind, Response(200, [], b""), "x").maybe_applied is RULES[kind].changes


def test_messages_are_short_and_of_one_line() -> None:
    """A page is reduced to its title, a text to its beginning."""
    page = b"<!DOCTYPE html><html><head><title>502\n Bad Gateway</title></head><body>" + b"x" * 9000
    assert "HTML page: 502 Bad Gateway" in fail(Operation.MINT, 502, page).message
    long = fail(Operation.MINT, 400, {"message": "line\n" * 1000}).message
    assert len(long) < 400
    assert "\n" not in long
    assert "no reason given" in fail(Operation.MINT, 500).message
    assert "unknown" not in fail(Operation.MINT, 500, b"<html><body>down</body></html>").message


def test_the_form_of_a_slice_is_refused_by_a_name_we_do_not_know() -> None:
    """A `typeName` of ours is about the scale set, any other about the form."""
    assert isinstance(fail(Operation.MINT_SLICE, 400, {"typeName": "X.VssPropertyValidationException"}), SliceRefused)
    assert not isinstance(fail(Operation.MINT_SLICE, 500), SliceRefused)
    assert not isinstance(fail(Operation.MINT_SLICE, 403), SliceRefused)
    assert not isinstance(fail(Operation.MINT, 400), SliceRefused)


def test_members_of_a_slice_fail_on_their_own() -> None:
    """With their own status; without one, as a refusal."""
    whole = Response(200, [(b"X-GitHub-Request-Id", b"AB")], b"")
    taken = item_failure({"name": "a", "typeName": "X.TaskAgentExistsException", "status": 409}, whole)
    assert isinstance(taken, Conflict)
    assert taken.request_id == "AB"
    assert isinstance(item_failure({"name": "a", "message": "bad", "status": True}, whole), Rejected)
    assert isinstance(item_failure({"status": 503}, whole), Unavailable)


def test_predicates() -> None:
    """What callers ask of an error."""
    assert is_name_taken(fail(Operation.MINT, 409))
    assert is_job_still_running(fail(Operation.REMOVE_RUNNER, 400, {"typeName": "X.TaskAgentJobStillRunningException"}))
    assert not is_job_still_running(fail(Operation.REMOVE_RUNNER, 400))
    assert is_gone(fail(Operation.GET_RUNNER, 404, {"typeName": "X.TaskAgentNotFoundException"}))
    assert is_gone(fail(Operation.GET_SCALE_SET, 404, {"typeName": "X.RunnerScaleSetNotFoundException"}))
    assert not is_gone(fail(Operation.GET_RUNNER, 404, b"page not found"))
    assert not is_gone(fail(Operation.REGISTRATION_TOKEN, 404, {"message": "Not Found"}))
    assert is_session_lost(
        fail(Operation.REFRESH_SESSION, 400, {"typeName": "X.RunnerScaleSetSessionExpiredException"})
    )
    assert is_session_lost(fail(Operation.REFRESH_SESSION, 404))
    assert not is_session_lost(fail(Operation.REFRESH_SESSION, 404, {"typeName": "X.RunnerScaleSetNotFoundException"}))


def test_an_error_can_be_raised_for_each_of_many() -> None:
    """The copy has every fact and no traceback."""
    first = fail(Operation.MINT, 503, b"x", retry_after="9")
    copied = again(first)
    assert copied is not first
    assert type(copied) is type(first)
    assert vars(copied) == vars(first)
    assert str(copied) == str(first)
