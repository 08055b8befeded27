"""Calls to the Actions service: with a token that holds, repeated where that is safe."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from scaleset_client.adapter import Adapter, address
from scaleset_client.auth import AdminConnection, TokenChain
from scaleset_client.observing import TRACE
from scaleset_client.operations import RULES, Operation
from scaleset_client.options import Credentials
from scaleset_client.protocol import read
from scaleset_client.requests import Request
from scaleset_client.retrying import Pause, Repeater
from scaleset_client.texts import header_text
from scaleset_client.transport import Head, RawHeaders, Response
from scaleset_client.urls import ConfigUrl, endpoint_url
from scaleset_hookspecs.errors import RateLimited

__all__ = ["ServiceCaller"]

T = TypeVar("T")
REMEMBERED = 256
"""Heads of mints kept ready; one for each scale set."""


class ServiceCaller:
    """Puts requests on the way: address, credentials, one repeat on 401, repeats while the service is unavailable."""

    def __init__(
        self, config: ConfigUrl, credentials: Credentials, adapter: Adapter, repeater: Repeater, user_agent: str
    ) -> None:
        self.repeater = repeater
        self.clock = repeater.clock
        self.chance = repeater.chance
        self.chain = TokenChain(config, credentials, self._send_rest, repeater=repeater)
        self._config = config
        self._adapter = adapter
        self._agent = user_agent.encode("ascii")
        self._connection: AdminConnection | None = None
        self._service_headers: RawHeaders = []
        self._heads: dict[str, Head] = {}
        self._pause = Pause(repeater)

    async def call(self, request: Request, decode: Callable[[object], T]) -> T:
        """Return what the service answers to a request with the admin token.

        Raises:
            ServiceError: It failed; after repeats, with the facts of the last answer.
        """
        rule = RULES[request.kind]

        async def once() -> T:
            if not rule.session:
                await self._pause.over()
            try:
                value = self.read(request.kind, await self.respond(request), decode)
            except RateLimited as error:
                self._pause.asked(error)
                raise
            self._pause.answered()
            return value

        # The chain repeats its own steps; inside `once` its failure would be repeated again, repeats times repeats.
        if self.chain.current() is None:
            await self.chain.obtain()
        return await self.repeater.run(once, repeatable=rule.repeatable)

    async def respond(self, request: Request, time_limit: float | None = None) -> Response:
        """Return the answer to one request with the admin token; a 401 renews the token and repeats once.

        Args:
            request: The request.
            time_limit: Seconds for each answer, instead of the configured ones.
        """
        response = await self._respond(request, time_limit)
        return await self._respond(request, time_limit) if response.status == 401 else response

    async def _respond(self, request: Request, time_limit: float | None) -> Response:
        if (trace := TRACE.get()) is not None:
            trace.unsent, trace.status, trace.request_id = True, None, None  # after a 401 it is another request
        connection = self.chain.current() or await self._obtain()
        head = self._head(request, connection)
        response = await self._adapter.exchange(request.kind, head, body=request.body, time_limit=time_limit)
        if trace is not None:
            trace.status = response.status
            trace.request_id = header_text(response.request_id, self.chain.secrets)
        if response.status == 401:
            self.chain.refused(connection)
        return response

    def _head(self, request: Request, connection: AdminConnection) -> Head:
        """Return all of a request but its body; that of mints is made once for each scale set."""
        if connection is not self._connection:
            self._connection = connection
            self._service_headers = self._headers(f"Bearer {connection.token.value}", "application/json")
            self._heads.clear()
        head = self._heads.get(request.path) if request.kind is Operation.MINT else None
        if head is None:
            url = address(endpoint_url(connection.url, request.path, request.query))
            head = Head(request.method, url, self._service_headers)
            if request.kind is Operation.MINT:
                if len(self._heads) >= REMEMBERED:
                    self._heads.clear()
                self._heads[request.path] = head
        return head

    async def _obtain(self) -> AdminConnection:
        trace, started = TRACE.get(), self.clock.monotonic()
        try:
            return await self.chain.obtain()
        finally:
            if trace is not None:
                trace.token += self.clock.monotonic() - started

    async def service_url(self, request: Request) -> str:
        """Return the address of a request to the Actions service that carries another token than ours."""
        connection = self.chain.current() or await self.chain.obtain()
        return endpoint_url(connection.url, request.path, request.query)

    async def respond_queue(
        self, kind: Operation, method: str, url: str, token: str, *, headers: RawHeaders, body: bytes = b""
    ) -> Response:
        """Return the answer to one request with the queue token.

        Args:
            kind: The operation.
            method: HTTP method.
            url: The whole address.
            token: The queue token.
            headers: Headers of this request only.
            body: The body, or nothing.
        """
        own = [(b"Authorization", b"Bearer " + token.encode()), (b"User-Agent", self._agent), *headers]
        return await self._adapter.exchange(kind, Head(method, address(url), own), body=body)

    def read(
        self, kind: Operation, response: Response, decode: Callable[[object], T], secrets: Sequence[str] = ()
    ) -> T:
        """Return what an answer says, or raise what is wrong with it."""
        if response.status in RULES[kind].success:
            return read(kind, response, decode, now=0.0, secrets=secrets)
        return read(kind, response, decode, now=self.clock.time(), secrets=(*self.chain.secrets, *secrets))

    def _headers(self, authorization: str, content_type: str) -> RawHeaders:
        return [
            (b"Authorization", authorization.encode()),
            (b"User-Agent", self._agent),
            (b"Content-Type", content_type.encode()),
        ]

    async def _send_rest(self, request: Request, authorization: str) -> Response:
        TRACE.set(None)  # the chain is a task of its own, begun by a mint whose trace this request is no part of
        url = address(endpoint_url(self._config.api_base, request.path, request.query))
        headers = self._headers(authorization, request.content_type)
        return await self._adapter.exchange(request.kind, Head(request.method, url, headers), body=request.body)
