"""Requests as values: one function for every row of protocol 4.2, and for the token chain of section 3."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from scaleset_client.operations import Operation
from scaleset_client.types import MintRequest
from scaleset_client.urls import ConfigUrl
from scaleset_hookspecs.errors import UsageError
from scaleset_hookspecs.types import Label

__all__ = [
    "Request",
    "acquirable_jobs",
    "acquire_jobs",
    "admin_connection",
    "close_session",
    "create_scale_set",
    "delete_scale_set",
    "find_runner",
    "find_runner_group",
    "find_scale_set",
    "get_runner",
    "get_scale_set",
    "installation_token",
    "list_runners",
    "list_scale_sets",
    "mint",
    "mint_slice",
    "open_session",
    "refresh_session",
    "registration_token",
    "remove_runner",
    "update_scale_set",
    "whole",
]

SCALE_SETS = "_apis/runtime/runnerscalesets"
RUNNERS = "_apis/distributedtask/pools/0/agents"
API_VERSION = ("api-version", "6.0-preview")


@dataclass(frozen=True, slots=True)
class Request:
    """A request without its host and its credentials.

    Attributes:
        kind: Which operation it is.
        method: HTTP method.
        path: Path below the base of whoever answers.
        query: Parameters, not yet quoted.
        body: JSON, or nothing.
        content_type: Sent on every request, with a body or without (protocol 4.1).
    """

    kind: Operation
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = (API_VERSION,)
    body: bytes = field(default=b"", repr=False)
    content_type: str = "application/json"


_NAME, _FOLDER = "the runner's name", "the work folder"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def whole(text: str, what: str) -> str:
    """Return a text that can be sent.

    Raises:
        UsageError: It holds half a character (a lone surrogate), which no address and no body can.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{what} holds half a character, which cannot be sent") from None
    return text


def installation_token(installation_id: int) -> Request:
    """Protocol 3.1."""
    path = f"app/installations/{installation_id}/access_tokens"
    return Request(Operation.INSTALLATION_TOKEN, "POST", path, (), content_type="application/vnd.github+json")


def registration_token(config: ConfigUrl) -> Request:
    """Protocol 3.2."""
    path = f"{config.kind}/{quote(config.target, safe='/%')}/actions/runners/registration-token"
    return Request(Operation.REGISTRATION_TOKEN, "POST", path, (), content_type="application/vnd.github.v3+json")


def admin_connection(config: ConfigUrl) -> Request:
    """Protocol 3.3."""
    body = _json({"url": config.text, "runner_event": "register"})
    return Request(Operation.ADMIN_CONNECTION, "POST", "actions/runner-registration", (), body)


def find_scale_set(name: str, runner_group_id: int) -> Request:
    """Row 1."""
    query = (("runnerGroupId", str(runner_group_id)), ("name", whole(name, "the scale set's name")), API_VERSION)
    return Request(Operation.FIND_SCALE_SET, "GET", SCALE_SETS, query)


def list_scale_sets(runner_group_id: int | None) -> Request:
    """Row 2."""
    extra = () if runner_group_id is None else (("runnerGroupId", str(runner_group_id)),)
    return Request(Operation.LIST_SCALE_SETS, "GET", SCALE_SETS, (*extra, API_VERSION))


def get_scale_set(scale_set_id: int) -> Request:
    """Row 3."""
    return Request(Operation.GET_SCALE_SET, "GET", f"{SCALE_SETS}/{scale_set_id}")


def create_scale_set(
    name: str, runner_group_id: int | None, labels: Iterable[Label | str], *, disable_update: bool
) -> Request:
    """Row 4; without labels the set gets one with its own name, as every client does (protocol 4.3).

    Raises:
        UsageError: There is neither a name nor a label, or a label is neither text nor a `Label`.
    """
    wanted = _labels(labels)
    if not (name or wanted):
        raise UsageError("a scale set needs a name or at least one label")
    body = {
        "name": whole(name, "the scale set's name"),
        **({} if runner_group_id is None else {"runnerGroupId": runner_group_id}),
        "labels": wanted or _labels((Label(name=name),)),
        "RunnerSetting": {"disableUpdate": disable_update},
    }
    return Request(Operation.CREATE_SCALE_SET, "POST", SCALE_SETS, body=_json(body))


def update_scale_set(
    scale_set_id: int,
    *,
    name: str | None,
    runner_group_id: int | None,
    labels: Iterable[Label | str] | None,
    disable_update: bool | None,
) -> Request:
    """Row 5; only what is given is sent."""
    given = {
        "name": None if name is None else whole(name, "the scale set's name"),
        "runnerGroupId": runner_group_id,
        "labels": None if labels is None else _labels(labels),
        "RunnerSetting": None if disable_update is None else {"disableUpdate": disable_update},
    }
    body = {key: value for key, value in given.items() if value is not None}
    return Request(Operation.UPDATE_SCALE_SET, "PATCH", f"{SCALE_SETS}/{scale_set_id}", body=_json(body))


def _labels(labels: Iterable[Label | str]) -> list[dict[str, str]]:
    if isinstance(labels, str):
        raise UsageError(f"labels are the text {labels!r}; expected several: labels=({labels!r},)")
    return [_label(label) for label in labels]


def _label(label: object) -> dict[str, str]:
    label = Label(name=label) if isinstance(label, str) else label
    if not isinstance(label, Label) or not label.name:
        raise UsageError(f"a label is {label!r}; expected a text such as 'linux', or Label(name='linux')")
    return {"type": label.type or "System", "name": whole(label.name, "a label")}


def delete_scale_set(scale_set_id: int) -> Request:
    """Row 6."""
    return Request(Operation.DELETE_SCALE_SET, "DELETE", f"{SCALE_SETS}/{scale_set_id}")


def find_runner_group(name: str) -> Request:
    """Row 7; the slash at the end belongs to the path."""
    query = (("groupName", whole(name, "the runner group's name")), API_VERSION)
    return Request(Operation.FIND_RUNNER_GROUP, "GET", "_apis/runtime/runnergroups/", query)


def mint_path(scale_set_id: int) -> str:
    """Return the path of row 8."""
    return f"{SCALE_SETS}/{scale_set_id}/generatejitconfig"


def mint_body(name: str, work_folder: str) -> bytes:
    """Return the body of row 8, put together: an encoder made for each mint would cost more than all the rest of it."""
    name, work_folder = json.dumps(whole(name, _NAME)), json.dumps(whole(work_folder, _FOLDER))
    return f'{{"name":{name},"workFolder":{work_folder}}}'.encode()


def mint(scale_set_id: int, name: str, work_folder: str = "") -> Request:
    """Row 8."""
    return Request(Operation.MINT, "POST", mint_path(scale_set_id), body=mint_body(name, work_folder))


def mint_slice(scale_set_id: int, wanted: Sequence[MintRequest]) -> Request:
    """Row 8 with several settings in one array, where the service takes that."""
    body = _json([{"name": whole(one.name, _NAME), "workFolder": whole(one.work_folder, _FOLDER)} for one in wanted])
    return Request(Operation.MINT_SLICE, "POST", mint_path(scale_set_id), body=body)


def get_runner(runner_id: int) -> Request:
    """Row 9."""
    return Request(Operation.GET_RUNNER, "GET", f"{RUNNERS}/{runner_id}")


def find_runner(name: str) -> Request:
    """Row 10."""
    return Request(
        Operation.FIND_RUNNER, "GET", RUNNERS, (("agentName", whole(name, "the runner's name")), API_VERSION)
    )


def list_runners() -> Request:
    """Row 11."""
    return Request(Operation.LIST_RUNNERS, "GET", RUNNERS)


def remove_runner(runner_id: int) -> Request:
    """Row 12."""
    return Request(Operation.REMOVE_RUNNER, "DELETE", f"{RUNNERS}/{runner_id}")


def open_session(scale_set_id: int, owner: str) -> Request:
    """Row 13."""
    body = _json({"ownerName": whole(owner, "the session's owner")})
    return Request(Operation.OPEN_SESSION, "POST", f"{SCALE_SETS}/{scale_set_id}/sessions", body=body)


def refresh_session(scale_set_id: int, session_id: str) -> Request:
    """Row 14; it has no body."""
    return Request(Operation.REFRESH_SESSION, "PATCH", _session_path(scale_set_id, session_id))


def close_session(scale_set_id: int, session_id: str) -> Request:
    """Row 15."""
    return Request(Operation.CLOSE_SESSION, "DELETE", _session_path(scale_set_id, session_id))


def _session_path(scale_set_id: int, session_id: str) -> str:
    return f"{SCALE_SETS}/{scale_set_id}/sessions/{quote(session_id, safe='')}"


def acquire_jobs(scale_set_id: int, request_ids: Iterable[int]) -> Request:
    """Row 18; it carries the queue token but goes to the Actions service (protocol 4.2)."""
    return Request(
        Operation.ACQUIRE_JOBS, "POST", f"{SCALE_SETS}/{scale_set_id}/acquirejobs", body=_json(list(request_ids))
    )


def acquirable_jobs(scale_set_id: int) -> Request:
    """Row 19."""
    return Request(Operation.ACQUIRABLE_JOBS, "GET", f"{SCALE_SETS}/{scale_set_id}/acquirablejobs")
