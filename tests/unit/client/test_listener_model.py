"""Whatever the service refuses, in whatever order: nothing is lost, nothing is acknowledged unhandled, polls resume."""

import asyncio
import base64
import json
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scaleset_client import JobAvailable, Listener, MessageSession, ScaleSetClient, TokenCredentials
from scaleset_client.session import MISSING_ALLOWED
from tests.kit.examples import examples
from tests.kit.virtual import VirtualClock, run_virtually

SESSION_SECONDS = 90.0
"""A session that nobody polls ends after this time."""

CALM = 1800.0
"""Virtual seconds in which everything must be in order again after the last fault."""

Reply = tuple[int, Any]
PAGE: Reply = (404, "page not found")
REFUSALS: dict[str, Reply] = {
    "400": (400, {"message": "Unauthorized"}),
    "400 cut": (400, '{"typeName":"RunnerScaleSetSess'),
    "401": (401, {"message": "Unauthorized"}),
    "403": (403, {"message": "Forbidden"}),
    "404": PAGE,
    "404 typed": (404, {"typeName": "X.VssServiceException, X", "message": "not here"}),
    "410": (410, "gone"),
    "429": (429, ""),
    "500": (500, ""),
    "503": (503, "<html>"),
}
FAULTS = (*REFUSALS, "drop before", "drop after", "lose", "no queue", "empty")
OPERATIONS = ("open", "refresh", "close", "poll", "acknowledge", "acquire", "registration", "admin")


def jwt(lifetime: float) -> str:
    now = VirtualClock().time()
    part = base64.urlsafe_b64encode(json.dumps({"iat": now, "exp": now + lifetime}).encode()).rstrip(b"=").decode()
    return f"e30.{part}.x"


@dataclass
class Service(httpx.AsyncBaseTransport):
    """Both hosts of the service: one scale set, its queue, its session; and the faults that are still to come."""

    faults: list[tuple[str, str]]
    session: str = ""
    seen_at: float = 0.0
    sessions: int = 0
    polls_held: int = 0
    last_message: int = 0
    tokens: dict[str, str] = field(default_factory=dict)
    messages: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    acknowledged: set[int] = field(default_factory=set)
    offered: list[int] = field(default_factory=list)
    acquired: set[int] = field(default_factory=set)
    ends: dict[int, float] = field(default_factory=dict)
    most: int = 0
    inclusive: bool = False
    polled_at: float = 0.0

    def say(self, kind: str, request_ids: Iterable[int]) -> None:
        """Put a message into the queue."""
        self.last_message += 1
        self.messages[self.last_message] = [{"messageType": kind, "runnerRequestId": one} for one in request_ids]

    def offer(self, *request_ids: int) -> None:
        self.offered += request_ids
        self.say("JobAvailable", request_ids)

    def step(self) -> None:
        """End the jobs whose time is over."""
        over = [one for one, end in self.ends.items() if end <= VirtualClock().monotonic()]
        for one in over:
            del self.ends[one]
        if over:
            self.say("JobCompleted", over)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        operation = self._operation(request)
        fault = next((one for one in self.faults if one[0] == operation), None)
        if fault is not None:
            self.faults.remove(fault)
        kind = fault[1] if fault else ""
        if kind == "lose":
            self.session = ""
        if kind == "drop before":
            raise httpx.ConnectError("refused")
        if kind in REFUSALS:
            return self._response(REFUSALS[kind])
        reply = await self._answer(operation, request)
        if kind == "drop after":
            raise httpx.ReadError("reset")
        if kind == "no queue" and isinstance(reply[1], dict) and "messageQueueUrl" in reply[1]:
            reply[1]["messageQueueUrl"] = ""
        return self._response((reply[0], "") if kind == "empty" else reply)

    def _operation(self, request: httpx.Request) -> str:
        rows = (
            (r"POST .*/registration-token", "registration"),
            (r"POST .*/runner-registration", "admin"),
            (r"POST .*/sessions", "open"),
            (r"PATCH .*/sessions/.*", "refresh"),
            (r"DELETE .*/sessions/.*", "close"),
            (r"GET .*/queue", "poll"),
            (r"DELETE .*/queue/.*", "acknowledge"),
            (r"POST .*/acquirejobs", "acquire"),
        )
        return next(name for row, name in rows if re.fullmatch(row, f"{request.method} {request.url.path}"))

    async def _answer(self, operation: str, request: httpx.Request) -> Reply:
        now = VirtualClock().monotonic()
        if self.session and not self.polls_held and now - self.seen_at > SESSION_SECONDS:
            self.session = ""
        number = request.url.path.rpartition("/")[2]
        token = request.headers["authorization"].removeprefix("Bearer ")
        match operation:
            case "registration":
                return 201, {"token": "R", "expires_at": "2100-01-01T00:00:00Z"}
            case "admin":
                return 200, {"url": "https://service.example/t", "token": jwt(1000)}
            case "open":
                if self.session:
                    return 409, {"typeName": "X.RunnerScaleSetSessionConflictException, X", "message": "in use"}
                self.sessions += 1
                self.session = f"s-{self.sessions}"
                return 200, self._described(now)
            case "refresh":
                gone: Reply = (404, {"typeName": "X.RunnerAdminException, X", "message": "no session in redis"})
                return (200, self._described(now)) if number == self.session else gone
            case "close":
                if number != self.session:
                    return 404, ""
                self.session = ""
                return 204, ""
        if self.tokens.get(token) != self.session:
            return 401, ""
        self.seen_at = now
        return await self._queue(operation, number, request)

    def _described(self, now: float) -> dict[str, Any]:
        self.seen_at = now
        token = jwt(1000 + self.sessions + len(self.tokens))
        self.tokens[token] = self.session
        return {
            "sessionId": self.session,
            "messageQueueUrl": "https://service.example/queue",
            "messageQueueAccessToken": token,
            "statistics": self._statistics(),
        }

    def _statistics(self) -> dict[str, int]:
        acquired = len(self.ends) if self.inclusive else 0
        available = len(self.offered) - len(self.acquired)
        return {"totalAvailableJobs": available, "totalAcquiredJobs": acquired, "totalAssignedJobs": len(self.ends)}

    async def _queue(self, operation: str, number: str, request: httpx.Request) -> Reply:
        if operation == "acknowledge":
            if int(number) not in self.messages:
                return PAGE
            self.acknowledged.add(int(number))
            del self.messages[int(number)]
            return 204, ""
        if operation == "acquire":
            wanted = [one for one in json.loads(request.content) if one in self.offered and one not in self.acquired]
            self.acquired.update(wanted)
            self.ends.update(dict.fromkeys(wanted, VirtualClock().monotonic() + 70))
            self.most = max(self.most, len(self.ends))
            if wanted:
                self.say("JobAssigned", wanted)
            return 200, {"count": len(wanted), "value": wanted}
        after = int(request.url.params.get("lastMessageId", 0))
        self.polls_held += 1
        self.step()
        try:
            await asyncio.sleep(1 if any(one > after for one in self.messages) else 50)
        finally:
            self.polls_held -= 1
        self.seen_at = self.polled_at = VirtualClock().monotonic()
        self.step()
        found = next((one for one in sorted(self.messages) if one > after), None)
        if found is None:
            return 202, ""
        body = json.dumps(self.messages[found])
        return 200, {"messageId": found, "body": body, "statistics": self._statistics()}

    @staticmethod
    def _response(reply: Reply) -> httpx.Response:
        status, value = reply
        if isinstance(value, str):
            return httpx.Response(status, content=value.encode(), headers={"content-type": "text/plain"})
        return httpx.Response(status, json=value)


async def listen(service: Service, messages: int, capacity: int, restarts: bool) -> None:
    clock = VirtualClock()
    handled: set[int] = set()
    offers: set[int] = set()
    client = ScaleSetClient(
        "https://github.com/acme",
        TokenCredentials(token="ghp_personal"),
        clock=clock,
        chance=random.Random(1),
        transport=service,
        poll_transport=service,
    )

    async def open_session() -> MessageSession:
        return await client.open_session(1, "host")

    async def handle(listener: Listener) -> None:
        async for message in listener:
            assert service.acknowledged <= handled, "acknowledged before it was handled"
            assert message.id not in service.acknowledged, "handled again after its acknowledgement"
            offers.update(event.request_id for event in message.events if isinstance(event, JobAvailable))
            handled.add(message.id)

    async def life(listener: Listener, seconds: float) -> None:
        listening = asyncio.create_task(handle(listener))
        await clock.sleep(seconds)
        assert not listening.done(), "nothing the service says ends the listener"
        listening.cancel()
        await asyncio.wait({listening})

    async with client:
        faults, service.faults = service.faults, []
        if restarts:
            async with Listener(open_session, lambda: capacity, clock=clock, chance=random.Random(2)) as listener:
                service.offer(1, 2, 3)
                await life(listener, 30)
        async with Listener(open_session, lambda: capacity, clock=clock, chance=random.Random(2)) as listener:
            service.faults = faults
            listening = asyncio.create_task(handle(listener))
            for number in range(1, messages + 1):
                service.offer(10 * number, 10 * number + 1)
                await clock.sleep(40)
            while service.faults and clock.monotonic() < 100_000:
                before = len(service.faults)
                await clock.sleep(400)
                if len(service.faults) == before:
                    service.faults = []  # what is never asked for any more cannot fail
            await clock.sleep(CALM)
            assert not listening.done(), "nothing the service says ends the listener"
            assert service.acquired == set(service.offered) == offers, "every job on offer was acquired, and said"
            assert service.most <= capacity, "no more jobs than runners"
            assert clock.monotonic() - service.polled_at < 60, "polling resumed"
            assert listener.failing is None
            listening.cancel()
            await asyncio.wait({listening})
        async with Listener(open_session, lambda: capacity, clock=clock, chance=random.Random(2)) as listener:
            await life(listener, 300)
            assert service.messages == {}, "every message was acknowledged, by the next life at the latest"
    assert service.session == "", "the session was closed in the end"


faults = st.lists(st.tuples(st.sampled_from(OPERATIONS), st.sampled_from(FAULTS), st.integers(1, 3)), max_size=15).map(
    lambda drawn: [(operation, fault) for operation, fault, times in drawn for _ in range(times)]
)


@given(
    faults=faults,
    messages=st.integers(1, 4),
    capacity=st.sampled_from((1, 2, 10_000)),
    restarts=st.booleans(),
    inclusive=st.booleans(),
)
@settings(max_examples=examples(200), deadline=None)
def test_nothing_is_lost_whatever_is_refused(
    faults: list[tuple[str, str]], messages: int, capacity: int, restarts: bool, inclusive: bool
) -> None:
    """What is answered ten times in a row as if there were nothing to acquire is taken for that, and not drawn."""
    assume(faults.count(("acquire", "404")) + faults.count(("acquire", "410")) < MISSING_ALLOWED)
    service = Service(list(faults), inclusive=inclusive)
    run_virtually(lambda: listen(service, messages, capacity, restarts))
