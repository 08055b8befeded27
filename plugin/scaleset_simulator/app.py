"""The ASGI application: reads a request, lets faults strike, asks the endpoint, writes the answer."""

from __future__ import annotations

import inspect
import json
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from email.utils import formatdate
from typing import Any

from scaleset_simulator.control import Control
from scaleset_simulator.errors import Refusal, bad_request, bad_token, taken
from scaleset_simulator.faults import Fault
from scaleset_simulator.routes import route
from scaleset_simulator.service import Answer, Handler, Received
from scaleset_simulator.world import World

__all__ = ["Application"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_LIMIT = 1024 * 1024
_QUEUE_KINDS = frozenset(("poll", "acknowledge", "acquire"))
_TOKEN_KINDS = frozenset(("installation", "registration", "admin"))


class Dropped(Exception):  # not an error: the connection is cut on purpose
    """The connection was cut; there is nothing to answer."""


class Application:
    """One simulated service. `/_sim/` and `/` belong to the operator, everything else is the protocol's."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._control = Control(world)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the server's life."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        request = await self._read(scope, receive)
        if len(request.body) > BODY_LIMIT:
            await self._write(send, Answer(413, {"message": f"a body has {BODY_LIMIT} bytes at most"}), None)
            return
        if request.path == "/" or request.path.startswith("/_sim"):
            await self._write(send, await self._control.answer(request), None)
            return
        found = route(request.method, request.path)
        if found is None:
            await self._write(send, Answer(404, text=b"page not found", headers={"content-type": "text/plain"}), None)
            return
        kind, request.numbers, handler = found
        await self._serve(kind, handler, request, scope, send)

    async def _serve(self, kind: str, handler: Handler, request: Received, scope: Scope, send: Send) -> None:
        world = self.world
        if kind == "mint" and request.body[:1] == b"[":
            kind = "slice"
        elif kind == "scale_sets" and request.query.find("name=") >= 0:
            kind = "find_scale_set"
        elif kind == "runners" and "agentName" in request.query:
            kind = "find_runner"
        world.gauge.begin(kind, world.clock.monotonic())
        status = 0
        try:
            fault = world.faults.strike(kind, world.clock.monotonic() - world.started)
            answer = await self._answer(kind, handler, request, fault)
            status = answer.status
            await self._write(send, answer, fault)
        except Dropped:
            _reset(scope.get("simulator.transport"))
        finally:
            world.gauge.end(kind, status)

    async def _answer(self, kind: str, handler: Handler, request: Received, fault: Fault | None) -> Answer:
        world = self.world
        action = fault.action if fault is not None else ""
        try:
            if kind not in _QUEUE_KINDS and kind not in _TOKEN_KINDS:
                world.tokens.check_admin(request.authorization)
            await self._before(kind, request, fault)
            if kind != "poll":
                await world.clock.sleep(world.latency(kind) + (fault.value if fault and action == "slow" else 0.0))
            request.partial = action == "partial"
            answer = handler(request)
            if inspect.isawaitable(answer):
                answer = await answer
        except Refusal as refusal:
            return _refused(refusal)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            return _refused(bad_request(f"The request makes no sense: {type(error).__name__}."))
        return await self._after(action, fault, answer, request)

    async def _before(self, kind: str, request: Received, fault: Fault | None) -> None:
        """Strike before anything is committed."""
        world = self.world
        options = world.options
        full = options.capacity and options.overload == "refuse" and world.gauge.mints_in_flight > options.capacity
        if full and kind in {"mint", "slice"}:
            world.gauge.refused += 1
            raise Refusal(503, None, "The service is busy.")
        if fault is None:
            return
        if fault.action == "drop-before":
            raise Dropped
        if fault.action == "hang-before":
            await self._hang(request)
        if fault.action == "lose-session":
            _lose_session(kind, request, world)
        raise_for(fault, request, world)

    async def _hang(self, request: Received) -> None:
        """Never answer; end when the client has given up."""
        if request.gone is not None:
            await request.gone()
        raise Dropped

    async def _after(self, action: str, fault: Fault | None, answer: Answer, request: Received) -> Answer:
        """Strike when everything is committed."""
        if action == "drop-after":
            raise Dropped
        if action == "hang-after":
            await self._hang(request)
        if action == "status-after" and fault is not None:
            return Answer(int(fault.value), text=b"upstream connect error", headers={"content-type": "text/plain"})
        if action in {"html", "text", "empty"} and fault is not None and fault.value:
            return Answer(int(fault.value))  # the body follows when it is written
        if action == "conflict":
            return _refused(taken("of this name"))
        return answer

    async def _read(self, scope: Scope, receive: Receive) -> Received:
        chunks: list[bytes] = []
        size, more = 0, True
        while more:
            event = await receive()
            if event["type"] == "http.disconnect":
                break
            chunks.append(event.get("body", b""))
            size += len(chunks[-1])
            more = event.get("more_body", False) and size <= BODY_LIMIT
        return Received(
            self.world,
            scope["method"],
            scope["path"],
            scope["query_string"].decode("latin-1"),
            {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
            b"".join(chunks),
            gone=receive,
        )

    async def _write(self, send: Send, answer: Answer, fault: Fault | None) -> None:
        body = answer.text if answer.text is not None else b""
        kind = b"application/json; charset=utf-8"
        if answer.text is None and answer.status != 204 and (answer.value is not None or answer.status != 202):
            body = json.dumps(answer.value, separators=(",", ":")).encode()
        body, kind = _spoil(fault.action if fault is not None else "", body, kind)
        if self.world.options.bom and body:
            body = b"\xef\xbb\xbf" + body
        self.world.request_number += 1
        number = str(self.world.request_number).encode()
        headers = [(b"content-length", str(len(body)).encode()), (b"activityid", b"act-" + number)]
        headers.append((b"x-github-request-id", b"SIM:" + number))
        own = {name.lower().encode(): value.encode() for name, value in answer.headers.items()}
        headers += [(b"content-type", own.pop(b"content-type", kind)), *own.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            event = await receive()
            await send({"type": f"{event['type']}.complete"})
            if event["type"] == "lifespan.shutdown":
                return


def raise_for(fault: Fault, request: Received, world: World) -> None:
    """Refuse in the way a fault says; actions that are no refusal pass."""
    del request
    now, seconds = world.clock.monotonic(), fault.value
    action = fault.action
    if action == "status":
        raise Refusal(int(seconds), None, "injected")
    if action == "unauthorised":
        raise bad_token()
    if action == "limit":
        world.gauge.told_to_wait(now, seconds)
        raise Refusal(403, None, "API rate limit exceeded for installation.", {"retry-after": f"{seconds:g}"})
    if not action.startswith("retry"):
        return
    headers = {}
    if action == "retry":
        headers["retry-after"] = f"{seconds:g}"
    elif action == "retry-date":
        headers |= {"date": formatdate(world.clock.time(), usegmt=True)}
        headers["retry-after"] = formatdate(world.clock.time() + seconds, usegmt=True)
    world.gauge.told_to_wait(now, {"retry": seconds, "retry-date": max(0.0, seconds - 1)}.get(action, 60.0))
    raise Refusal(429, None, "Too many requests.", headers)


def _refused(refusal: Refusal) -> Answer:
    if refusal.headers.get("content-type") == "text/plain":
        return Answer(refusal.status, text=refusal.message.encode(), headers=refusal.headers)
    value = {"message": refusal.message}
    if refusal.type_name is not None:
        value |= {"typeName": refusal.type_name, "typeKey": refusal.type_name.split(",")[0].rpartition(".")[2]}
    return Answer(refusal.status, value, refusal.headers)


def _spoil(action: str, body: bytes, kind: bytes) -> tuple[bytes, bytes]:
    if action == "truncate":
        return body[: len(body) // 2], kind
    if action == "html":
        return b"<html><body><h1>502 Bad Gateway</h1></body></html>", b"text/html"
    if action == "text":
        return b"upstream request timeout", b"text/plain"
    if action == "empty":
        return b"", kind
    return (b"\xef\xbb\xbf" + body if action == "bom" else body), kind


def _lose_session(kind: str, request: Received, world: World) -> None:
    """Forget the session a request is about; other requests have none to lose."""
    if kind in _QUEUE_KINDS:
        session_id = world.tokens.queue_session(request.authorization)
        world.board.lose_session(world.board.of_token(session_id)[0])
    elif kind in {"open_session", "refresh_session", "close_session"}:
        world.board.lose_session(int(request.numbers[0]))


def _reset(transport: Any) -> None:  # noqa: ANN401  # asyncio's or uvloop's
    """Cut a connection with a reset, as a crashing server or a router does."""
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
