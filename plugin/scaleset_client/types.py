"""The service's objects as values (protocol 4.3, 7 and 8); times are Unix seconds."""

from dataclasses import dataclass, field
from typing import TypeAlias

from scaleset_hookspecs.types import Label, Statistics

__all__ = [
    "JobAssigned",
    "JobAvailable",
    "JobCompletedEvent",
    "JobEvent",
    "JobStartedEvent",
    "Message",
    "MintRequest",
    "MintedRunner",
    "Runner",
    "RunnerGroup",
    "ScaleSet",
    "Session",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerGroup:
    """A runner group."""

    id: int
    name: str
    size: int | None = None
    is_default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleSet:
    """A runner scale set."""

    id: int
    name: str
    runner_group_id: int = 1
    runner_group_name: str = ""
    labels: tuple[Label, ...] = ()
    disable_update: bool = False
    created_at: float | None = None
    statistics: Statistics | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """A registered runner; `None` where the service did not say."""

    id: int
    name: str
    scale_set_id: int | None = None
    status: str | None = None
    busy: bool | None = None
    created_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MintRequest:
    """What one mint asks for (protocol 8.1)."""

    name: str
    work_folder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MintedRunner:
    """What one mint gave: the registration and its secret JIT config (protocol 8.1)."""

    runner: Runner
    encoded_jit_config: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A message session (protocol 4.3); the queue token is a secret."""

    id: str
    owner: str
    queue_url: str
    queue_token: str = field(repr=False)
    statistics: Statistics | None = None
    scale_set_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """What every job event carries (protocol section 7); anything may be missing."""

    job_id: str = ""
    request_id: int = 0
    owner: str = ""
    repository: str = ""
    workflow_ref: str = ""
    display_name: str = ""
    workflow_run_id: int = 0
    event_name: str = ""
    labels: tuple[str, ...] = ()
    queued_at: float | None = None
    scale_set_assigned_at: float | None = None
    runner_assigned_at: float | None = None
    finished_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAvailable(JobEvent):
    """An offer: acquire it (protocol 6.7)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAssigned(JobEvent):
    """The job belongs to this scale set and waits for a runner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStartedEvent(JobEvent):
    """A runner took the job."""

    runner_id: int = 0
    runner_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCompletedEvent(JobEvent):
    """The job is over."""

    result: str = ""
    runner_id: int = 0
    runner_name: str = ""


AnyJobEvent: TypeAlias = JobAvailable | JobAssigned | JobStartedEvent | JobCompletedEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One envelope of the message queue (protocol 6.3). A listener with nothing new to say gives one with the id 0."""

    id: int
    statistics: Statistics
    events: tuple[AnyJobEvent, ...] = ()
