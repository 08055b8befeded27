"""Answers that are failures, as the errors of the contract (protocol section 5)."""

import json
import re
from collections.abc import Iterable, Mapping
from copy import copy
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TypeVar

from scaleset_client.operations import RULES, Audience, Operation
from scaleset_client.texts import excerpt, header_text, scrub
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

__all__ = [
    "SliceRefused",
    "again",
    "answered_at",
    "failure",
    "is_gone",
    "is_job_still_running",
    "is_name_taken",
    "is_session_lost",
    "item_failure",
    "passing",
    "retry_after",
    "session_may_have_ended",
    "unreadable",
]

E = TypeVar("E", bound=BaseException)


class SliceRefused(Rejected):
    """The service does not take several settings in one request; nothing was minted."""


# Names are matched by "contains" (protocol 5.1): `TaskAgentExistsException` is one of the first kind.
BY_NAME: tuple[tuple[str, type[ServiceError]], ...] = (
    ("AgentExistsException", Conflict),
    ("AgentNotFoundException", NotFound),
    ("JobStillRunningException", Conflict),
    ("RunnerScaleSetNotFoundException", NotFound),
    ("RunnerScaleSetExistsException", Conflict),
    ("SessionConflictException", Conflict),
    ("SessionExpiredException", NotFound),
    ("InvalidTokenException", AuthenticationFailed),
)

# 409 means something else on every endpoint; without a name in the body the endpoint says which (protocol 5.3).
CONFLICTS: dict[Operation, str] = {
    Operation.MINT: "AgentExistsException",
    Operation.CREATE_SCALE_SET: "RunnerScaleSetExistsException",
    Operation.UPDATE_SCALE_SET: "RunnerScaleSetExistsException",
    Operation.REMOVE_RUNNER: "JobStillRunningException",
    Operation.OPEN_SESSION: "RunnerScaleSetSessionConflictException",
}

BY_STATUS: dict[int, type[ServiceError]] = {
    401: AuthenticationFailed,
    403: PermissionDenied,
    404: NotFound,
    408: Unavailable,
    409: Conflict,
    410: NotFound,
    421: Unavailable,
    425: Unavailable,
    429: RateLimited,
    501: Rejected,
    505: Rejected,
}

LIMIT_TEXTS = ("rate limit", "exceeding usage of resource", "abuse detection")
SLICE_REFUSALS = frozenset({400, 404, 405, 415, 422})
REST_PAUSE = 60.0
"""Seconds to wait on a limit of the REST API that names no time (protocol 10.1)."""
LONGEST_WAIT = 86_400.0
"""Seconds; what asks for more is asking for "not today", and no sum of waits may overflow."""

NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
DATE = re.compile(r"[0-9]{1,2}[ -][A-Za-z]{3}[ -][0-9]{2,4} [0-9]{2}:[0-9]{2}:[0-9]{2}(?: ?[+-][0-9]{4}| ?[A-Z]{1,4})?")
TYPE_NAME = re.compile(r"[A-Za-z_]\w{0,119}")


def failure(kind: Operation, response: Response, *, now: float, secrets: Iterable[str] = ()) -> ServiceError:
    """Return the error for an answer whose status does not mean success.

    Args:
        kind: The operation that failed.
        response: The answer, whatever it is.
        now: Unix time, for dates in `Retry-After`.
        secrets: Texts that must not appear in the error, whatever the answer holds.
    """
    secrets, headers = tuple(secrets), response.named_headers()
    name, said = _read(response.body)
    known = _by_name(name)
    limited = known is None and _is_limit(response.status, headers, said)
    error_type = RateLimited if limited else known or _by_status(response.status)
    if kind is Operation.MINT_SLICE and known is None and not limited and response.status in SLICE_REFUSALS:
        error_type = SliceRefused
    if known is None and response.status == 409:
        name = CONFLICTS.get(kind, name)
    wait = retry_after(headers, now)
    if wait is None and limited and RULES[kind].audience is Audience.REST:
        wait = REST_PAUSE
    return error_type(
        _sentence(kind, response, excerpt(said, secrets), limited=limited),
        status=response.status,
        type_name=scrub(name, secrets) if name else None,
        activity_id=header_text(headers.get("activityid"), secrets),
        request_id=header_text(headers.get("x-github-request-id"), secrets),
        retry_after=wait,
        maybe_applied=RULES[kind].changes and (response.status >= 500 or 200 <= response.status < 300),
    )


def unreadable(kind: Operation, response: Response, why: str, *, secrets: Iterable[str] = ()) -> Unavailable:
    """Return the error for a success whose body cannot be read: of a change, an ambiguous one (protocol 5.1)."""
    secrets, headers = tuple(secrets), response.named_headers()
    return Unavailable(
        f"{RULES[kind].words} failed: the answer cannot be read: {why}",
        status=response.status,
        activity_id=header_text(headers.get("activityid"), secrets),
        request_id=header_text(headers.get("x-github-request-id"), secrets),
        maybe_applied=RULES[kind].changes,
    )


def item_failure(item: Mapping[str, object], response: Response, *, secrets: Iterable[str] = ()) -> ServiceError:
    """Return the error for one refused member of a slice: `{"name","typeName","message","status"}`."""
    status = item.get("status")
    body = json.dumps({key: item.get(key) for key in ("typeName", "message")}).encode()
    valid = isinstance(status, int) and not isinstance(status, bool) and 300 <= status < 600
    # Without a status of its own a refusal is a refusal: 422, not the 200 of the whole slice.
    own = Response(status if valid and isinstance(status, int) else 422, response.headers, body)
    return failure(Operation.MINT, own, now=0.0, secrets=secrets)


def is_name_taken(error: ServiceError) -> bool:
    """Say whether a mint failed because a runner of that name is registered (protocol 8.4)."""
    return "AgentExistsException" in (error.type_name or "")


def is_gone(error: ServiceError) -> bool:
    """Say whether the service itself named what it does not have: the runner or the scale set (protocol 5.3).

    Any other 404 proves nothing: a router's, or that of GitHub to credentials that may not see the scope any more.
    """
    name = error.type_name or ""
    named = "AgentNotFoundException" in name or "RunnerScaleSetNotFoundException" in name
    return isinstance(error, NotFound) and (named or error.status == 200)


def is_job_still_running(error: ServiceError) -> bool:
    """Say whether a runner could not be removed because it has a job; the status differs (protocol 5.3)."""
    return "JobStillRunningException" in (error.type_name or "")


def is_session_lost(error: ServiceError) -> bool:
    """Say whether the session's own address said that it is gone, so that only a new one helps (protocol 6.4)."""
    return isinstance(error, NotFound) and "RunnerScaleSetNotFoundException" not in (error.type_name or "")


def session_may_have_ended(response: Response) -> bool:
    """Say whether an answer to the queue token may mean that it or the session has ended; a refresh settles it.

    401 and the name of an expired session say so; a 404 or 410 is a lost session's or a router's (protocol 5.3 and
    appendix C), and a 400 that does not say why may be an expired session's, cut off.
    """
    if response.status not in {400, 401, 404, 410}:
        return False
    name, _ = _read(response.body)
    if response.status == 400:
        return "SessionExpiredException" in (name or "") or _is_unexplained(response)
    return "RunnerScaleSetNotFoundException" not in (name or "")


def _is_unexplained(response: Response) -> bool:
    """Say whether a refusal's body is in none of the service's forms, so that only the status is known (protocol 5.1).

    Those are a JSON object and plain text. A body that is empty, cut off or a web page comes from a fault or from
    something between here and the service.
    """
    plain = response.named_headers().get("content-type", "").strip().lower().startswith("text/plain")
    text = response.body.decode("utf-8", "replace").lstrip("\ufeff")
    return not (_members(text) or (plain and text.strip()))


def passing(error: ServiceError) -> Unavailable:
    """Return the loss of a session as what it is to a caller: nothing was done, and the next session will do."""
    return Unavailable(
        error.message,
        status=error.status,
        type_name=error.type_name,
        activity_id=error.activity_id,
        request_id=error.request_id,
        retry_after=error.retry_after,
    )


def again(error: E) -> E:
    """Return a copy to raise for one of several callers, since raising adds the caller to the traceback."""
    return copy(error).with_traceback(None)


def _read(body: bytes) -> tuple[str | None, str]:
    text = body.decode("utf-8", "replace").lstrip("\ufeff")
    data = _members(text)
    name = data.get("typeName") or data.get("typeKey")
    said = data.get("message")
    return _short(name), said if isinstance(said, str) and said else text


def _members(text: str) -> dict[str, object]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _short(name: object) -> str | None:
    """Return the class name of an assembly-qualified one."""
    if not isinstance(name, str):
        return None
    last = name.partition(",")[0].strip().rpartition(".")[2]
    return last if TYPE_NAME.fullmatch(last) else None


def _by_name(name: str | None) -> type[ServiceError] | None:
    return next((error for part, error in BY_NAME if name and part in name), None)


def _by_status(status: int) -> type[ServiceError]:
    if status in BY_STATUS:
        return BY_STATUS[status]
    return Rejected if 300 <= status < 500 else Unavailable


def _is_limit(status: int, headers: Mapping[str, str], said: str) -> bool:
    """Tell a limit from a lack of permission: 403 can be both (protocol 10.2)."""
    if status == 429:
        return True
    if any(text in said[:4096].lower() for text in LIMIT_TEXTS):
        return status == 403 or status >= 500
    spent = headers.get("x-ratelimit-remaining", "").strip() == "0"
    return status == 403 and ("retry-after" in headers or spent)


def _sentence(kind: Operation, response: Response, said: str, *, limited: bool) -> str:
    status = response.status
    if 300 <= status < 400:
        said = "redirected; has the organisation or repository been renamed? Use its present URL"
    elif 200 <= status < 300:
        said = f"{status} is not the status this operation answers with"
    hint = "" if limited else HINTS.get((kind, status), "")  # a limit is no lack of permission
    return f"{RULES[kind].words} failed: {said or 'no reason given'}{hint}"


HINTS: dict[tuple[Operation, int], str] = {
    (Operation.INSTALLATION_TOKEN, 401): "; check the App's client id, its private key and this machine's clock",
    (Operation.INSTALLATION_TOKEN, 404): "; check the installation id",
    (Operation.REGISTRATION_TOKEN, 401): "; check the token: it is wrong, expired or revoked",
    (Operation.REGISTRATION_TOKEN, 403): "; an organisation needs admin:org, or an App with self-hosted runners:"
    " write; a repository needs repo, or an App with administration: write",
    (Operation.REGISTRATION_TOKEN, 404): "; the organisation or repository does not exist, or the token may not see it",
}


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return how many seconds the service asks us to wait, in GitHub's documented order (protocol 10.1).

    `Retry-After` in seconds or as a date comes first, then `x-ratelimit-reset` if nothing remains. Points in time are
    compared with the answer's own `Date`: this machine's clock may be wrong, and the difference of two times of one
    clock is not. What cannot be read counts as not said; what lies in the past as no wait; what is absurd is cut to a
    day. Of several values the longest counts.

    Args:
        headers: Headers of the answer.
        now: Unix time, for an answer without a date.
    """
    dates = _dates(headers.get("date", ""))
    now = dates[0] if dates else now
    asked = headers.get("retry-after", "")
    waits = [*_numbers(asked), *(date - now for date in _dates(asked))]
    if not waits and "0" in headers.get("x-ratelimit-remaining", "").replace(",", " ").split():
        waits = [reset - now for reset in _numbers(headers.get("x-ratelimit-reset", ""))]
    return min(max(0.0, *waits), LONGEST_WAIT) if waits else None


def answered_at(response: Response) -> float | None:
    """Return when the service says that it answered, in Unix time: this machine's clock may be wrong."""
    return next(iter(_dates(response.named_headers().get("date", ""))), None)


def _numbers(text: str) -> list[float]:
    """Return the numbers among the values of a header: one that was sent several times arrives joined by commas."""
    return [float(value) for value in text.split(",") if NUMBER.fullmatch(value.strip())]


def _dates(text: str) -> list[float]:
    """Return the dates among the values of a header as Unix times."""
    dates = []
    for value in DATE.findall(text) or [text]:
        try:
            date = parsedate_to_datetime(value)
            dates.append((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp())
        except (TypeError, ValueError, IndexError, OverflowError):
            continue
    return dates
