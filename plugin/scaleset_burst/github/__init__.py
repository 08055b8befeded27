"""The client of the runner scale set service: usable alone, without the plugin."""

from scaleset_burst.github.client import ScaleSetClient
from scaleset_burst.github.credentials import AppCredentials, Credentials, TokenCredentials
from scaleset_burst.github.failures import SliceRefused, is_job_still_running, is_name_taken
from scaleset_burst.github.observing import Counters, RequestRecord
from scaleset_burst.github.options import ConnectionOptions
from scaleset_burst.github.retrying import Backoff
from scaleset_burst.github.session import MessageSession
from scaleset_burst.github.sessionevents import SessionEvent, SessionEventKind, SessionOptions
from scaleset_burst.github.types import (
    AnyJobEvent,
    JobAssigned,
    JobAvailable,
    JobCompletedEvent,
    JobEvent,
    JobStartedEvent,
    Message,
    MintedRunner,
    MintRequest,
    Runner,
    RunnerGroup,
    ScaleSet,
    Session,
)
from scaleset_burst.github.user_agent import UserAgent

__all__ = [
    "AnyJobEvent",
    "AppCredentials",
    "Backoff",
    "ConnectionOptions",
    "Counters",
    "Credentials",
    "JobAssigned",
    "JobAvailable",
    "JobCompletedEvent",
    "JobEvent",
    "JobStartedEvent",
    "Message",
    "MessageSession",
    "MintRequest",
    "MintedRunner",
    "RequestRecord",
    "Runner",
    "RunnerGroup",
    "ScaleSet",
    "ScaleSetClient",
    "Session",
    "SessionEvent",
    "SessionEventKind",
    "SessionOptions",
    "SliceRefused",
    "TokenCredentials",
    "UserAgent",
    "is_job_still_running",
    "is_name_taken",
]
