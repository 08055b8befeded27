"""JSON bodies into the values of `types`; what is missing gets a default, what is unknown is ignored (protocol 4.3)."""

import json
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, TypeAlias

from scaleset_client.types import MintedRunner, Runner, RunnerGroup, ScaleSet, Session
from scaleset_hookspecs.types import Label, Statistics

__all__ = [
    "Unreadable",
    "acquired_ids",
    "admin_connection",
    "document",
    "entries",
    "integer",
    "mapping",
    "minted",
    "rest_token",
    "runner",
    "runner_group",
    "runner_groups",
    "runner_of_id",
    "runners",
    "scale_set",
    "scale_set_of_id",
    "scale_sets",
    "session",
    "statistics",
    "text",
    "timestamp",
]

Object: TypeAlias = dict[str, Any]
INT64 = 2**63
BOM = b"\xef\xbb\xbf"


class Unreadable(Exception):
    """A body does not say what it has to; the message says why, never what stands in it."""


def document(body: bytes) -> object:
    """Decode JSON, with or without the byte order mark the service sometimes sends (protocol 5.1)."""
    if not body.strip():
        raise Unreadable("the body is empty")
    try:
        return json.loads(body.decode("utf-8-sig" if body.startswith(BOM) else "utf-8"))
    except (ValueError, RecursionError):
        # The decoder's error holds the whole document, which may be a JIT config: do not chain it.
        raise Unreadable("the body is not JSON, or cut off") from None


def mapping(value: object, what: str = "the body") -> Object:
    """Return a JSON object, or refuse."""
    if not isinstance(value, dict):
        raise Unreadable(f"{what} is not an object")
    return value


def entries(value: object) -> list[Any]:
    """Return the members of a list of the form `{"count":N,"value":[...]}` (protocol 4.1).

    Without a `value`, or with `null` for one, there are none, as for the official client and its port; unless the
    answer says that there are some, or is no list at all.
    """
    data = mapping(value)
    members = data.get("value")
    if members is None and data.keys() <= {"count", "value"}:
        members = []
    if not isinstance(members, list):
        raise Unreadable("the list has no `value`")
    if not members and (integer(data.get("count")) or 0) > 0:
        raise Unreadable("the list is empty, and says that it is not")
    return members


def text(value: object) -> str:
    """Return a text that can be sent back; half a character becomes a question mark, anything else counts as empty."""
    if not isinstance(value, str):
        return ""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def integer(value: object) -> int | None:
    """Return a 64-bit integer, also if it is written as text or with a zero fraction; anything else is not said."""
    if type(value) is int:  # most are
        return value if -INT64 <= value < INT64 else None
    if isinstance(value, bool):
        return None
    if isinstance(value, str | float):
        try:
            number = int(value)
        except (ValueError, OverflowError):
            return None
        if isinstance(value, float) and number != value:
            return None
        value = number
    return value if isinstance(value, int) and -INT64 <= value < INT64 else None


def identifier(value: object, what: str) -> int:
    """Return an id that must be there."""
    number = integer(value)
    if number is None:
        raise Unreadable(f"{what} is missing")
    return number


def timestamp(value: object) -> float | None:
    """Return Unix time of an RFC 3339 time; .NET's unset time, in the year 1, counts as not said (protocol 4.3)."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip().upper())
        if moment.year <= 1:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def statistics(value: object) -> Statistics | None:
    """Return the seven counters, or `None` if they are not there: missing counters are not zeros."""
    if not isinstance(value, dict):
        return None

    def counter(name: str) -> int:
        return max(integer(value.get(name)) or 0, 0)

    return Statistics(
        available_jobs=counter("totalAvailableJobs"),
        acquired_jobs=counter("totalAcquiredJobs"),
        assigned_jobs=counter("totalAssignedJobs"),
        running_jobs=counter("totalRunningJobs"),
        registered_runners=counter("totalRegisteredRunners"),
        busy_runners=counter("totalBusyRunners"),
        idle_runners=counter("totalIdleRunners"),
    )


def scale_set_of_id(value: object, scale_set_id: int) -> ScaleSet | None:
    """Return the scale set that was asked for by its id; `None` if there is none."""
    return None if value is None else scale_set(value, scale_set_id=scale_set_id)


def scale_set(
    value: object, *, scale_set_id: int | None = None, name: str | None = None, runner_group_id: int | None = None
) -> ScaleSet:
    """Return a scale set, if it is the one that was asked for.

    Args:
        value: The body; `RunnerSetting` may begin with either letter (protocol 4.3).
        scale_set_id: Its id, if that is known.
        name: Its name, if that is known.
        runner_group_id: Its group, if that is known; an answer need not name it.
    """
    data = mapping(value, "the scale set")
    if scale_set_id is not None:
        same_id(identifier(data.get("id"), "the scale set's id"), scale_set_id, "the scale set")
    if name:
        same_name(text(data.get("name")), name, "the scale set")
    if runner_group_id is not None:
        same_id(integer(data.get("runnerGroupId")) or runner_group_id, runner_group_id, "the scale set's group")
    setting = data.get("RunnerSetting", data.get("runnerSetting"))
    labels = data.get("labels")
    return ScaleSet(
        id=identifier(data.get("id"), "the scale set's id"),
        name=text(data.get("name")),
        runner_group_id=integer(data.get("runnerGroupId")) or 1,
        runner_group_name=text(data.get("runnerGroupName")),
        labels=tuple(_label(label) for label in labels if isinstance(label, dict)) if isinstance(labels, list) else (),
        disable_update=isinstance(setting, dict) and setting.get("disableUpdate") is True,
        created_at=timestamp(data.get("createdOn")),
        statistics=statistics(data.get("statistics")),
    )


def _label(data: Object) -> Label:
    return Label(name=text(data.get("name")), type=text(data.get("type")) or "System")


def scale_sets(value: object, runner_group_id: int | None = None) -> tuple[ScaleSet, ...]:
    """Return a list of scale sets, of one group if it was asked for."""
    return tuple(scale_set(one, runner_group_id=runner_group_id) for one in entries(value))


def runner_group(value: object) -> RunnerGroup:
    """Return a runner group."""
    data = mapping(value, "the runner group")
    return RunnerGroup(
        id=identifier(data.get("id"), "the runner group's id"),
        name=text(data.get("name")),
        size=integer(data.get("size")),
        is_default=data.get("isDefaultGroup") is True,
    )


def runner_groups(value: object) -> tuple[RunnerGroup, ...]:
    """Return a list of runner groups."""
    return tuple(runner_group(one) for one in entries(value))


def runner_of_id(value: object, runner_id: int) -> Runner:
    """Return the runner that was asked for by its id."""
    found = runner(value)
    same_id(found.id, runner_id, "the runner")
    return found


def runner(value: object) -> Runner:
    """Return a runner; `status` may be something other than text, and `busy` may be missing (protocol 4.3)."""
    data = mapping(value, "the runner")
    busy = data.get("busy")
    return Runner(
        id=identifier(data.get("id"), "the runner's id"),
        name=text(data.get("name")),
        scale_set_id=integer(data.get("runnerScaleSetId")) or None,
        status=text(data.get("status")) or None,
        busy=busy if isinstance(busy, bool) else None,
        created_at=timestamp(data.get("createdOn")),
    )


def runners(value: object) -> tuple[Runner, ...]:
    """Return a list of runners."""
    return tuple(runner(one) for one in entries(value))


def minted(value: object, name: str | None = None, scale_set_id: int | None = None) -> MintedRunner:
    """Return what a mint gave (protocol 8.1), if it is what was asked for.

    Args:
        value: The body.
        name: The runner asked for; the service may change its case.
        scale_set_id: Its scale set; an answer need not name it.
    """
    data = mapping(value)
    encoded = data.get("encodedJITConfig")
    if not isinstance(encoded, str) or not encoded:
        raise Unreadable("the JIT config is missing")
    made = runner(data.get("runner"))
    if name is not None and made.name != name:
        same_name(made.name, name, "the runner")
    if scale_set_id is not None and made.scale_set_id not in {None, scale_set_id}:
        raise Unreadable(f"the runner is of the scale set {made.scale_set_id}, not of {scale_set_id}")
    return MintedRunner(runner=made, encoded_jit_config=encoded)


def same_name(found: str, asked: str, what: str) -> None:
    """Refuse an answer about another one than was asked for, but for its case."""
    if not found:
        raise Unreadable(f"{what}'s name is missing")
    if found.casefold() != asked.casefold():
        raise Unreadable(f"{what} is another one than was asked for")


def same_id(found: int, asked: int, what: str) -> None:
    """Refuse an answer about another one than was asked for."""
    if found != asked:
        raise Unreadable(f"{what} has the id {found}, not {asked}")


def session(value: object, scale_set_id: int, *, session_id: str = "") -> Session:
    """Return a message session (protocol 4.3), if it is the one that was asked for; its queue may not be named.

    Who owns it is not compared: services that others wrote name whom they like, and only people read it.

    Args:
        value: The body.
        scale_set_id: Its scale set; an answer need not name it.
        session_id: Of a refresh, whose answer may replace the session by another one of the same scale set.
    """
    data = mapping(value, "the session")
    scale_set_data = data.get("runnerScaleSet")
    made = Session(
        id=text(data.get("sessionId")),
        owner=text(data.get("ownerName")),
        queue_url=text(data.get("messageQueueUrl")),
        queue_token=text(data.get("messageQueueAccessToken")),
        statistics=statistics(data.get("statistics")),
        scale_set_id=integer(scale_set_data.get("id")) if isinstance(scale_set_data, dict) else None,
    )
    if not made.id:
        raise Unreadable("the session's id is missing")
    if made.scale_set_id is not None:
        same_id(made.scale_set_id, scale_set_id, "the session's scale set")
    elif session_id:
        same_name(made.id, session_id, "the session")
    return made


def acquired_ids(value: object, wanted: Collection[int]) -> tuple[int, ...]:
    """Return the request ids that were really acquired, all of which were asked for (protocol 6.7)."""
    acquired = tuple(number for number in map(integer, entries(value)) if number is not None)
    if not set(acquired) <= set(wanted):
        raise Unreadable("it names jobs that nobody asked for")
    return acquired


def rest_token(value: object) -> tuple[str, float | None]:
    """Return a token of steps 3.1 and 3.2, with the Unix time of its end if that was said."""
    data = mapping(value)
    token = text(data.get("token"))
    if not token:
        raise Unreadable("the token is missing")
    return token, timestamp(data.get("expires_at"))


def admin_connection(value: object) -> tuple[str, str]:
    """Return the Actions service's URL and the admin token (protocol 3.3)."""
    data = mapping(value)
    url, token = text(data.get("url")), text(data.get("token"))
    if not (url and token):
        raise Unreadable("the admin connection's URL or token is missing")
    return url, token
