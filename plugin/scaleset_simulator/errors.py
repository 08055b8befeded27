"""The service's refusals, with the names it gives them (protocol 5.3)."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Refusal", "absent_group", "absent_runner", "absent_scale_set", "bad_token", "job_running", "taken"]

_RUNTIME = "GitHub.Actions.Runtime.WebApi"
_TEXT = {"content-type": "text/plain"}
_TASKS = "GitHub.DistributedTask.WebApi"


@dataclass(slots=True)
class Refusal(Exception):
    """An answer that is no success."""

    status: int
    type_name: str | None
    message: str
    headers: dict[str, str] = field(default_factory=dict)


def _named(status: int, namespace: str, name: str, message: str) -> Refusal:
    return Refusal(status, f"{namespace}.{name}, {namespace}", message)


def taken(name: str) -> Refusal:
    """A runner of that name is registered."""
    return _named(409, _TASKS, "TaskAgentExistsException", f"Runner {name} already exists.")


def absent_runner(what: object) -> Refusal:
    """No such runner."""
    return _named(404, _TASKS, "TaskAgentNotFoundException", f"No runner found: {what}.")


def job_running(name: str, status: int) -> Refusal:
    """The runner has a job."""
    return _named(status, _TASKS, "TaskAgentJobStillRunningException", f"Runner {name} is still running a job.")


def absent_scale_set(scale_set_id: int) -> Refusal:
    """No such scale set."""
    return _named(
        404, _RUNTIME, "RunnerScaleSetNotFoundException", f"No runner scale set found with identifier {scale_set_id}."
    )


def absent_group(group_id: int) -> Refusal:
    """No such runner group: 404, as where a runner is minted without a scale set (protocol 8.6)."""
    return Refusal(404, None, f"No runner group found with identifier {group_id}.")


def scale_set_exists(name: str) -> Refusal:
    """The name is used in that group."""
    return _named(400, _RUNTIME, "RunnerScaleSetExistsException", f"Runner scale set {name} already exists.")


def session_conflict(name: str, owner: str) -> Refusal:
    """Another session is open."""
    return _named(
        409,
        _RUNTIME,
        "RunnerScaleSetSessionConflictException",
        f"The runner scale set {name} already has an active session for owner {owner}.",
    )


def session_expired() -> Refusal:
    """The session id is no longer valid."""
    return _named(400, _RUNTIME, "RunnerScaleSetSessionExpiredException", "The session has expired.")


def session_lost() -> Refusal:
    """The server lost the session."""
    return _named(404, _RUNTIME, "RunnerAdminException", "Session id was not found in redis.")


def closed_session(status: int) -> Refusal:
    """A queue call whose session is gone: its token, which says which session it is, is good for nothing any more."""
    if status == 401:
        return bad_token("The session of this token is gone.")
    if status == 400:
        return session_expired()
    return Refusal(404, None, "Session not found.") if status == 404 else Refusal(status, None, "gone", dict(_TEXT))


def no_such_page() -> Refusal:
    """What a router says to an address that leads nowhere."""
    return Refusal(404, None, "page not found", dict(_TEXT))


def bad_token(message: str = "The token is expired or invalid.") -> Refusal:
    """Wrong or expired admin token."""
    return _named(401, _RUNTIME, "InvalidTokenException", message)


def bad_request(message: str) -> Refusal:
    """The request makes no sense."""
    return _named(400, "Microsoft.VisualStudio.Services.Common", "VssPropertyValidationException", message)
