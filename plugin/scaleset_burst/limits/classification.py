"""What a failed mint means (protocol 8.4, last table; 5.3 and 5.4): one pure function over the error."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

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

__all__ = ["ClassifiedFailure", "FailureClass", "classify"]


_TOO_MUCH = frozenset((429, 503))
"""Statuses by which a service says that it has too much to do."""


class FailureClass(StrEnum):
    """What became of the name, and what its slot needs next."""

    NOT_COMMITTED = "not_committed"
    """Nothing was registered: the same name may be tried again."""
    AMBIGUOUS = "ambiguous"
    """Perhaps registered: never retry the name; draw a new one, resolve the old one."""
    NAME_TAKEN = "name_taken"
    """Registered, by our own lost response as a rule: resolved like an ambiguous one."""
    THROTTLED = "throttled"
    """Nothing was registered, and nothing more may be sent for a while."""
    ITEM_REJECTED = "item_rejected"
    """This one is refused."""
    BATCH_REJECTED = "batch_rejected"
    """Every other one of the scale set would be refused as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifiedFailure:
    """The failure class of one name.

    Attributes:
        overload: A sign that something is wrong with the service or the way to it: the circuit counts it.
        refusal: The service said that it has too much to do: the limiter lowers what is in flight.
        told_to_wait: The service said that nothing more may be sent for a while.
        retry_after: Seconds to wait before the next request, if the service said so.
        named: A refusal whose reason the service itself names. Any other may be that of a router, a gateway or a proxy
            on the way: it is that mint's failure alone, and counts for more only when it is repeated.
    """

    failure_class: FailureClass
    overload: bool = False
    refusal: bool = False
    told_to_wait: bool = False
    retry_after: float | None = None
    named: bool = False

    @property
    def unresolved(self) -> bool:
        """Whether the name may be registered: it is looked for, and holds its place within the limit until then."""
        return self.failure_class in {FailureClass.AMBIGUOUS, FailureClass.NAME_TAKEN}


def classify(error: ServiceError) -> ClassifiedFailure:
    """Decide what a failed mint means. The service's own exception name comes first, then the kind of error."""
    classified = _failure_class(error)
    if not classified.overload:
        return classified
    told = isinstance(error, RateLimited) or error.retry_after is not None
    return replace(classified, refusal=isinstance(error, RateLimited) or error.status in _TOO_MUCH, told_to_wait=told)


def _failure_class(error: ServiceError) -> ClassifiedFailure:
    name = error.type_name or ""
    if "AgentExists" in name:
        return ClassifiedFailure(failure_class=FailureClass.NAME_TAKEN)
    if error.maybe_applied:
        return ClassifiedFailure(failure_class=FailureClass.AMBIGUOUS, overload=True, retry_after=error.retry_after)
    if isinstance(error, RateLimited):
        return ClassifiedFailure(failure_class=FailureClass.THROTTLED, overload=True, retry_after=error.retry_after)
    if isinstance(error, Unavailable):
        return ClassifiedFailure(failure_class=FailureClass.NOT_COMMITTED, overload=True, retry_after=error.retry_after)
    if isinstance(error, Conflict):
        return ClassifiedFailure(failure_class=FailureClass.NAME_TAKEN)
    if "max limit" in error.message.lower():
        return ClassifiedFailure(failure_class=FailureClass.BATCH_REJECTED, named=True)
    if isinstance(error, AuthenticationFailed | PermissionDenied | NotFound):
        return ClassifiedFailure(
            failure_class=FailureClass.BATCH_REJECTED, named="RunnerScaleSetNotFoundException" in name
        )
    if isinstance(error, Rejected):
        return ClassifiedFailure(failure_class=FailureClass.ITEM_REJECTED, named=bool(name))
    return ClassifiedFailure(failure_class=FailureClass.AMBIGUOUS, overload=True)
