"""What a message session reports of its life, and how patient it is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from scaleset_client.retrying import Backoff
from scaleset_hookspecs.errors import ServiceError

__all__ = ["OnSessionEvent", "SessionEvent", "SessionEventKind", "SessionOptions"]


class SessionEventKind(StrEnum):
    """What happened."""

    OPENED = "opened"
    """The session is open."""
    CONFLICT = "conflict"
    """Another session is open; waiting for its end (protocol 6.5)."""
    REFRESHED = "refreshed"
    """The queue token was renewed."""
    LOST = "lost"
    """The service no longer knows the session; a new one is opened, with the same cursor (protocol 6.4)."""
    SETBACK = "setback"
    """A poll failed in a way that passes; it counts as "nothing happened"."""
    NOT_ACQUIRABLE = "not_acquirable"
    """The service assigns jobs by itself and has no call to acquire them (protocol 6.7)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEvent:
    """Something the session overcame by itself.

    Attributes:
        kind: What happened.
        scale_set_id: The session's scale set.
        error: Why, if something failed.
        wait: Seconds until the next try, if there is one.
        waited: Seconds spent on it so far.
    """

    kind: SessionEventKind
    scale_set_id: int
    error: ServiceError | None = None
    wait: float | None = None
    waited: float = 0.0


OnSessionEvent: TypeAlias = Callable[[SessionEvent], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """How patient a session is; all times in seconds.

    Attributes:
        conflict_limit: Time at most to wait for the end of another session. One that crashed ends after about 90 s.
        conflict: Waits between tries meanwhile.
        setback: Waits between polls that fail.
        longest_pause: Time at most that one call of `poll` waits before it returns without having asked.
    """

    conflict_limit: float = 300.0
    conflict: Backoff = field(default=Backoff(first=2.0, longest=30.0))
    setback: Backoff = field(default=Backoff(first=0.5, longest=30.0))
    longest_pause: float = 60.0
