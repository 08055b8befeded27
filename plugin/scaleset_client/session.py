"""A message session: polls, acknowledges and acquires, and survives what sessions die of (protocol section 6)."""

from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Self

from scaleset_client import decoding, requests
from scaleset_client.caller import ServiceCaller
from scaleset_client.events import message
from scaleset_client.failures import failure, is_gone, is_session_lost, passing, session_may_have_ended
from scaleset_client.opening import Opener, SessionEventKind
from scaleset_client.operations import Operation
from scaleset_client.protocol import nothing
from scaleset_client.singleflight import Flight, SingleFlight
from scaleset_client.tokens import Renewal, Token, renewal, token_of_jwt
from scaleset_client.transport import Response
from scaleset_client.types import Message, Session
from scaleset_client.urls import acknowledge_url, poll_url
from scaleset_hookspecs.errors import NotFound, Rejected, ServiceError
from scaleset_hookspecs.types import Statistics

__all__ = ["MessageSession", "send_acquire"]

ACCEPT = (b"Accept", b"application/json; api-version=6.0-preview")
JSON = (b"Content-Type", b"application/json")
MISSING_ALLOWED = 10
"""Times in a row that acquiring may be missing before the service counts as one that assigns jobs by itself."""


async def send_acquire(
    caller: ServiceCaller, scale_set_id: int, request_ids: Iterable[int], queue_token: str
) -> Response:
    """Return the answer to one request that acquires jobs."""
    request = requests.acquire_jobs(scale_set_id, request_ids)
    url = await caller.service_url(request)
    return await caller.respond_queue(request.kind, request.method, url, queue_token, headers=[JSON], body=request.body)


class MessageSession:
    """The one subscription on a scale set. One poll at a time; the other methods may run beside it.

    Attributes:
        cursor: Id of the last message acknowledged; the service sends what comes after it.
    """

    def __init__(self, opener: Opener, session: Session) -> None:
        self.cursor = 0
        self._opener = opener
        self._caller = opener.caller
        self._session = session
        self._token = self._timed_token(session)
        self._statistics = session.statistics or Statistics()
        self._lost = False
        self._closed = False
        self._flight: SingleFlight[bool] = SingleFlight(_closed)
        self._missing = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def id(self) -> str:
        """The session's id; another one after the session was lost."""
        return self._session.id

    @property
    def owner(self) -> str:
        """The owner the service has noted."""
        return self._session.owner

    @property
    def statistics(self) -> Statistics:
        """The latest counters; those of opening are the first signal to act on (protocol 6.1)."""
        return self._statistics

    async def poll(self, capacity: int) -> Message | None:
        """Wait for a message for as long as the service holds the request, usually about 50 s.

        Args:
            capacity: How many runners the caller can run in all, busy ones included (protocol 6.6).

        Returns:
            A message; or `None`, if nothing happened.

        Raises:
            Unavailable: In passing: poll again later. `Listener` knows when.
            Rejected: The service refuses although it knows the session, or the session is closed.
        """
        self._check_open()
        await self._renew_if_due()
        headers = [ACCEPT, (b"X-ScaleSetMaxCapacity", b"%d" % max(capacity, 0))]

        def send(session: Session) -> Awaitable[Response]:
            url = poll_url(session.queue_url, self.cursor)
            return self._caller.respond_queue(Operation.POLL, "GET", url, session.queue_token, headers=headers)

        response, secret = await self._with_token(Operation.POLL, send)
        if response.status == 202:
            return None
        last = self._statistics
        polled = self._caller.read(Operation.POLL, response, lambda value: message(value, last), (secret,))
        self._statistics = polled.statistics
        return polled

    async def acknowledge(self, message: Message) -> None:
        """Delete a message from the queue, after it was handled.

        Raises:
            Unavailable: It may still be there, and will come again.
            NotFound: It may have been deleted before, or something on the way is missing: the next poll knows.
        """

        async def once() -> None:
            def send(session: Session) -> Awaitable[Response]:
                url = acknowledge_url(session.queue_url, message.id)
                return self._caller.respond_queue(
                    Operation.ACKNOWLEDGE, "DELETE", url, session.queue_token, headers=[JSON]
                )

            response, secret = await self._with_token(Operation.ACKNOWLEDGE, send)
            self._caller.read(Operation.ACKNOWLEDGE, response, nothing, (secret,))

        await self._caller.repeater.run(once, repeatable=True)
        self.cursor = max(self.cursor, message.id)

    def pass_over(self, message: Message) -> None:
        """Poll for what comes after a message, and leave it in the queue: it comes again to whoever listens next."""
        self.cursor = max(self.cursor, message.id)

    async def acquire(self, request_ids: Iterable[int]) -> tuple[int, ...]:
        """Take jobs that were offered; return the ids of those that are really ours.

        Args:
            request_ids: The `request_id`s of `JobAvailable` events, exactly; 0 names no job and is left out
                (protocol 6.7). With none left nothing is sent.

        Raises:
            Unavailable: Not now: they are to be acquired again, or come again with their message.
        """
        wanted = tuple(dict.fromkeys(one for one in request_ids if one > 0))
        if not wanted:
            return ()

        async def once() -> tuple[int, ...]:
            def send(session: Session) -> Awaitable[Response]:
                return send_acquire(self._caller, self._opener.scale_set_id, wanted, session.queue_token)

            response, secret = await self._with_token(Operation.ACQUIRE_JOBS, send)
            return self._caller.read(
                Operation.ACQUIRE_JOBS, response, lambda value: decoding.acquired_ids(value, wanted), (secret,)
            )

        try:
            acquired = await self._caller.repeater.run(once, repeatable=False)
        except NotFound as error:
            if error.type_name is not None:
                raise
            self._missing = min(self._missing + 1, MISSING_ALLOWED)
            if self._missing < MISSING_ALLOWED:
                raise passing(error) from error
            # The router has no such page, and not in passing: this backend assigns jobs by itself.
            self._opener.report(SessionEventKind.NOT_ACQUIRABLE, error)
            return ()
        self._missing = 0
        return acquired

    async def refresh(self) -> None:
        """Renew the queue token now; a session the service no longer knows is replaced."""
        await self._renewal_shared()

    async def close(self) -> None:
        """Close the session. One that is gone already counts as closed.

        Raises:
            Unavailable: The service could not be told; the session ends by itself after about 90 s.
        """
        self._closed = True
        await self._flight.aclose()
        request = requests.close_session(self._opener.scale_set_id, self.id)

        async def once() -> None:
            self._caller.read(request.kind, await self._caller.respond(request), nothing, (self._token.value,))

        try:
            await self._caller.repeater.run(once, repeatable=True)
        except Rejected as error:
            if not is_session_lost(error) and not is_gone(error):
                raise

    async def _with_token(
        self, kind: Operation, send: Callable[[Session], Awaitable[Response]]
    ) -> tuple[Response, str]:
        """Send with the queue token; where the answer leaves the token or the session in doubt, renew and send again.

        The session's own address knows (protocol 5.3 and 6.4). What is refused by a session that is alive, too, stays
        refused; one that was lost right after its renewal is replaced once more.

        Raises:
            Unavailable: Sessions end as fast as they are opened; nothing was done.
        """
        for again in (False, True):
            session = self._session
            response = await send(session)
            if not session_may_have_ended(response):
                return response, session.queue_token
            replaced = self._session is not session or await self._renewed()
            if again and not replaced:
                return response, session.queue_token
        session = self._session
        response = await send(session)
        if session_may_have_ended(response):
            secrets = (session.queue_token, *self._caller.chain.secrets)
            raise passing(failure(kind, response, now=self._caller.clock.time(), secrets=secrets))
        return response, session.queue_token

    async def _renewed(self) -> bool:
        """Renew the token or the session; what is missing then is the session, not what was asked for with it."""
        try:
            return await self._renewal_shared()
        except NotFound as error:
            if is_session_lost(error):
                raise passing(error) from error
            raise

    async def _renew_if_due(self) -> None:
        due = Renewal.NOW if self._lost else renewal(self._token, self._caller.clock.time())
        if due is Renewal.NOT_YET:
            return
        try:
            await self._renewal_shared()
        except ServiceError as error:
            if due is Renewal.NOW:
                raise
            self._opener.report(SessionEventKind.SETBACK, error)  # the old token still holds

    async def _renewal_shared(self) -> bool:
        return await self._flight.join(self._flight.launch(self._opener.scale_set_id, self._renew))

    async def _renew(self, _flight: Flight[bool]) -> bool:
        """Renew the token; say whether that took another session."""
        if not self._lost:
            try:
                refreshed = await self._opener.refresh(self.id)
            except Rejected as error:
                if not is_session_lost(error):
                    raise
                self._lost = True
                self._opener.report(SessionEventKind.LOST, error)
            else:
                self._adopt(refreshed)
                self._opener.report(SessionEventKind.REFRESHED)
                return False
        self._adopt(await self._opener.open(former=self.id))
        return True

    def _check_open(self) -> None:
        if self._closed:
            raise _closed()

    def _adopt(self, session: Session) -> None:
        self._session, self._lost = session, False
        self._token = self._timed_token(session)
        self._statistics = session.statistics or self._statistics

    def _timed_token(self, session: Session) -> Token:
        return token_of_jwt(session.queue_token, self._caller.clock.time())


def _closed() -> Rejected:
    return Rejected("nothing was sent: the message session is closed")
