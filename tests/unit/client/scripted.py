"""A service on loopback that answers what a test wrote down, and remembers what it was asked."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from scaleset_client import Backoff, ConnectionOptions, RequestRecord, ScaleSetClient, TokenCredentials
from scaleset_client.options import Credentials

PAT = "ghp_PersonalAccessTokenOfTheTest"
REGISTRATION = "REGISTRATIONTOKENOFTHETEST"


def jwt_ending(at: float, *, issued: float | None = None, serial: int = 0) -> str:
    """Make a JWT with nothing but times in it."""
    claims = {"exp": at, "n": serial} | ({} if issued is None else {"iat": issued})
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in ({}, claims)]
    return ".".join([*parts, "signature"])


class SteppedClock:
    """A clock that a test sets; sleeping moves it on at once."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now
        self._behind = 0.0
        self.slept: list[float] = []

    def set_back_by(self, seconds: float) -> None:
        """Set the wall clock back by so many seconds; time itself goes on."""
        self.now -= seconds
        self._behind += seconds

    def monotonic(self) -> float:
        return self.now + self._behind

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came over the wire."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401  # whatever was sent
        return json.loads(self.body)

    @property
    def token(self) -> str:
        return self.headers["authorization"].partition(" ")[2]


@dataclass(slots=True)
class Answer:
    """What to answer: JSON or bytes; or never, or half of it, or a closed connection."""

    status: int = 200
    value: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    wait_for: asyncio.Event | None = None
    reset: bool = False
    cut: int | None = None

    def wire(self) -> bytes:
        body = (
            self.value
            if isinstance(self.value, bytes)
            else b""
            if self.value is None
            else json.dumps(self.value).encode()
        )
        lines = [f"HTTP/1.1 {self.status} X"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.status != 204:
            lines.append(f"Content-Length: {len(body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


Reply = Callable[[Received], Answer]


class ScriptedService:
    """Both the GitHub API and the Actions service, on one port. Unknown addresses answer 404 `page not found`."""

    def __init__(self, clock: SteppedClock) -> None:
        self.clock = clock
        self.requests: list[Received] = []
        self.routes: dict[tuple[str, str], Reply] = {}
        self.base = ""
        self.token_lifetime = 3600.0
        self.connections = 0
        self.most_in_flight = self._in_flight = 0
        self._serial = 0
        self.admin_tokens: list[str] = []
        self.on("POST", "/api/v3/orgs/acme/actions/runners/registration-token", self.registration)
        self.on("POST", "/api/v3/actions/runner-registration", self.admin)

    def on(self, method: str, path: str, reply: Reply | Answer | Iterable[Answer]) -> None:
        """Answer an address: always the same, in turn (the last for ever), or by a function."""
        if isinstance(reply, Answer):
            self.routes[method, path] = lambda _: reply
        elif callable(reply):
            self.routes[method, path] = reply
        else:
            answers = list(reply)
            self.routes[method, path] = lambda _: answers.pop(0) if len(answers) > 1 else answers[0]

    def on_service(self, method: str, path: str, reply: Reply | Answer | Iterable[Answer]) -> None:
        """Answer an address of the Actions service."""
        self.on(method, f"/tenant/_apis/{path}", reply)

    def asked(self, ending: str, method: str | None = None) -> list[Received]:
        """Return the requests whose path ends like this."""
        return [one for one in self.requests if one.path.endswith(ending) and method in {None, one.method}]

    def registration(self, _request: Received) -> Answer:
        return Answer(201, {"token": REGISTRATION, "expires_at": "2100-01-01T00:00:00.1234567Z"})

    def admin(self, _request: Received) -> Answer:
        self._serial += 1
        token = jwt_ending(self.clock.now + self.token_lifetime, issued=self.clock.now, serial=self._serial)
        self.admin_tokens.append(token)
        return Answer(
            200, b"\xef\xbb\xbf" + json.dumps({"url": f"{self.base}/tenant/?k=v%2B1", "token": token}).encode()
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (request := await read_request(reader)) is not None:
                self.requests.append(request)
                self._in_flight += 1
                self.most_in_flight = max(self.most_in_flight, self._in_flight)
                try:
                    reply = self.routes.get((request.method, request.path))
                    answer = reply(request) if reply else Answer(404, b"page not found", {"Content-Type": "text/plain"})
                    if answer.wait_for is not None:
                        await answer.wait_for.wait()
                finally:
                    self._in_flight -= 1
                if answer.reset:
                    return
                wire = answer.wire()
                writer.write(wire if answer.cut is None else wire[: -answer.cut])
                await writer.drain()
                if answer.cut is not None:
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def read_request(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    return Received(method, parts.path, dict(parse_qsl(parts.query, keep_blank_values=True)), headers, body)


@asynccontextmanager
async def scripted_service(clock: SteppedClock) -> AsyncIterator[ScriptedService]:
    """Run a service until the block ends."""
    service = ScriptedService(clock)
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    service.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield service
    finally:
        server.close()
        for task in asyncio.all_tasks():
            if task.get_coro().__qualname__ == "ScriptedService.serve":  # type: ignore[union-attr]
                task.cancel()
        await asyncio.sleep(0)


def client_of(
    service: ScriptedService,
    *,
    credentials: Credentials | None = None,
    options: ConnectionOptions | None = None,
    backoff: Backoff | None = None,
    on_request: Callable[[RequestRecord], None] | None = None,
) -> ScaleSetClient:
    """Make a client of the service's organisation `acme`."""
    return ScaleSetClient(
        f"{service.base}/acme",
        credentials or TokenCredentials(token=PAT),
        options=options or ConnectionOptions(),
        clock=service.clock,
        backoff=backoff or Backoff(),
        on_request=on_request,
    )


def minted_answer(request: Received) -> Answer:
    """Answer a mint."""
    name = request.json["name"]
    runner = {"id": 2**40 + 7, "name": name, "runnerScaleSetId": 42, "busy": False, "status": 3, "surprise": {}}
    return Answer(200, {"runner": runner, "encodedJITConfig": "eyJqaXQiOiJjb25maWcifQ=="})
