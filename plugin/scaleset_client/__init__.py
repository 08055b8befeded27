"""The client of GitHub's runner scale set service, complete and usable alone.

In flows a config URL, credentials and one call at a time (`ScaleSetClient`), or a session whose messages are polled
(`MessageSession`), by a loop that outlives whatever is refused (`Listener`). Out flow plain values and nine kinds of
error, each named for what the caller can do about it.
The way of a request: `client` chooses the row of `requests`, `caller` adds the token that `auth` keeps fresh, `adapter`
bounds what is in flight, `transport` holds the connections, and `decoding` believes nothing of the answer unchecked.
"""

from scaleset_client.client import ScaleSetClient
from scaleset_client.failures import SliceRefused, is_job_still_running, is_name_taken
from scaleset_client.listener import Failing, Listener
from scaleset_client.observing import Counters, RequestRecord
from scaleset_client.opening import SessionEvent, SessionEventKind, SessionOptions
from scaleset_client.options import AppCredentials, ConnectionOptions, Credentials, TokenCredentials, UserAgent
from scaleset_client.retrying import Backoff
from scaleset_client.session import MessageSession
from scaleset_client.types import (
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
from scaleset_hookspecs.errors import (
    AuthenticationFailed,
    Conflict,
    HostError,
    NotFound,
    PermissionDenied,
    RateLimited,
    Rejected,
    ScalesetError,
    ServiceError,
    Unavailable,
    UsageError,
)
from scaleset_hookspecs.types import Label, Statistics

__all__ = [
    "AnyJobEvent",
    "AppCredentials",
    "AuthenticationFailed",
    "Backoff",
    "Conflict",
    "ConnectionOptions",
    "Counters",
    "Credentials",
    "Failing",
    "HostError",
    "JobAssigned",
    "JobAvailable",
    "JobCompletedEvent",
    "JobEvent",
    "JobStartedEvent",
    "Label",
    "Listener",
    "Message",
    "MessageSession",
    "MintRequest",
    "MintedRunner",
    "NotFound",
    "PermissionDenied",
    "RateLimited",
    "Rejected",
    "RequestRecord",
    "Runner",
    "RunnerGroup",
    "ScaleSet",
    "ScaleSetClient",
    "ScalesetError",
    "ServiceError",
    "Session",
    "SessionEvent",
    "SessionEventKind",
    "SessionOptions",
    "SliceRefused",
    "Statistics",
    "TokenCredentials",
    "Unavailable",
    "UsageError",
    "UserAgent",
    "is_job_still_running",
    "is_name_taken",
]
