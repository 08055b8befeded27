"""What the official client's own tests hold of tokens, sessions and certificates, as rows of ours."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from scaleset_client import Backoff, ConnectionOptions, MessageSession, ScaleSetClient
from scaleset_hookspecs import AuthenticationFailed, Rejected, ServiceError, Unavailable
from tests.unit.client.scripted import Answer, ScriptedService, client_of, jwt_ending

pytestmark = pytest.mark.anyio

SETS = "runtime/runnerscalesets"
AGENTS = "distributedtask/pools/0/agents"
RUNNER = {"id": 1, "name": "self-hosted-ubuntu"}
PLAIN = {"Content-Type": "text/plain"}
FAST = Backoff(attempts=3)


# Admin token: a new client gets one, a valid one is kept, one that ends is replaced.
async def test_the_admin_token_is_managed(service: ScriptedService, client: ScaleSetClient) -> None:
    """Brand new, still valid, ended: one, none, one more."""
    service.on_service("GET", f"{AGENTS}/1", Answer(200, RUNNER))
    for now, tokens in ((0.0, 1), (600.0, 1), (3600.0, 2)):
        service.clock.now = 1_800_000_000.0 + now
        await client.get_runner(1)
        assert len(service.admin_tokens) == tokens
        assert service.asked("agents/1")[-1].token == service.admin_tokens[-1]


# Admin token: refusals in the last step are repeated; the error at the end quotes the service.
@pytest.mark.parametrize(("refusals", "works"), [(4, True), (50, False)])
async def test_refusals_of_the_last_step(service: ScriptedService, refusals: int, works: bool) -> None:
    """Four refusals pass; more than that is reported."""
    admin = "/api/v3/actions/runner-registration"
    token = jwt_ending(service.clock.now + 3600, issued=service.clock.now)
    good = Answer(201, {"url": f"{service.base}/tenant", "token": token})
    service.on("POST", admin, [Answer(401, {"message": "refused: test"})] * refusals + [good])
    service.on_service("GET", f"{AGENTS}/1", Answer(200, RUNNER))
    async with client_of(service) as client:
        if works:
            assert (await client.get_runner(1)).id == 1
            return
        with pytest.raises(AuthenticationFailed, match="refused: test"):
            await client.get_runner(1)
    assert len(service.asked(admin)) == 6


# Token chain: a step that keeps failing is repeated as configured, and not once more for every repeat of the call.
async def test_a_failing_step_is_repeated_as_configured(service: ScriptedService) -> None:
    """Three requests, not nine."""
    registration = "/api/v3/orgs/acme/actions/runners/registration-token"
    service.on("POST", registration, Answer(503))
    async with client_of(service, backoff=FAST) as client:
        with pytest.raises(Unavailable):
            await client.get_runner(1)
    assert len(service.asked(registration)) == 3


def session_answer(service: ScriptedService, token: str) -> Answer:
    """Return a session whose queue token this is."""
    made = {"sessionId": "s-1", "ownerName": "o", "messageQueueUrl": f"{service.base}/queue?s=1"}
    return Answer(200, {**made, "messageQueueAccessToken": token, "statistics": {}})


@asynccontextmanager
async def open_session(service: ScriptedService) -> AsyncIterator[MessageSession]:
    """Open a session whose token is Q1, and Q2 after a refresh."""
    service.on_service("POST", f"{SETS}/1/sessions", session_answer(service, "Q1"))
    service.on_service("PATCH", f"{SETS}/1/sessions/s-1", session_answer(service, "Q2"))
    async with client_of(service, backoff=FAST) as client:
        yield await client.open_session(1, "o")


def message(number: int) -> Answer:
    """Return a message without events."""
    body = {"messageId": number, "messageType": "RunnerScaleSetJobMessages", "body": "[]", "statistics": {}}
    return Answer(200, body)


# Queue token: one that has ended is renewed once, for a poll, an acknowledgement and an acquisition; twice is an error.
@pytest.mark.parametrize("renewed", [True, False])
@pytest.mark.parametrize("what", ["poll", "acknowledge", "acquire"])
async def test_the_queue_token_is_renewed_once(service: ScriptedService, what: str, renewed: bool) -> None:
    """401, refresh, once more; a second 401 is the caller's to know, unless a look shows that the session was lost."""
    routes: dict[str, tuple[str, str, Answer]] = {
        "poll": ("GET", "/queue", message(34)),
        "acknowledge": ("DELETE", "/queue/34", Answer(204)),
        "acquire": ("POST", f"/tenant/_apis/{SETS}/1/acquirejobs", Answer(200, {"count": 2, "value": [1, 2]})),
    }
    method, path, good = routes[what]
    service.on("GET", "/queue", message(34))
    async with open_session(service) as session:
        polled = await session.poll(10) if what == "acknowledge" else None
        service.on(method, path, lambda one: good if renewed and one.token == "Q2" else Answer(401))
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "poll": lambda: session.poll(10),
            "acknowledge": lambda: session.acknowledge(polled),  # type: ignore[arg-type]
            "acquire": lambda: session.acquire([1, 2]),
        }
        if renewed:
            await calls[what]()
        else:
            with pytest.raises(AuthenticationFailed):
                await calls[what]()
    tokens = [one.token for one in service.requests if (one.method, one.path) == (method, path)]
    assert tokens[-2:] == ["Q1", "Q2"]
    assert len(service.asked("/sessions/s-1", "PATCH")) == (1 if renewed else 2)


# Polls: the cursor only if there is one, the capacity always; a refused capacity is quoted.
async def test_what_a_poll_sends(service: ScriptedService) -> None:
    """No cursor at first, the last message's id after its acknowledgement, the capacity each time."""
    service.on("GET", "/queue", [message(1), Answer(202), Answer(400, b"capacity error", PLAIN)])
    service.on("DELETE", "/queue/1", Answer(204))
    async with open_session(service) as session:
        polled = await session.poll(0)
        assert polled is not None
        await session.acknowledge(polled)
        assert await session.poll(5) is None
        with pytest.raises(Rejected, match="capacity error"):
            await session.poll(0)
    polls = service.asked("/queue", "GET")
    assert [(one.query.get("lastMessageId"), one.headers["x-scalesetmaxcapacity"]) for one in polls] == [
        (None, "0"),
        ("1", "5"),
        ("1", "0"),
    ]


# Closing: told again if the service fails.
async def test_closing_is_repeated(service: ScriptedService) -> None:
    """A session left open blocks the next one for 90 s, so one 503 is not taken for an answer."""
    service.on_service("DELETE", f"{SETS}/1/sessions/s-1", [Answer(503), Answer(204)])
    async with open_session(service) as session:
        await session.close()
    assert len(service.asked("/sessions/s-1", "DELETE")) == 2


async def over_tls(service: ScriptedService, context: ssl.SSLContext) -> tuple[asyncio.Server, str]:
    """Serve the same service over TLS; return the server and its address."""
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0, ssl=context)
    return server, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


# TLS: unknown authority, root given, and only the intermediate authority given.
@pytest.mark.parametrize(("trusts", "works"), [("nothing", False), ("root", True), ("intermediate", True)])
async def test_own_authorities(service: ScriptedService, tmp_path: Path, trusts: str, works: bool) -> None:
    """A server whose certificate leads to an authority that was given is spoken to, and no other."""
    root = trustme.CA()
    between = root.create_child_ca()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (between if trusts == "intermediate" else root).issue_cert("127.0.0.1").configure_cert(context)
    pem = tmp_path / "ca.pem"
    (between if trusts == "intermediate" else root).cert_pem.write_to_path(str(pem))
    server, base = await over_tls(service, context)
    service.clock.now = time.time()
    service.base = base
    service.on_service("DELETE", f"{AGENTS}/1", Answer(204))
    options = ConnectionOptions(ca_file=None if trusts == "nothing" else str(pem))
    try:
        async with client_of(service, options=options, backoff=FAST) as client:
            if works:
                assert await client.remove_runner(1) is True
            else:
                with pytest.raises(ServiceError, match="certificate"):
                    await client.remove_runner(1)
    finally:
        server.close()
    assert (len(service.requests) == 3) is works
