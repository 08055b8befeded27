"""A service on loopback that answers what a scenario wrote down, and remembers every request with its time."""

import asyncio
import base64
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

__all__ = ["Received", "Recorder", "Reply", "reply"]

LARGEST = 1 << 20
MARK = re.compile(rb"\{jwt:(-?\d+)\}")


@dataclass(frozen=True, slots=True)
class Reply:
    """One scripted answer.

    Attributes:
        body: `{base}` in it becomes the server's address, `{jwt:N}` a new token that ends in N seconds.
        only: Answer only requests with this token; others get the route's next answer.
    """

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)
    only: str | None = None


def reply(status: int, body: object = None, *, only: str | None = None, **headers: str) -> Reply:
    """Return an answer; a body that is neither bytes nor nothing is sent as JSON; `_` in header names means `-`."""
    raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    kind = () if any(name.lower() == "content-type" for name, _ in named) else (("Content-Type", "application/json"),)
    return Reply(status, raw, (*kind, *named), only)


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came over the wire.

    Attributes:
        at: Monotonic time of arrival, in seconds.
        query: Parameters, decoded, in an order of their own.
        body: The body, with `{base}` for this server's address.
        authorization: Scheme and token; a token that this server issued goes by its number.
        answered: Status of the answer.
        retry_after: Seconds that the answer asked to wait.
    """

    at: float
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    authorization: str
    body: bytes
    answered: int
    retry_after: float | None


@dataclass(slots=True)
class Recorder:
    """The server of one client in one scenario; use it as an asynchronous context.

    Attributes:
        script: Answers by `METHOD /path` pattern, the first pattern that matches counts; the last answer repeats.
    """

    script: Sequence[tuple[str, Sequence[Reply]]]
    received: list[Received] = field(default_factory=list)
    base: str = ""
    unscripted: list[str] = field(default_factory=list)
    _used: dict[str, int] = field(default_factory=dict)
    _tokens: dict[str, str] = field(default_factory=dict)
    _server: asyncio.Server | None = None
    _talks: set[asyncio.Task[Any]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0, limit=LARGEST)
        self.base = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await self._server.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            while (head := await _head(reader)) is not None:
                line, headers = head
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                writer.write(self._answer(line, headers, body))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._talks.discard(task)
            writer.close()

    def _answer(self, line: str, headers: dict[str, str], body: bytes) -> bytes:
        at = time.monotonic()
        method, target, _ = line.split(" ", 2)
        parts = urlsplit(target)
        scheme, _, token = headers.get("authorization", "").partition(" ")
        token = self._tokens.get(token, token)
        chosen = self._choose(f"{method} {parts.path}", token)
        asked = next((value for name, value in chosen.headers if name.lower() == "retry-after"), None)
        self.received.append(
            Received(
                at=at,
                method=method,
                path=parts.path,
                query=tuple(sorted(parse_qsl(parts.query, keep_blank_values=True))),
                headers=headers,
                authorization=f"{scheme} {token}".strip(),
                body=body.replace(self.base.encode(), b"{base}"),
                answered=chosen.status,
                retry_after=float(asked) if asked is not None and asked.isdigit() else None,
            )
        )
        rendered = MARK.sub(self._issue, chosen.body.replace(b"{base}", self.base.encode()))
        fields = [f"{name}: {value}" for name, value in chosen.headers]
        if chosen.status != 204:
            fields.append(f"Content-Length: {len(rendered)}")
        start = f"HTTP/1.1 {chosen.status} {HTTPStatus(chosen.status).phrase}"
        return "\r\n".join([start, *fields, "", ""]).encode() + (b"" if chosen.status == 204 else rendered)

    def _choose(self, line: str, token: str) -> Reply:
        for pattern, replies in self.script:
            if not fnmatchcase(line, pattern):
                continue
            for held in replies:
                if held.only == token:
                    return held
            open_to_all = [one for one in replies if one.only is None]
            number = self._used.get(pattern, 0)
            self._used[pattern] = number + 1
            return open_to_all[min(number, len(open_to_all) - 1)]
        self.unscripted.append(line)
        return reply(418, {"typeName": "Unscripted", "message": line})

    def _issue(self, found: re.Match[bytes]) -> bytes:
        name = f"jwt{len(self._tokens) + 1}"
        now = int(time.time())
        claims = {"iat": now, "exp": now + int(found[1]), "sub": name}
        header = {"alg": "none", "typ": "JWT"}
        pieces = [base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in (header, claims)]
        token = b".".join([*pieces, b"c2lnbmF0dXJl"])
        self._tokens[token.decode()] = name
        return token


async def _head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]] | None:
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    line, *fields = raw.decode("latin-1").strip("\r\n").split("\r\n")
    pairs = (one.partition(":") for one in fields)
    return line, {name.strip().lower(): value.strip() for name, _, value in pairs}
