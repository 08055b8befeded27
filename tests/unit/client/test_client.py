"""The client against a service on loopback."""

import asyncio
from dataclasses import replace

import httpx
import pytest

from scaleset_client import (
    Backoff,
    ConnectionOptions,
    MintedRunner,
    MintRequest,
    RequestRecord,
    Runner,
    ScaleSetClient,
    SliceRefused,
    TokenCredentials,
    UserAgent,
)
from scaleset_client.observing import TRACE, Trace
from scaleset_hookspecs import (
    AuthenticationFailed,
    Conflict,
    Label,
    NotFound,
    PermissionDenied,
    RateLimited,
    Rejected,
    ServiceError,
    Unavailable,
)
from tests.unit.client.scripted import PAT, REGISTRATION, Answer, Received, ScriptedService, SteppedClock, client_of

pytestmark = pytest.mark.anyio

SETS, AGENTS = "runtime/runnerscalesets", "distributedtask/pools/0/agents"
SCALE_SET = {
    "id": 42,
    "name": "linux",
    "runnerGroupId": 3,
    "labels": [{"type": "", "name": "linux"}, {"type": "User", "name": "big"}],
    "RunnerSetting": {"disableUpdate": True},
    "createdOn": "2026-05-05T12:00:00.1234567Z",
    "statistics": {"totalAssignedJobs": 3},
}


def listed(*members: object) -> Answer:
    return Answer(200, {"count": len(members), "value": members})


async def test_a_mint_sends_what_the_protocol_says(service: ScriptedService, client: ScaleSetClient) -> None:
    """Chain, credentials, headers, query and body are those of sections 3, 4.1 and 8.1."""
    minted = await client.generate_jit_config(42, "linux-1", "_work")
    assert minted.runner == Runner(id=2**40 + 7, name="linux-1", scale_set_id=42, busy=False)
    registration, admin, mint = service.requests
    assert registration.headers["authorization"] == f"Bearer {PAT}"
    assert registration.headers["content-type"] == "application/vnd.github.v3+json"
    assert registration.body == b""
    assert admin.headers["authorization"] == f"RemoteAuth {REGISTRATION}"
    assert admin.json == {"url": f"{service.base}/acme", "runner_event": "register"}
    assert (mint.method, mint.path) == ("POST", f"/tenant/_apis/{SETS}/42/generatejitconfig")
    assert mint.query == {"k": "v+1", "api-version": "6.0-preview"}
    assert mint.headers["authorization"] == f"Bearer {service.admin_tokens[0]}"
    assert mint.headers["content-type"] == "application/json"
    assert mint.headers["user-agent"] == UserAgent().header()
    assert mint.headers["host"] == service.base.removeprefix("http://")
    assert mint.json == {"name": "linux-1", "workFolder": "_work"}
    assert "accept" not in mint.headers


async def test_a_thousand_cold_callers_share_one_chain(service: ScriptedService) -> None:
    """One registration token, one admin connection, and a thousand mints over no more connections than allowed."""
    async with client_of(service, options=ConnectionOptions(max_connections=20)) as client:
        minted = await asyncio.gather(*(client.generate_jit_config(42, f"r-{i}") for i in range(1000)))
        assert {one.runner.name for one in minted} == {f"r-{i}" for i in range(1000)}
        assert client.counters.token_requests == 2
        assert client.counters.requests["mint"] == 1000
        assert service.connections <= 20
        assert service.most_in_flight <= 20


async def test_a_token_is_renewed_ahead_while_callers_go_on(
    service: ScriptedService, client: ScaleSetClient, clock: SteppedClock
) -> None:
    """Near the end of the token there is one renewal, and nobody waits for it, even if it hangs."""
    await client.generate_jit_config(42, "first")
    gate = asyncio.Event()
    admin = service.admin
    service.on("POST", "/api/v3/actions/runner-registration", lambda r: replaced(admin(r), gate))
    clock.now += service.token_lifetime - 60
    await asyncio.gather(*(client.generate_jit_config(42, f"r-{i}") for i in range(100)))
    assert {one.token for one in service.asked("generatejitconfig")} == {service.admin_tokens[0]}
    gate.set()
    while client.counters.token_requests < 3 or len(service.admin_tokens) < 2:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.02)
    await client.generate_jit_config(42, "last")
    assert service.requests[-1].token == service.admin_tokens[1]
    assert client.counters.token_requests == 3, "the registration token still holds, so only one more request"


def replaced(answer: Answer, gate: asyncio.Event) -> Answer:
    answer.wait_for = gate
    return answer


async def test_a_failed_renewal_leaves_the_old_token_in_use(
    service: ScriptedService, client: ScaleSetClient, clock: SteppedClock
) -> None:
    """While the old token holds, a renewal that fails disturbs nobody, and is tried again only after a wait."""
    await client.connect()
    service.on("POST", "/api/v3/actions/runner-registration", Answer(400, {"message": "no"}))
    clock.now += service.token_lifetime - 60
    for i in range(20):
        await client.generate_jit_config(42, f"r-{i}")
    assert len(service.asked("runner-registration")) == 2
    clock.now += 49.5
    await client.generate_jit_config(42, "a")
    while len(service.asked("runner-registration")) < 3:
        await asyncio.sleep(0.01)
    clock.now += 10
    with pytest.raises(Rejected):
        await client.generate_jit_config(42, "too late")


async def test_a_401_renews_once_and_repeats_once(service: ScriptedService, client: ScaleSetClient) -> None:
    """A hundred callers refused with the same token cause one renewal; then all of them succeed."""
    await client.connect()
    old = service.admin_tokens[0]
    mint = service.routes["POST", f"/tenant/_apis/{SETS}/42/generatejitconfig"]
    expired = Answer(401, {"typeName": "GitHub.Services.InvalidTokenException, X", "message": "expired"})
    service.on_service("POST", f"{SETS}/42/generatejitconfig", lambda r: expired if r.token == old else mint(r))
    await asyncio.gather(*(client.generate_jit_config(42, f"r-{i}") for i in range(100)))
    assert len(service.admin_tokens) == 2


async def test_a_mint_that_waits_for_a_token_is_known_to_be_unsent(
    service: ScriptedService, client: ScaleSetClient
) -> None:
    """From the start until its own first byte, and again after a 401; the chain's requests are not its own."""
    gate = asyncio.Event()
    admin = service.admin
    service.on("POST", "/api/v3/actions/runner-registration", lambda r: replaced(admin(r), gate))
    traces = [Trace() for _ in range(5)]

    async def mint(number: int) -> None:
        TRACE.set(traces[number])
        await client.generate_jit_config(42, f"r-{number}")

    minting = [asyncio.create_task(mint(number)) for number in range(5)]
    while not service.asked("runner-registration"):
        await asyncio.sleep(0.01)
    assert [trace.unsent for trace in traces] == [True] * 5
    gate.set()
    await asyncio.gather(*minting)
    assert [trace.unsent for trace in traces] == [False] * 5


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("C0DE:12AB:33F0", "C0DE:12AB:33F0"),
        ("an id of a gateway", "an id of a gateway"),
        ("ghp_0123456789abcdefghij", "***"),
        ("", None),
    ],
)
async def test_a_mint_tells_what_the_service_calls_it(
    service: ScriptedService, client: ScaleSetClient, sent: str, told: str | None
) -> None:
    """Its status and request id stand in its trace; what looks like a secret does not."""
    mint = service.routes["POST", f"/tenant/_apis/{SETS}/42/generatejitconfig"]
    identified = {"X-GitHub-Request-Id": sent} if sent else {}
    service.on_service("POST", f"{SETS}/42/generatejitconfig", lambda r: replace(mint(r), headers=identified))
    trace = Trace()
    TRACE.set(trace)
    await client.generate_jit_config(42, "r-1")
    assert (trace.status, trace.request_id) == (200, told)


async def test_a_mint_that_was_not_answered_tells_nothing_of_the_401_before(
    service: ScriptedService, client: ScaleSetClient
) -> None:
    await client.connect()
    old = service.admin_tokens[0]
    refused, cut = Answer(401, headers={"X-GitHub-Request-Id": "C0DE:12AB:33F0"}), Answer(reset=True)
    service.on_service("POST", f"{SETS}/42/generatejitconfig", lambda r: refused if r.token == old else cut)
    trace = Trace()
    TRACE.set(trace)
    with pytest.raises(Unavailable):
        await client.generate_jit_config(42, "r-1")
    assert (trace.status, trace.request_id, trace.unsent) == (None, None, False)


async def test_a_late_401_does_not_drop_a_newer_token(service: ScriptedService, client: ScaleSetClient) -> None:
    """Only the token that was refused is dropped: the one got meanwhile is good."""
    await client.connect()
    old, gate = service.admin_tokens[0], asyncio.Event()
    runner = Answer(200, {"id": 7, "name": "r"})
    late = Answer(401, wait_for=gate)
    service.on_service("GET", f"{AGENTS}/7", lambda r: late if r.token == old else runner)
    other = Answer(200, {"id": 8, "name": "s"})
    service.on_service("GET", f"{AGENTS}/8", lambda r: Answer(401) if r.token == old else other)
    waiting = asyncio.create_task(client.get_runner(7))
    while not service.asked("agents/7"):
        await asyncio.sleep(0.01)
    await client.get_runner(8)
    gate.set()
    await waiting
    assert len(service.admin_tokens) == 2


async def test_a_404_that_names_nothing_proves_no_removal(service: ScriptedService, client: ScaleSetClient) -> None:
    """A router's 404 says nothing of the runner: taken for "gone already" it would leave a ghost."""
    service.on_service("DELETE", f"{AGENTS}/7", Answer(404, b"404 page not found"))
    with pytest.raises(NotFound):
        await client.remove_runner(7)


async def test_a_second_401_is_an_error(service: ScriptedService, client: ScaleSetClient) -> None:
    """What is refused with a new token as well is refused."""
    service.on_service("GET", f"{AGENTS}/7", Answer(401, b""))
    with pytest.raises(AuthenticationFailed) as caught:
        await client.get_runner(7)
    assert caught.value.status == 401
    assert len(service.asked("agents/7")) == 2


async def test_a_token_that_was_refused_stays_secret(service: ScriptedService, client: ScaleSetClient) -> None:
    """Careless proxies repeat what they were sent; by then the token is not held any more."""
    service.on_service("GET", f"{AGENTS}/7", lambda r: Answer(401, {"message": f"not with {r.token}"}))
    with pytest.raises(AuthenticationFailed) as caught:
        await client.get_runner(7)
    assert not any(token in f"{caught.value} {caught.value!r}" for token in service.admin_tokens)


async def test_names_are_quoted(service: ScriptedService, client: ScaleSetClient) -> None:
    """Every character of a name survives the query (protocol 4.1)."""
    name = "a&b#c%d+e f/ü"
    service.on_service("GET", SETS, listed(SCALE_SET | {"name": name}))
    found = await client.get_scale_set_by_name(name, 3)
    assert found is not None
    assert found.name == name
    assert service.requests[-1].query["name"] == name
    assert service.requests[-1].query["runnerGroupId"] == "3"


async def test_scale_sets(service: ScriptedService, client: ScaleSetClient) -> None:
    """Rows 1 to 6: what is sent, and what is understood."""
    service.on_service("GET", SETS, listed(SCALE_SET))
    service.on_service("GET", f"{SETS}/42", Answer(200, SCALE_SET))
    service.on_service("GET", f"{SETS}/43", Answer(200, b"null"))
    service.on_service("POST", SETS, Answer(200, SCALE_SET))
    service.on_service("PATCH", f"{SETS}/42", Answer(200, SCALE_SET))
    service.on_service(
        "DELETE", f"{SETS}/42", [Answer(204), Answer(404, {"typeName": "X.RunnerScaleSetNotFoundException"})]
    )
    one = await client.get_scale_set_by_name("LINUX", 3)
    assert one is not None
    assert one.labels == (Label(name="linux"), Label(name="big", type="User"))
    assert one.disable_update
    assert one.created_at == pytest.approx(1777982400.123456)
    assert one.statistics is not None
    assert one.statistics.assigned_jobs == 3
    assert await client.list_scale_sets() == (one,)
    assert "runnerGroupId" not in service.requests[-1].query
    assert await client.get_scale_set(42) == one
    with pytest.raises(NotFound):
        await client.get_scale_set(43)
    assert await client.create_scale_set("linux", runner_group_id=3, disable_update=True) == one
    assert service.requests[-1].json == {
        "name": "linux",
        "runnerGroupId": 3,
        "labels": [{"type": "System", "name": "linux"}],
        "RunnerSetting": {"disableUpdate": True},
    }
    assert await client.update_scale_set(42, name="new") == one
    assert service.requests[-1].json == {"name": "new"}
    assert await client.delete_scale_set(42)
    assert not await client.delete_scale_set(42)


async def test_runner_groups(service: ScriptedService, client: ScaleSetClient) -> None:
    """`default` is not looked up; others are, at the address with the slash (row 7)."""
    assert (await client.get_runner_group("Default")).id == 1
    assert service.requests == []
    group = {"id": 5, "name": "big", "size": 3, "isDefaultGroup": False}
    service.on_service("GET", "runtime/runnergroups/", [listed(group), listed()])
    assert (await client.get_runner_group("big")).size == 3
    with pytest.raises(NotFound, match="'gone'"):
        await client.get_runner_group("gone")


async def test_runners(service: ScriptedService, client: ScaleSetClient) -> None:
    """Rows 9 to 12, where "gone" is an answer and "has a job" an error."""
    runner = {"id": 7, "name": "r", "runnerScaleSetId": 0, "status": "online"}
    gone = Answer(404, {"typeName": "GitHub.DistributedTask.WebApi.TaskAgentNotFoundException, GitHub"})
    busy = {"typeName": "GitHub.DistributedTask.WebApi.TaskAgentJobStillRunningException, GitHub", "message": "busy"}
    service.on_service("GET", f"{AGENTS}/7", [Answer(200, runner), gone])
    service.on_service("GET", AGENTS, [listed(runner), listed(), listed(runner, runner), listed(runner, runner)])
    service.on_service("DELETE", f"{AGENTS}/7", [Answer(204), gone, Answer(400, busy), Answer(409, busy)])
    assert await client.get_runner(7) == Runner(id=7, name="r", status="online")
    with pytest.raises(NotFound):
        await client.get_runner(7)
    assert await client.find_runner("r") == Runner(id=7, name="r", status="online")
    assert await client.find_runner("r") is None
    with pytest.raises(Rejected, match="2 of them"):
        await client.find_runner("r")
    assert len(await client.list_runners()) == 2
    assert await client.remove_runner(7)
    assert not await client.remove_runner(7)
    for _ in range(2):
        with pytest.raises(Conflict) as caught:
            await client.remove_runner(7)
        assert "JobStillRunningException" in str(caught.value.type_name)


async def test_a_look_up_is_repeated_until_it_succeeds(
    service: ScriptedService, client: ScaleSetClient, clock: SteppedClock
) -> None:
    """503, an empty 200, a cut 200 and a reset pass; the waits grow and are never the same."""
    service.on_service(
        "GET",
        f"{AGENTS}/7",
        [
            Answer(503, b"<html><title>upstream</title>"),
            Answer(200, b""),
            Answer(200, {"id": 7}, cut=3),
            Answer(reset=True),
            Answer(200, {"id": 7, "name": "r"}),
        ],
    )
    assert (await client.get_runner(7)).name == "r"
    assert len(clock.slept) == 4
    assert 0.25 <= clock.slept[0] <= 0.75
    assert 2.0 <= clock.slept[3] <= 6.0


async def test_the_last_answer_stays_on_the_error(service: ScriptedService) -> None:
    """After the last repeat the caller gets the facts of the last answer, not "gave up"."""
    headers = {"ActivityId": "act-1", "X-GitHub-Request-Id": "AA:BB"}
    service.on_service("GET", AGENTS, Answer(502, b"bad gateway", headers))
    async with client_of(service, backoff=Backoff(attempts=3)) as client:
        with pytest.raises(Unavailable) as caught:
            await client.list_runners()
    error = caught.value
    assert (error.status, error.activity_id, error.request_id) == (502, "act-1", "AA:BB")
    assert "bad gateway" in str(error)
    assert len(service.asked("agents")) == 3


async def test_retry_after_is_kept(service: ScriptedService, client: ScaleSetClient, clock: SteppedClock) -> None:
    """A short `Retry-After` is waited for in full; a long one is reported at once, without waiting."""
    limited = [Answer(429, b"", {"Retry-After": "7"}), Answer(200, {"id": 7, "name": "r"})]
    service.on_service("GET", f"{AGENTS}/7", limited)
    await client.get_runner(7)
    assert 7.0 <= clock.slept[0] <= 8.0
    service.on_service("GET", AGENTS, Answer(403, {"message": "API rate limit exceeded"}, {"Retry-After": "3000"}))
    with pytest.raises(RateLimited) as caught:
        await client.list_runners()
    assert caught.value.retry_after == 3000
    assert len(clock.slept) == 1
    sent = len(service.requests)
    with pytest.raises(RateLimited, match="nothing was sent"):
        await client.get_runner(7)
    assert len(service.requests) == sent, "a pause holds for every look-up"
    clock.now += 2990
    await asyncio.gather(*(client.get_runner(7) for _ in range(3)))
    assert sum(clock.slept[1:]) >= 10


@pytest.mark.parametrize(
    ("answer", "error", "maybe"),
    [
        (Answer(503), Unavailable, True),
        (Answer(200, b""), Unavailable, True),
        (Answer(200, {"runner": {"id": 7}}), Unavailable, True),
        (Answer(201, {"runner": {"id": 7}, "encodedJITConfig": "x"}), Unavailable, True),
        (Answer(reset=True), Unavailable, True),
        (Answer(429), RateLimited, False),
        (Answer(403, {"message": "disabled"}), PermissionDenied, False),
        (Answer(404, {"typeName": "A.RunnerScaleSetNotFoundException, B"}), NotFound, False),
        (Answer(409, {"typeName": "A.TaskAgentExistsException, B", "message": "exists"}), Conflict, False),
        (Answer(409, b""), Conflict, False),
    ],
)
async def test_a_mint_is_never_repeated(
    service: ScriptedService, client: ScaleSetClient, answer: Answer, error: type[ServiceError], maybe: bool
) -> None:
    """One request, whatever happens, and the error says whether it may have registered a runner (8.4)."""
    service.on_service("POST", f"{SETS}/42/generatejitconfig", answer)
    with pytest.raises(error) as caught:
        await client.generate_jit_config(42, "r")
    assert type(caught.value) is error
    assert caught.value.maybe_applied is maybe
    assert len(service.asked("generatejitconfig")) == 1
    if answer.status == 409:
        assert "AgentExistsException" in str(caught.value.type_name)


async def test_a_create_is_repeated_only_if_it_surely_changed_nothing(
    service: ScriptedService, client: ScaleSetClient
) -> None:
    """After 429 yes, after a lost answer no."""
    service.on_service("POST", SETS, [Answer(429), Answer(200, SCALE_SET)])
    assert (await client.create_scale_set("linux")).id == 42
    service.on_service("POST", SETS, [Answer(reset=True), Answer(200, SCALE_SET)])
    with pytest.raises(Unavailable) as caught:
        await client.create_scale_set("linux")
    assert caught.value.maybe_applied


async def test_a_hung_mint_ends_and_delays_nobody(service: ScriptedService, client: ScaleSetClient) -> None:
    """The time limit of a call holds for its whole answer; others pass meanwhile."""
    never = asyncio.Event()
    mint = service.routes["POST", f"/tenant/_apis/{SETS}/42/generatejitconfig"]

    def reply(request: Received) -> Answer:
        return Answer(wait_for=never) if request.json["name"] == "hung" else mint(request)

    service.on_service("POST", f"{SETS}/42/generatejitconfig", reply)
    hung = asyncio.create_task(client.generate_jit_config(42, "hung", time_limit=0.3))
    await asyncio.gather(*(client.generate_jit_config(42, f"r-{i}") for i in range(20)))
    assert not hung.done()
    with pytest.raises(Unavailable) as caught:
        await hung
    assert caught.value.maybe_applied
    never.set()


async def test_a_refused_connection_changed_nothing(clock: SteppedClock) -> None:
    """Nobody listens: the error says so, and that nothing was sent."""
    async with ScaleSetClient(
        "http://127.0.0.1:9/acme", TokenCredentials(token=PAT), clock=clock, backoff=Backoff(attempts=2)
    ) as client:
        with pytest.raises(Unavailable) as caught:
            await client.generate_jit_config(42, "r")
    assert not caught.value.maybe_applied


WANTED = (MintRequest(name="a"), MintRequest(name="b", work_folder="w"), MintRequest(name="c"), MintRequest(name="d"))


async def test_a_slice_is_matched_by_name(service: ScriptedService, client: ScaleSetClient) -> None:
    """Outcomes come in the order asked for: configs, refusals, and what the answer forgot."""
    members = [
        {"name": "b", "typeName": "X.TaskAgentExistsException, Y", "message": "exists", "status": 409},
        {"runner": {"id": 3, "name": "c"}, "encodedJITConfig": ""},
        {"runner": {"id": 1, "name": "a"}, "encodedJITConfig": "x"},
        "nonsense",
        {"name": "a", "message": "a second word on one that is minted", "status": 400},
    ]
    service.on_service("POST", f"{SETS}/42/generatejitconfig", Answer(200, {"count": 3, "value": members}))
    a, b, c, d = await client.generate_jit_configs(42, WANTED)
    assert service.requests[-1].json[1] == {"name": "b", "workFolder": "w"}
    assert isinstance(a, MintedRunner)
    assert isinstance(b, Conflict)
    assert b.status == 409
    assert isinstance(c, Unavailable)
    assert c.maybe_applied
    assert isinstance(d, Unavailable)
    assert d.maybe_applied
    assert await client.generate_jit_configs(42, ()) == ()


@pytest.mark.parametrize("status", [400, 404, 405, 415, 422])
async def test_a_service_without_slices_says_so(service: ScriptedService, client: ScaleSetClient, status: int) -> None:
    """A refusal of the form is told from a refusal of the scale set."""
    service.on_service("POST", f"{SETS}/42/generatejitconfig", Answer(status, {"message": "expected an object"}))
    with pytest.raises(SliceRefused) as caught:
        await client.generate_jit_configs(42, WANTED)
    assert not caught.value.maybe_applied
    gone = Answer(404, {"typeName": "X.RunnerScaleSetNotFoundException, Y"})
    service.on_service("POST", f"{SETS}/42/generatejitconfig", gone)
    with pytest.raises(NotFound):
        await client.generate_jit_configs(42, WANTED)


async def test_requests_are_counted_and_reported(service: ScriptedService) -> None:
    """Every request is reported once with its status, and a broken observer breaks no call."""
    records: list[RequestRecord] = []

    def observe(record: RequestRecord) -> None:
        records.append(record)
        raise RuntimeError("an observer's own fault")

    async with client_of(service, on_request=observe) as client:
        await client.generate_jit_config(42, "r")
        assert [(one.kind.value, one.status) for one in records] == [
            ("registration_token", 201),
            ("admin_connection", 200),
            ("mint", 200),
        ]
        assert client.counters.requests == {"registration_token": 1, "admin_connection": 1, "mint": 1}
        assert client.counters.connections_opened == service.connections


async def test_connections_are_opened_ahead(service: ScriptedService, client: ScaleSetClient) -> None:
    """Warmed connections are there, and a burst uses them."""
    assert await client.warm(5) == 5
    assert client.connections_open == 5
    await asyncio.gather(*(client.generate_jit_config(42, f"r-{i}") for i in range(5)))
    assert service.connections == 5


async def test_closing_refuses_whoever_waits_for_a_turn_and_whoever_comes_later(service: ScriptedService) -> None:
    """With an error of ours, also to those whose request was under way."""
    gate = asyncio.Event()
    service.on_service("POST", f"{SETS}/42/generatejitconfig", Answer(wait_for=gate))
    client = client_of(service, options=ConnectionOptions(max_connections=2))
    await client.connect()
    minting = [asyncio.create_task(client.generate_jit_config(42, f"r-{i}")) for i in range(5)]
    while len(service.asked("generatejitconfig")) < 2:
        await asyncio.sleep(0.01)
    await client.aclose()
    errors = await asyncio.gather(*minting, return_exceptions=True)
    assert [type(error) for error in errors] == [Unavailable, Unavailable, Rejected, Rejected, Rejected]
    assert [error.maybe_applied for error in errors if isinstance(error, ServiceError)] == [True] * 2 + [False] * 3
    for call in (client.list_runners(), client.warm(1)):
        with pytest.raises(Rejected, match="the client is closed"):
            await call
    gate.set()


async def test_any_httpx_transport_will_do(service: ScriptedService) -> None:
    """A transport of one's own needs nothing but httpx's face, and is closed with the client."""
    async with ScaleSetClient(
        f"{service.base}/acme", TokenCredentials(token=PAT), clock=service.clock, transport=httpx.AsyncHTTPTransport()
    ) as client:
        assert (await client.generate_jit_config(42, "r")).runner.name == "r"
        assert await client.warm(5) == 0


async def test_a_body_without_end_is_refused(service: ScriptedService) -> None:
    """No answer takes more memory than the longest honest one."""
    service.on_service("GET", AGENTS, Answer(200, b"[" + b" " * (17 << 20)))
    async with client_of(service, backoff=Backoff(attempts=1)) as client:
        with pytest.raises(Unavailable, match="larger than 16 MiB"):
            await client.list_runners()


async def test_offers_can_be_listed_and_acquired_by_hand(service: ScriptedService, client: ScaleSetClient) -> None:
    """Rows 18 and 19, for clients without a session of ours."""
    service.on_service(
        "GET", f"{SETS}/42/acquirablejobs", [Answer(503), listed({"runnerRequestId": 5, "jobId": "j"}), Answer(204)]
    )
    service.on_service("POST", f"{SETS}/42/acquirejobs", listed(5))
    (offer,) = await client.acquirable_jobs(42)
    assert (offer.request_id, offer.job_id) == (5, "j")
    assert await client.acquirable_jobs(42) == ()
    assert await client.acquire_jobs(42, [5, 6], "queue-token") == (5,)
    assert service.requests[-1].token == "queue-token"
    assert service.requests[-1].query["api-version"] == "6.0-preview"
