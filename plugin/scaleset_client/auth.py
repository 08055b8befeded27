"""The token chain carried out: credentials to registration token to admin connection (protocol section 3)."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from scaleset_client import decoding, requests
from scaleset_client.failures import again, answered_at
from scaleset_client.options import AppCredentials, Credentials
from scaleset_client.protocol import read
from scaleset_client.requests import Request
from scaleset_client.retrying import Backoff, Repeater
from scaleset_client.singleflight import Flight, SingleFlight
from scaleset_client.tokens import (
    BLIND_LIFETIME,
    Refusal,
    Renewal,
    Token,
    after_refusal,
    app_jwt,
    renewal,
    token_of_jwt,
)
from scaleset_client.transport import Response
from scaleset_client.urls import ConfigUrl, is_secure
from scaleset_hookspecs.errors import (
    AuthenticationFailed,
    NotFound,
    PermissionDenied,
    RateLimited,
    Rejected,
    ScalesetError,
    ServiceError,
)

__all__ = ["AdminConnection", "Send", "TokenChain"]

T = TypeVar("T")
Send = Callable[[Request, str], Coroutine[Any, Any, Response]]
"""Sends a request to the GitHub API, with that `Authorization`."""

log = logging.getLogger(__name__)
REFUSAL_BACKOFF = Backoff(first=0.4, longest=4.0)
RENEWAL_BACKOFF = Backoff(first=1.0, longest=30.0)
CHAIN = "token chain"
SKEW_BORNE = 5.0
"""Seconds by which a clock may differ from GitHub's before a refusal is put down to it."""


@dataclass(frozen=True, slots=True, eq=False)
class AdminConnection:
    """Where the Actions service is, and the token it takes."""

    url: str
    token: Token


class TokenChain:
    """Holds the admin connection, and renews it before its token ends while callers go on with the old one.

    Attributes:
        renewals: Chains completed.
    """

    def __init__(
        self,
        config: ConfigUrl,
        credentials: Credentials,
        send: Send,
        *,
        repeater: Repeater,
    ) -> None:
        self._config = config
        self._credentials = credentials
        self._send = send
        self._repeater = repeater
        self._clock = repeater.clock
        self._chance = repeater.chance
        self._flight: SingleFlight[AdminConnection] = SingleFlight(_closed)
        self._installation: Token | None = None
        self._registration: Token | None = None
        self._held: AdminConnection | None = None
        self._refused: Token | None = None
        self._skew = self._skew_seen = 0.0
        self._failed_renewals = 0
        self._not_before = 0.0
        self._refusal: ServiceError | None = None
        self.renewals = 0

    def current(self) -> AdminConnection | None:
        """Return a connection to use now, or `None` if one has to be obtained first; never waits."""
        held = self._held
        if held is None:
            return None
        due = renewal(held.token, self._clock.time())
        if due is Renewal.NOT_YET:
            return held
        if due is Renewal.AHEAD:
            if self._clock.monotonic() >= self._not_before:
                self._flight.launch(CHAIN, self._renew)
            return held
        return None

    async def obtain(self) -> AdminConnection:
        """Return a connection to use now, waiting for the chain if need be; all who wait share one run of it.

        Raises:
            ServiceError: The chain failed. What was refused, or told to wait, is told to callers again for a while
                without asking again.
        """
        held = self.current()
        if held is not None:
            return held
        left = self._not_before - self._clock.monotonic()
        if self._refusal is not None and left > 0:
            error = again(self._refusal)
            error.retry_after = left if isinstance(error, RateLimited) else error.retry_after
            raise error
        return await self._flight.join(self._flight.launch(CHAIN, self._renew))

    def refused(self, connection: AdminConnection) -> None:
        """Hear that the service answered 401 to this connection; another one held meanwhile is kept."""
        self._refused = connection.token
        if self._held is connection:
            self._held = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret held now, and the one refused last, so that none gets into an error's text."""
        own = self._credentials
        given = own.private_key if isinstance(own, AppCredentials) else own.token
        admin = self._held.token if self._held else None
        held = (self._installation, self._registration, admin, self._refused)
        return (given, *(token.value for token in held if token is not None))

    async def aclose(self) -> None:
        """End a renewal under way."""
        await self._flight.aclose()

    async def _renew(self, _flight: Flight[AdminConnection]) -> AdminConnection:
        try:
            connection = await self._admin_connection()
        except ServiceError as error:
            self._failed_renewals += 1
            wait = RENEWAL_BACKOFF.wait(self._failed_renewals, self._chance)
            self._not_before = self._clock.monotonic() + max(wait, error.retry_after or 0.0)
            self._refusal = error if isinstance(error, Rejected | RateLimited) else None
            if self._held is not None:  # else whoever waits hears of it
                log.warning("the admin token could not be renewed, the old one is still in use: %s", error)
            raise
        self._failed_renewals, self._not_before, self._refusal = 0, 0.0, None
        self._held = connection
        self.renewals += 1
        return connection

    async def _admin_connection(self) -> AdminConnection:
        refusals, replaced = 0, False
        while True:
            token = await self._registration_token()
            try:
                request = requests.admin_connection(self._config)
                url, value = await self._step(request, f"RemoteAuth {token.value}", decoding.admin_connection)
            except (AuthenticationFailed, PermissionDenied) as error:
                refusals += 1
                age = self._clock.time() - token.obtained_at
                clear = "bad credentials" in error.message.lower()
                match after_refusal(refusals, age, replaced=replaced, clear=clear):
                    case Refusal.GIVE_UP:
                        self._registration = None
                        raise
                    case Refusal.REPLACE:
                        self._registration, replaced = None, True
                    case Refusal.WAIT:
                        await self._clock.sleep(REFUSAL_BACKOFF.wait(refusals, self._chance))
                continue
            if not is_secure(url):
                raise Rejected("GitHub named an Actions service that is neither https nor on this machine")
            return AdminConnection(url, token_of_jwt(value, self._clock.time()))

    async def _registration_token(self) -> Token:
        if self._registration is None or renewal(self._registration, self._clock.time()) is not Renewal.NOT_YET:
            request = requests.registration_token(self._config)
            own = self._credentials
            if isinstance(own, AppCredentials):
                self._registration = await self._registration_of_app(request, own.installation_id)
            else:
                self._registration = await self._own_token(request)
        return self._registration

    async def _registration_of_app(self, request: Request, installation_id: int) -> Token:
        reused = renewal(self._installation, self._clock.time()) is Renewal.NOT_YET
        try:
            return await self._rest_token(request, await self._installation_token(installation_id))
        except (AuthenticationFailed, PermissionDenied):
            self._installation = None  # it may have been revoked before its end, or be older than a permission
            if not reused:
                raise
            return await self._rest_token(request, await self._installation_token(installation_id))

    async def _installation_token(self, installation_id: int) -> str:
        if self._installation is None or renewal(self._installation, self._clock.time()) is not Renewal.NOT_YET:
            self._installation = await self._own_token(requests.installation_token(installation_id))
        return self._installation.value

    async def _own_token(self, request: Request) -> Token:
        """Get a token with the secret itself; if it is refused, once more where it was rotated or the clock is off."""
        try:
            return await self._rest_token(request, self._bearer())
        except (AuthenticationFailed, PermissionDenied, NotFound) as error:
            rotated = await self._read_again()
            if not self._clock_set(error) and not rotated:
                raise
        return await self._rest_token(request, self._bearer())

    def _bearer(self) -> str:
        own = self._credentials
        return app_jwt(own, self._clock.time() + self._skew) if isinstance(own, AppCredentials) else own.token

    async def _read_again(self) -> bool:
        """Read the secret again, if it can be; say whether it is another one. What is none leaves the old one."""
        own = self._credentials
        if own.again is None:
            return False
        try:
            secret = await asyncio.to_thread(own.again)
            if isinstance(own, AppCredentials):
                app_jwt(renewed := replace(own, private_key=secret), self._clock.time())
                self._credentials = renewed
            else:
                self._credentials = replace(own, token=secret)
        except Exception as error:  # noqa: BLE001  # what reads it is not ours, and may quote what it read
            why = str(error) if isinstance(error, OSError | ScalesetError) else type(error).__name__
            log.warning("a secret that was refused could not be read again: %s", why)
        return self._credentials != own

    def _clock_set(self, error: ServiceError) -> bool:
        """Sign an App's JWTs by GitHub's time, which the refusal itself says; tell whether that is another one."""
        off = self._skew_seen - self._skew
        if not isinstance(self._credentials, AppCredentials) or error.status != 401 or abs(off) <= SKEW_BORNE:
            return False
        self._skew = self._skew_seen
        side = "behind" if self._skew > 0 else "ahead of"
        log.warning("set this machine's clock: it is %.0f s %s GitHub's; the App signs by that", abs(self._skew), side)
        return True

    async def _rest_token(self, request: Request, bearer: str) -> Token:
        value, ends = await self._step(request, f"Bearer {bearer}", decoding.rest_token)
        now = self._clock.time()
        return Token(value=value, obtained_at=now, expires_at=now + BLIND_LIFETIME if ends is None else ends)

    async def _step(self, request: Request, authorization: str, decode: Callable[[object], T]) -> T:
        """Carry out one step, repeated while the service is unavailable."""
        secrets = (authorization.partition(" ")[2], *self.secrets)

        async def once() -> T:
            response = await self._send(request, authorization)
            if (date := answered_at(response)) is not None:
                self._skew_seen = date - self._clock.time()
            return read(request.kind, response, decode, now=self._clock.time(), secrets=secrets)

        return await self._repeater.run(once, repeatable=True)


def _closed() -> Rejected:
    return Rejected("nothing was sent: the client is closed")
