"""Opening message sessions: waits while another one is open (protocol 6.1 and 6.5), and tells what happens."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from scaleset_client import decoding, requests
from scaleset_client.caller import ServiceCaller
from scaleset_client.retrying import Backoff
from scaleset_client.types import Session
from scaleset_client.urls import is_secure
from scaleset_hookspecs.errors import Conflict, Rejected, ServiceError, Unavailable

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
    """The session's own address says that it is gone; a new one is opened, with the same cursor (protocol 6.4)."""
    SETBACK = "setback"
    """Something failed that is tried again: a renewal ahead of time, or opening a session that named no queue."""
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
    """

    conflict_limit: float = 300.0
    conflict: Backoff = field(default=Backoff(first=2.0, longest=30.0))


class _NoQueue(Unavailable):
    """A session was made, and nobody can listen to it; seen in an outage of the service."""


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

    async def open(self, former: str = "") -> Session:
        """Return a new session, waiting while another one is open.

        Args:
            former: Id of the session that this one replaces. It is closed first: one that is lost to us may still be
                in the way of the next.

        Raises:
            Conflict: Another one was open for the whole time allowed.
            Unavailable: What the service opened named no queue, as often as was tried.
        """
        clock, started, failures = self.caller.clock, self.caller.clock.monotonic(), 0
        request = requests.open_session(self.scale_set_id, self._owner)
        while True:
            waited = clock.monotonic() - started
            await self._close(former)
            try:
                made = await self.caller.call(request, self._opened)
                former = made.id
                self._check(made)
            except ServiceError as error:
                failures += 1
                wait = self.options.conflict.wait(failures, self.caller.chance)
                if waited + wait > self._patience(error):
                    await self._close(former)
                    raise
                kind = SessionEventKind.CONFLICT if isinstance(error, Conflict) else SessionEventKind.SETBACK
                self.report(kind, error, wait=wait, waited=waited)
            else:
                self.report(SessionEventKind.OPENED)
                return made
            await clock.sleep(wait)

    async def refresh(self, session_id: str) -> Session:
        """Return the session with a new queue token, or the one that replaces it (protocol 6.4)."""

        def refreshed(value: object) -> Session:
            return decoding.session(value, self.scale_set_id, session_id=session_id)

        made = await self.caller.call(requests.refresh_session(self.scale_set_id, session_id), refreshed)
        self._check(made)
        return made

    def _opened(self, value: object) -> Session:
        return decoding.session(value, self.scale_set_id)

    def _check(self, made: Session) -> None:
        """Refuse a session whose queue cannot be asked, or must not be sent a token."""
        if not (made.queue_url and made.queue_token):
            raise _NoQueue("the service made a message session that names no queue, or no token for it")
        if not is_secure(made.queue_url):
            raise Rejected("the service named a message queue that is neither https nor on this machine")

    def _patience(self, error: ServiceError) -> float:
        """Return for how many seconds opening is tried after such a failure."""
        if isinstance(error, Conflict):
            return self.options.conflict_limit
        return self.caller.repeater.backoff.limit if isinstance(error, _NoQueue) else 0.0

    async def _close(self, session_id: str) -> None:
        if session_id:
            request = requests.close_session(self.scale_set_id, session_id)
            with suppress(ServiceError):
                await self.caller.respond(request)

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
