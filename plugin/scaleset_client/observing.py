"""What the client counts and reports about its requests, as values; and where the time of one of them went."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass

from scaleset_client.operations import Operation

__all__ = ["TRACE", "Counters", "RequestRecord", "Trace"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One request that was sent, or that could not be.

    Attributes:
        kind: The operation.
        status: HTTP status, `None` if there was no answer.
        seconds: From the connection being free for it to the end of its answer.
        failure: Class name of what went wrong below HTTP, if anything.
        method: HTTP method.
        host: Whom it was sent to.
        request_id: `X-GitHub-Request-Id` of the answer, if it has GitHub's own form.
    """

    kind: Operation
    status: int | None
    seconds: float
    failure: str | None = None
    method: str = ""
    host: str = ""
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """The client's counts at one moment.

    Attributes:
        requests: Requests sent, by kind, repeats included.
        token_requests: Requests of the token chain among them.
        connections_opened: Connections opened, as far as the transports count them.
    """

    requests: Mapping[str, int]
    token_requests: int
    connections_opened: int


@dataclass(slots=True)
class Trace:
    """Seconds one request spent before it was sent, whether it was, and how it was answered.

    Attributes:
        token: Waiting for credentials.
        connect: Waiting for a connection.
        unsent: Surely no byte of it has left: it waits for credentials or a connection.
        status: HTTP status of its answer, if there was one.
        request_id: `X-GitHub-Request-Id` of its answer, if there was one.
    """

    token: float = 0.0
    connect: float = 0.0
    unsent: bool = False
    status: int | None = None
    request_id: str | None = None


TRACE: ContextVar[Trace | None] = ContextVar("trace", default=None)
"""The trace of the task's current request, if it keeps one."""
