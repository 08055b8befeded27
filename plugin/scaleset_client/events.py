"""Messages of the queue and the job events inside them (protocol 6.3 and section 7)."""

from typing import Any

from scaleset_client.decoding import (
    Object,
    document,
    entries,
    identifier,
    integer,
    mapping,
    statistics,
    text,
    timestamp,
)
from scaleset_client.types import (
    AnyJobEvent,
    JobAssigned,
    JobAvailable,
    JobCompletedEvent,
    JobStartedEvent,
    Message,
)
from scaleset_hookspecs.types import Statistics

__all__ = ["job_event", "message", "offers"]


def message(value: object, last: Statistics) -> Message:
    """Return an envelope with the events inside it.

    Args:
        value: The decoded envelope.
        last: The last statistics known; they stand in for missing ones, since zeros would mean "no jobs".
    """
    data = mapping(value, "the message")
    return Message(
        id=identifier(data.get("messageId"), "the message's id"),
        statistics=statistics(data.get("statistics")) or last,
        events=_events(data.get("body")),
    )


def _events(body: object) -> tuple[AnyJobEvent, ...]:
    # The body is a text that holds JSON once more; it may be empty.
    if not isinstance(body, str) or not body.strip():
        return ()
    inner = document(body.encode("utf-8", "replace"))
    if not isinstance(inner, list):
        return ()
    decoded = (job_event(one) for one in inner if isinstance(one, dict))
    return tuple(event for event in decoded if event is not None)


def offers(value: object) -> tuple[JobAvailable, ...]:
    """Return the jobs on offer of row 19; they need no `messageType`."""
    known = [job_event({**one, "messageType": "JobAvailable"}) for one in entries(value) if isinstance(one, dict)]
    return tuple(one for one in known if isinstance(one, JobAvailable))


def job_event(data: Object) -> AnyJobEvent | None:
    """Return one event, or `None` if its type is unknown: the service may invent new ones."""
    common: dict[str, Any] = {
        "job_id": text(data.get("jobId")),
        "request_id": integer(data.get("runnerRequestId")) or 0,
        "owner": text(data.get("ownerName")),
        "repository": text(data.get("repositoryName")),
        "workflow_ref": text(data.get("jobWorkflowRef")),
        "display_name": text(data.get("jobDisplayName")),
        "workflow_run_id": integer(data.get("workflowRunId")) or 0,
        "event_name": text(data.get("eventName")),
        "labels": _labels(data.get("requestLabels")),
        "queued_at": timestamp(data.get("queueTime")),
        "scale_set_assigned_at": timestamp(data.get("scaleSetAssignTime")),
        "runner_assigned_at": timestamp(data.get("runnerAssignTime")),
        "finished_at": timestamp(data.get("finishTime")),
    }
    runner: dict[str, Any] = {
        "runner_id": integer(data.get("runnerId")) or 0,
        "runner_name": text(data.get("runnerName")),
    }
    match data.get("messageType"):
        case "JobAvailable":
            return JobAvailable(**common)
        case "JobAssigned":
            return JobAssigned(**common)
        case "JobStarted":
            return JobStartedEvent(**common, **runner)
        case "JobCompleted":
            return JobCompletedEvent(**common, **runner, result=text(data.get("result")))
        case _:
            return None


def _labels(value: object) -> tuple[str, ...]:
    return tuple(label for label in value if isinstance(label, str)) if isinstance(value, list) else ()
