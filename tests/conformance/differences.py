"""What our client does otherwise than the official one, and how that shows; the reasons are in the documentation.

Each row is the id of a row in `docs/reference/differences.md` and says which findings it allows, as narrowly as it can.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from tests.conformance.comparing import Finding
from tests.conformance.scenarios_sessions import SESSION

__all__ = ["DIFFERENCES"]

Allows = Callable[[Finding], bool]

ZERO_TIME = "0001-01-01T00:00:00Z"
ZERO_ID = "00000000-0000-0000-0000-000000000000"
REMOVALS = ("delete_scale_set", "remove_runner", "acknowledge", "close_session")


def classes(official: str, ours: str, *steps: str) -> Allows:
    """Allow one class to become another, in these steps only; `*` is any class."""

    def allows(one: Finding) -> bool:
        return (
            one.aspect == "class" and one.where in steps and official in (one.official, "*") and ours in (one.ours, "*")
        )

    return allows


def attempts(end: str, *, more: bool) -> Allows:
    """Allow ours to send requests whose line ends so more often, or less often, than the official client."""

    def allows(one: Finding) -> bool:
        return one.aspect == "attempts" and one.where.endswith(end) and (one.ours > one.official) is more

    return allows


def requests(holds: Callable[[Sequence[str], Sequence[str]], bool]) -> Allows:
    """Allow conversations of which this holds."""
    return lambda one: one.aspect == "requests" and holds(one.official, one.ours)


def either(*rows: Allows) -> Allows:
    """Allow what any of these allows."""
    return lambda one: any(row(one) for row in rows)


def left_out(*ends: str) -> Allows:
    """Allow ours to send the same requests but for some whose lines end so."""

    def holds(official: Sequence[str], ours: Sequence[str]) -> bool:
        missing, more = Counter(official) - Counter(ours), Counter(ours) - Counter(official)
        return not more and all(line.endswith(ends) for line in missing)

    return requests(holds)


def added(*ends: str) -> Allows:
    """Allow ours to send the same requests first, and then only some whose lines end so."""

    def holds(official: Sequence[str], ours: Sequence[str]) -> bool:
        rest = ours[len(official) :]
        return list(ours[: len(official)]) == list(official) and all(line.endswith(ends) for line in rest)

    return requests(holds)


def unset(one: Finding) -> bool:
    """Allow members with a zero value to be missing in ours, and a `disableUpdate` that is false to be said."""
    if one.aspect != "body" or not isinstance(one.official, dict) or not isinstance(one.ours, dict):
        return False
    return _said(one.official) == _said(one.ours)


def _said(body: dict[str, Any]) -> dict[str, Any]:
    zeros: dict[str, list[Any]] = {
        "RunnerSetting": [{}, {"disableUpdate": False}],
        "createdOn": [ZERO_TIME],
        "sessionId": [ZERO_ID],
    }
    return {name: value for name, value in body.items() if value not in zeros.get(name, [])}


def one_more_claim(one: Finding) -> bool:
    """Allow a `jti` in ours, everything else being equal."""
    return one.aspect == "jwt" and {**one.official, "names": sorted([*one.official["names"], "jti"])} == one.ours


def quoted(one: Finding) -> bool:
    """Allow the names looked for to differ."""
    names = {"name", "agentName", "groupName"}
    return one.aspect == "query" and bool(names & set(dict(one.ours))) and one.where.startswith("GET ")


def beside(one: Finding) -> bool:
    """Allow calls at once to fail at once with the old token and to be repeated, with one refresh for all."""
    if one.aspect == "authorization":
        return one.where.startswith("DELETE /queue/")
    if one.aspect != "requests":
        return False
    refreshes = [sum(line.startswith("PATCH ") for line in lines) for lines in (one.official, one.ours)]
    return refreshes == [1, 1] and set(one.official) == set(one.ours)


REGISTRATION: Final = "/registration-token"
ADMIN: Final = "/runner-registration"
RUNNER: Final = "GET /tenant/x/_apis/distributedtask/pools/0/agents/7"
SESSIONS: Final = "/42/sessions"

DIFFERENCES: Final[dict[str, Allows]] = {
    "unset-left-out": unset,
    "names-quoted": quoted,
    "default-group-known": left_out(REGISTRATION, ADMIN, "/runnergroups/"),
    "null-is-not-found": classes("none", "not_found", "get_scale_set_by_id"),
    "jwt-id": one_more_claim,
    "tokens-reused": left_out(REGISTRATION, "/access_tokens"),
    "renewal-ahead": either(left_out(REGISTRATION, ADMIN, RUNNER), attempts(RUNNER, more=True)),
    "refused-token-replaced": either(added(ADMIN, RUNNER), classes("unauthorised", "ok", "get_runner")),
    "refusal-schedule": either(attempts(ADMIN, more=True), attempts(ADMIN, more=False)),
    "not-understood-repeated": either(
        attempts(ADMIN, more=True),
        attempts(REGISTRATION, more=True),
        attempts("/42", more=True),
        attempts("/agents/7", more=True),
        classes("unavailable", "ok", "get_runner"),
    ),
    "another-refused": either(attempts(RUNNER, more=True), classes("ok", "unavailable", "get_runner")),
    "timeout-repeated": either(attempts(RUNNER, more=True), classes("bad_request", "ok", "get_runner")),
    "limit-by-403": either(attempts(RUNNER, more=True), classes("forbidden", "ok", "get_runner")),
    "last-answer-kept": classes("unavailable", "rate_limited", "get_runner"),
    "gone-by-410": classes("bad_request", "not_found", "get_runner"),
    "gone-is-done": either(classes("not_found", "none", *REMOVALS), classes("bad_request", "none", "close_session")),
    "mint-once": either(
        attempts("/generatejitconfig", more=False),
        classes("ok", "unavailable", "mint"),
        classes("ok", "rate_limited", "mint"),
    ),
    "change-once": either(
        attempts("/runnerscalesets", more=False),
        attempts(SESSIONS, more=False),
        attempts("/acquirejobs", more=False),
        classes("ok", "unavailable", "create_scale_set", "open_session", "acquire"),
    ),
    "conflict-by-name": classes("bad_request", "conflict", "create_scale_set"),
    "conflict-waited-out": either(attempts(SESSIONS, more=True), classes("conflict", "ok", "open_session")),
    "lost-session-replaced": either(
        added(f"{SESSIONS}/{SESSION}", SESSIONS, "/queue/message"),
        classes("not_found", "none", "poll"),
    ),
    "doubt-settled": either(
        added(f"{SESSIONS}/{SESSION}", SESSIONS, "/queue/message", "/queue/message/11", "/acquirejobs"),
        classes("bad_request", "none", "poll"),
        classes("unauthorised", "none", "poll"),
        classes("not_found", "none", "poll"),
    ),
    "poll-once": either(attempts("GET /queue/message", more=False), classes("none", "unavailable", "poll")),
    "message-unknown": classes("unavailable", "ok", "poll"),
    "side-by-side": beside,
    "nothing-to-acquire": left_out("/acquirejobs"),
    "assigning-service": classes("not_found", "unavailable", "acquire"),
}
