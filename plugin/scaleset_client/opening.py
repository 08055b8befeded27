"""Opening message sessions: waits while another one is open (protocol 6.1 and 6.5), and tells what happens."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from scaleset_client import decoding, requests
from scaleset_client.caller import ServiceCaller
from scaleset_client.retrying import Backoff
from scaleset_client.types import Session
from scaleset_client.urls import is_secure
from scaleset_hookspecs.errors import Conflict, Rejected, ServiceError

__all__ = ["OnSessionEvent", "Opener", "SessionEvent", "SessionEventKind", "SessionOptions"]

log = logging.getLogger(__name__)


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


class Opener:
    """Opens sessions of one scale set, and reports what happens to them."""

    def __init__(
        self,
        caller: ServiceCaller,
        scale_set_id: int,
        owner: str,
        options: SessionOptions,
        on_event: OnSessionEvent | None,
    ) -> None:
        self.caller = caller
        self.scale_set_id = scale_set_id
        self.options = options
        self._owner = owner
        self._on_event = on_event

    async def open(self) -> Session:
        """Return a new session, waiting while another one is open.

        Raises:
            Conflict: Another one was open for the whole time allowed.
        """
        clock, started, conflicts = self.caller.clock, self.caller.clock.monotonic(), 0
        request = requests.open_session(self.scale_set_id, self._owner)
        while True:
            try:
                made = await self.caller.call(request, self._opened)
            except Conflict as error:
                conflicts += 1
                wait = self.options.conflict.wait(conflicts, self.caller.chance)
                waited = clock.monotonic() - started
                if waited + wait > self.options.conflict_limit:
                    raise
                self.report(SessionEventKind.CONFLICT, error, wait=wait, waited=waited)
                await clock.sleep(wait)
                continue
            self.report(SessionEventKind.OPENED)
            return self.checked(made)

    async def refresh(self, session_id: str) -> Session:
        """Return the session with a new queue token, or the one that replaces it (protocol 6.4)."""

        def refreshed(value: object) -> Session:
            return decoding.session(value, self.scale_set_id, owner=self._owner, session_id=session_id)

        return self.checked(await self.caller.call(requests.refresh_session(self.scale_set_id, session_id), refreshed))

    def _opened(self, value: object) -> Session:
        return decoding.session(value, self.scale_set_id, owner=self._owner)

    def checked(self, made: Session) -> Session:
        """Return a session whose queue may be sent a token."""
        if not is_secure(made.queue_url):
            raise Rejected("the service named a message queue that is neither https nor on this machine")
        return made

    def report(
        self,
        kind: SessionEventKind,
        error: ServiceError | None = None,
        *,
        wait: float | None = None,
        waited: float = 0.0,
    ) -> None:
        """Tell whoever listens."""
        if self._on_event is None:
            return
        event = SessionEvent(kind=kind, scale_set_id=self.scale_set_id, error=error, wait=wait, waited=waited)
        try:
            self._on_event(event)
        except Exception:  # a broken listener must not end the session
            log.exception("on_event raised for %s", kind)
