"""Where the time of one request went, for those who want to know."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["TRACE", "Trace"]


@dataclass(slots=True)
class Trace:
    """Seconds one request spent before it was sent.

    Attributes:
        token: Waiting for credentials.
        connect: Waiting for a connection.
    """

    token: float = 0.0
    connect: float = 0.0


TRACE: ContextVar[Trace | None] = ContextVar("trace", default=None)
"""The trace of the task's current request, if it keeps one."""
