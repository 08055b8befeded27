"""Turns what is remembered, or what went wrong, into answers that say how certain they are."""

from dataclasses import replace
from typing import TypeVar

from scaleset_burst.github.failures import again
from scaleset_burst.github.types import Runner, ScaleSet
from scaleset_burst.metadata.entries import Entry
from scaleset_burst.metadata.resting import Rest
from scaleset_hookspecs import (
    Answer,
    Certainty,
    NotFound,
    Rejected,
    RunnerInfo,
    ScaleSetSettings,
    ServiceError,
    Statistics,
    Unavailable,
)

__all__ = [
    "absent",
    "just_said",
    "raise_rest",
    "reason_of",
    "reason_of_rest",
    "remembered",
    "runner_info",
    "scale_set_settings",
    "unknown",
    "unproven",
    "waiting",
    "with_statistics",
]

T = TypeVar("T")

_SERVICE = "service"
_CACHE = "cache"


def remembered(value: T, entry: Entry[T], now: float, *, fresh: bool, reason: str | None = None) -> Answer[T]:
    """Answer with a value.

    Args:
        value: It.
        entry: Where its times and its source are.
        now: The time of the answer.
        fresh: Whether it is within its lifetime.
        reason: Why it is stale.
    """
    source = _CACHE if entry.source == _SERVICE else entry.source
    return Answer(
        certainty=Certainty.FRESH if fresh else Certainty.STALE,
        value=value,
        age=max(0.0, now - entry.said_at),
        source=source,
        reason=reason,
    )


def just_said(value: T, asked_at: float, lifetime: float, now: float) -> Answer[T]:
    """Answer with what the service was asked for, and said, for this very answer.

    It is fresh, unless the service took longer to say it than it may be called so. With a lifetime of 0 nothing is
    ever answered from memory, and what was just said is as fresh as it gets.
    """
    age = max(0.0, now - asked_at)
    late = age > lifetime > 0
    return Answer(
        certainty=Certainty.STALE if late else Certainty.FRESH,
        value=value,
        age=age,
        source=_SERVICE,
        reason=f"the service took {age:.3g} s to answer, longer than the lifetime of {lifetime:g} s" if late else None,
    )


def unknown(reason: str) -> Answer[T]:
    """Answer that nobody knows."""
    return Answer(certainty=Certainty.UNKNOWN, source=_CACHE, reason=reason)


def absent(reason: str, *, age: float, source: str = _SERVICE) -> Answer[T]:
    """Answer that it does not exist, on somebody's word."""
    return Answer(certainty=Certainty.ABSENT, age=max(0.0, age), source=source, reason=reason)


def reason_of(error: ServiceError, rest: Rest, now: float) -> str:
    """Say what went wrong, and when the service is asked again."""
    wait = rest.until - now
    again_in = f"; it is asked again in {wait:.3g} s at the earliest" if wait > 0 else ""
    return f"the service could not be asked: {error}{again_in}"


def reason_of_rest(rest: Rest, now: float) -> str:
    """Say the same for a question that came while the service is left alone."""
    if rest.error is None:
        return "the service has not been asked"
    return reason_of(rest.error, rest, now)


def raise_rest(rest: Rest, now: float, *, rejected_only: bool) -> None:
    """Raise what went wrong last, for callers that need a value now.

    Args:
        rest: The state of the key.
        now: The time of the question.
        rejected_only: Let pass what may be over soon.

    Raises:
        Rejected: The service refused for good, and is not asked again yet.
        Unavailable: It failed; `retry_after` says when it is asked again.
    """
    if isinstance(rest.error, Rejected):
        raise again(rest.error) from rest.error
    if rest.error is not None and not rejected_only:
        raise waiting(rest.error, rest.until - now) from rest.error


def waiting(error: ServiceError, seconds: float) -> Unavailable:
    """Return the same failure, to be raised in place of a request that is not made yet."""
    kind = type(error) if isinstance(error, Unavailable) else Unavailable
    return kind(
        f"{error.message}; not asked again yet",
        status=error.status,
        type_name=error.type_name,
        activity_id=error.activity_id,
        request_id=error.request_id,
        retry_after=max(0.0, seconds),
    )


def unproven(error: NotFound) -> Unavailable:
    """Return what a 404 is that does not name what is missing: a look that failed."""
    return Unavailable(
        f"{error.message}; that proves nothing gone",
        status=error.status,
        type_name=error.type_name,
        activity_id=error.activity_id,
        request_id=error.request_id,
        retry_after=error.retry_after,
    )


def scale_set_settings(scale_set: ScaleSet) -> ScaleSetSettings:
    """Return the settings without statistics: these have a lifetime of their own."""
    return ScaleSetSettings(
        id=scale_set.id,
        name=scale_set.name,
        runner_group_id=scale_set.runner_group_id,
        runner_group_name=scale_set.runner_group_name,
        labels=scale_set.labels,
        disable_update=scale_set.disable_update,
        created_at=scale_set.created_at,
    )


def runner_info(runner: Runner) -> RunnerInfo:
    """Return the runner as it crosses a hook; what the service did not say stays unsaid."""
    return RunnerInfo(
        id=runner.id,
        name=runner.name,
        scale_set_id=runner.scale_set_id,
        status=runner.status,
        busy=runner.busy,
    )


def with_statistics(settings: ScaleSetSettings, statistics: Statistics | None) -> ScaleSetSettings:
    """Return the settings with the counters of the moment."""
    return settings if statistics is None else replace(settings, statistics=statistics)
