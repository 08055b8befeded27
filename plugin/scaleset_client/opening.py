"""Opening message sessions: waits while another one is open (protocol 6.1 and 6.5)."""

import logging

from scaleset_client import decoding, requests
from scaleset_client.caller import ServiceCaller
from scaleset_client.sessionevents import OnSessionEvent, SessionEvent, SessionEventKind, SessionOptions
from scaleset_client.types import Session
from scaleset_client.urls import is_secure
from scaleset_hookspecs.errors import Conflict, Rejected, ServiceError

__all__ = ["Opener"]

log = logging.getLogger(__name__)


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
