"""Where the time of one request went, for those who want to know."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["TRACE", "Trace"]


@dataclass(slots=True)
class Trace:
    """Seconds one request spent before it was sent, and whether it was.

    Attributes:
        token: Waiting for credentials.
        connect: Waiting for a connection.
        unsent: Surely no byte of it has left: it waits for credentials or a connection.
    """

    token: float = 0.0
    connect: float = 0.0
    unsent: bool = False


TRACE: ContextVar[Trace | None] = ContextVar("trace", default=None)
"""The trace of the task's current request, if it keeps one."""
