"""The client against answers that no service should give: what comes of it is a value or an error of ours."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx
from hypothesis import strategies as st

from scaleset_client import Backoff, ConnectionOptions, MessageSession, ScaleSetClient, TokenCredentials
from scaleset_client.opening import SessionOptions
from scaleset_client.types import Message, MintRequest
from scaleset_hookspecs.errors import ServiceError
from tests.kit.answers import ADMIN, CONFIG, QUEUE, REGISTRATION, SAMPLES, STATUS, Given, answers_to, raw_answers
from tests.kit.virtual import VirtualClock, run_virtually

__all__ = ["OPERATIONS", "Script", "Totals", "over_a_socket", "over_a_transport", "raw_scripts", "scripts"]

PAT = "S3CR3T-OF-THE-USER"
SECRETS = (PAT, CONFIG, QUEUE, REGISTRATION, ADMIN)
PATIENCE = SessionOptions(conflict_limit=0.01, conflict=Backoff(first=0.001, longest=0.002))
"""On a real socket time is real: a conflict is not waited out there."""

Operation = Callable[[ScaleSetClient], Awaitable[object]]

OPERATIONS: dict[str, tuple[str, Operation]] = {
    "connect": ("admin", lambda client: client.connect()),
    "get_scale_set_by_name": ("scale_sets", lambda client: client.get_scale_set_by_name("linux")),
    "list_scale_sets": ("scale_sets", lambda client: client.list_scale_sets()),
    "get_scale_set": ("scale_set", lambda client: client.get_scale_set(42)),
    "create_scale_set": ("scale_set", lambda client: client.create_scale_set("linux")),
    "update_scale_set": ("scale_set", lambda client: client.update_scale_set(42, name="linux")),
    "delete_scale_set": ("nothing", lambda client: client.delete_scale_set(42)),
    "get_runner_group": ("groups", lambda client: client.get_runner_group("gpu")),
    "generate_jit_config": ("mint", lambda client: client.generate_jit_config(42, "burst-a")),
    "generate_jit_configs": (
        "slice",
        lambda client: client.generate_jit_configs(42, [MintRequest(name="burst-a"), MintRequest(name="burst-b")]),
    ),
    "get_runner": ("runner", lambda client: client.get_runner(7)),
    "find_runner": ("runners", lambda client: client.find_runner("burst-a")),
    "list_runners": ("runners", lambda client: client.list_runners()),
    "remove_runner": ("nothing", lambda client: client.remove_runner(7)),
    "acquirable_jobs": ("offers", lambda client: client.acquirable_jobs(42)),
    "acquire_jobs": ("acquired", lambda client: client.acquire_jobs(42, [5001], QUEUE)),
    "open_session": ("session", lambda client: client.open_session(42, "me", options=PATIENCE)),
    "poll": ("message", lambda client: _in_session(client, lambda session: session.poll(10))),
    "acknowledge": ("nothing", lambda client: _in_session(client, _poll_and_acknowledge)),
    "acquire": ("acquired", lambda client: _in_session(client, lambda session: session.acquire([5001]))),
    "refresh": ("session", lambda client: _in_session(client, lambda session: session.refresh())),
    "close": ("nothing", lambda client: _in_session(client, lambda session: session.close())),
}
"""Each call of the client, and the kind of its answer."""


async def _in_session(client: ScaleSetClient, then: Callable[[MessageSession], Awaitable[object]]) -> object:
    return await then(await client.open_session(42, "me", options=PATIENCE))


async def _poll_and_acknowledge(session: MessageSession) -> Message | None:
    message = await session.poll(10)
    if message is not None:
        await session.acknowledge(message)
    return message


@dataclass(frozen=True, slots=True)
class Script:
    """What is called, and what each request in turn is answered; the last answer holds for all that follow."""

    operation: str
    answers: tuple[Given | bytes, ...]
    tokens: dict[str, Given | bytes] = field(default_factory=dict)
    """Wrong answers to steps of the token chain; the others are right."""


@dataclass(slots=True)
class Totals:
    """What the outcomes were."""

    examples: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)


def _right(kind: str) -> Given:
    body = b"" if SAMPLES[kind] is None else json.dumps(SAMPLES[kind]).encode()
    return Given(STATUS.get(kind, 200), (("Content-Type", "application/json"),), body)


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """Return calls with answers as values."""
    return _script(draw, answers_to)


@st.composite
def raw_scripts(draw: st.DrawFn) -> Script:
    """Return calls with answers as bytes on the wire."""
    return _script(draw, raw_answers)


def _script(draw: st.DrawFn, answer: Callable[[str], st.SearchStrategy[Given | bytes]]) -> Script:
    operation = draw(st.sampled_from(sorted(OPERATIONS)))
    kind, _ = OPERATIONS[operation]
    tokens: dict[str, Given | bytes] = {}
    if operation == "connect" or draw(st.integers(0, 7)) == 0:
        step = draw(st.sampled_from(("registration", "admin")))
        tokens[step] = draw(answer(step))
    answers: list[Given | bytes] = draw(st.lists(answer(kind), min_size=1, max_size=3))
    if operation in {"poll", "acknowledge", "acquire", "refresh", "close"}:
        answers = [_right("session"), *([_right("message")] if operation == "acknowledge" else []), *answers]
    return Script(operation, tuple(answers), tokens)


class _Service:
    """Answers in turn."""

    def __init__(self, script: Script, base: str) -> None:
        self._answers = list(script.answers)
        self._tokens = script.tokens
        self._base = base

    def answer(self, method: str, path: str, authorization: str) -> Given | bytes:
        del method
        if path.endswith("/registration-token"):
            return self._tokens.get("registration", _right("registration"))
        if path.endswith("/runner-registration"):
            right = _right("admin")
            body = right.body.replace(b"https://service.invalid", self._base.encode())
            return self._tokens.get("admin", Given(right.status, right.headers, body))
        given = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(given, Given) and given.echoes:
            token = authorization.partition(" ")[2]
            return Given(given.status, given.headers, b'{"message": "not with %s"}' % token.encode())
        if isinstance(given, Given):
            return Given(given.status, given.headers, given.body.replace(b"https://queue.invalid", self._base.encode()))
        return given


class _Transport(httpx.AsyncBaseTransport):
    def __init__(self, service: _Service) -> None:
        self._service = service

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        authorization = request.headers.get("authorization", "")
        given = self._service.answer(request.method, request.url.path, authorization)
        assert isinstance(given, Given)
        headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in given.headers]
        return httpx.Response(given.status, headers=headers, stream=httpx.ByteStream(given.body), request=request)


def over_a_transport(script: Script, totals: Totals) -> None:
    """Run one script with values for answers, on virtual time."""

    async def main() -> None:
        service = _Service(script, "http://127.0.0.1:1")
        client = ScaleSetClient(
            "http://127.0.0.1:1/acme",
            TokenCredentials(token=PAT),
            clock=VirtualClock(),
            chance=random.Random(1),
            transport=_Transport(service),
            poll_transport=_Transport(service),
        )
        async with client:
            await _judge(script, client, totals)

    run_virtually(main)


async def over_a_socket(script: Script, totals: Totals) -> None:
    """Run one script with bytes for answers, on a real socket."""
    port = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, target, _ = head.split(" ", 2)
            headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            if length := int(headers.get("Content-Length", "0")):
                await reader.readexactly(length)
            given = service.answer(method, target.partition("?")[0], headers.get("Authorization", ""))
            writer.write(_wire(given) if isinstance(given, Given) else given)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        base = f"http://127.0.0.1:{port}"
        service = _Service(script, base)
        options = ConnectionOptions(read_timeout=5.0, poll_timeout=5.0)
        quick = Backoff(attempts=2, first=0.001, longest=0.002, limit=0.01)
        client = ScaleSetClient(f"{base}/acme", TokenCredentials(token=PAT), options=options, backoff=quick)
        async with client:
            await _judge(script, client, totals)


def _wire(given: Given) -> bytes:
    lines = [f"HTTP/1.1 {given.status} X", *(f"{name}: {value}" for name, value in given.headers)]
    lines += ["Connection: close", f"Content-Length: {len(given.body)}", "", ""]
    return "\r\n".join(lines).encode() + given.body


async def _judge(script: Script, client: ScaleSetClient, totals: Totals) -> None:
    """Make the call: any exception but ours ends the test, and so does a secret in what people may see."""
    totals.examples += 1
    try:
        outcome = await OPERATIONS[script.operation][1](client)
    except ServiceError as error:
        totals.outcomes[type(error).__name__] += 1
        shown = f"{error} {error!r} {vars(error)!r}"
    else:
        totals.outcomes["value"] += 1
        shown = f"{outcome!r} {outcome}"
    for secret in SECRETS:
        assert secret not in shown, f"{script.operation} shows a secret: {shown}"
