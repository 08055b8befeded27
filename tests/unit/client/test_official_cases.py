"""What the official client's own tests hold of a client, as rows of ours; each group names the topic it stands for.

Tokens, sessions and certificates are in `test_official_sessions.py`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from scaleset_client import Backoff, ScaleSetClient, TokenCredentials, UserAgent
from scaleset_client.urls import ScopeKind, endpoint_url, parse_config_url
from scaleset_hookspecs import Conflict, Label, NotFound, Rejected, ServiceError, Unavailable, UsageError
from tests.unit.client.scripted import PAT, Answer, ScriptedService, client_of

ORG, REPO, BIG = ScopeKind.ORGANISATION, ScopeKind.REPOSITORY, ScopeKind.ENTERPRISE
SETS = "runtime/runnerscalesets"
AGENTS = "distributedtask/pools/0/agents"
SET = {"id": 1, "name": "ss", "runnerGroupId": 1}
RUNNER = {"id": 1, "name": "self-hosted-ubuntu"}
FAST = Backoff(attempts=3)


# Config URLs: scope, hosted or not, and the host of the REST API.
@pytest.mark.parametrize(
    ("url", "kind", "target", "api_base"),
    [
        ("https://github.com/org/repo", REPO, "org/repo", "https://api.github.com"),
        ("https://github.com/org/repo/", REPO, "org/repo", "https://api.github.com"),
        ("https://github.com/org", ORG, "org", "https://api.github.com"),
        ("https://github.com/enterprises/my-enterprise", BIG, "my-enterprise", "https://api.github.com"),
        ("https://github.com/enterprises/my-enterprise/", BIG, "my-enterprise", "https://api.github.com"),
        ("https://www.github.com/org", ORG, "org", "https://api.github.com"),
        ("https://www.github.com/org/", ORG, "org", "https://api.github.com"),
        ("https://www.github.com/org/repo", REPO, "org/repo", "https://api.github.com"),
        ("https://github.localhost/org", ORG, "org", "https://api.github.localhost"),
        ("http://github.localhost/org/repo", REPO, "org/repo", "http://api.github.localhost"),
        ("https://my-ghes.com/org", ORG, "org", "https://my-ghes.com/api/v3"),
        ("https://my-ghes.com/org/", ORG, "org", "https://my-ghes.com/api/v3"),
        ("https://my-instance.com/org/repo", REPO, "org/repo", "https://my-instance.com/api/v3"),
        ("https://my-ghes.ghe.com/org/", ORG, "org", "https://api.my-ghes.ghe.com"),
        ("https://github.ghe.com/org/repo", REPO, "org/repo", "https://api.github.ghe.com"),
        ("http://localhost/org/repo", REPO, "org/repo", "http://localhost/api/v3"),
    ],
)
def test_config_urls(url: str, kind: ScopeKind, target: str, api_base: str) -> None:
    """Valid URLs lead to a scope and to a host."""
    config = parse_config_url(url)
    assert (config.kind, config.target, config.api_base) == (kind, target, api_base)


# Config URLs: a host of ghe.com where GHES is forced.
def test_ghe_com_as_ghes() -> None:
    """The variable turns a hosted name into an appliance."""
    assert parse_config_url("https://test.ghe.com/org/repo", force_ghes=True).api_base == "https://test.ghe.com/api/v3"


# Config URLs: invalid ones.
@pytest.mark.parametrize("url", ["https://github.com/", "https://github.com", "https://github.com/some/random/path"])
def test_invalid_config_urls(url: str) -> None:
    """What names no scope is refused before anything is sent."""
    with pytest.raises(UsageError):
        ScaleSetClient(url, TokenCredentials(token=PAT))


# Requests to the Actions service: base path, query and API version.
def test_endpoint_addresses() -> None:
    """The endpoint's path is appended to the base's, and its query is added."""
    query = (("name", "banana"), ("api-version", "6.0-preview"))
    url = endpoint_url("https://h/tenant/123/", "/my/path", query)
    assert url == "https://h/tenant/123/my/path?name=banana&api-version=6.0-preview"


# User agent: what the caller says of itself, besides what the client says.
def test_user_agent() -> None:
    """Every part is in the header."""
    agent = UserAgent(system="arc", version="0.1.0", commit_sha="1234567890abcdef", scale_set_id=10, subsystem="test")
    header = agent.header()
    assert header.startswith('{"system":"arc","version":"0.1.0","commit_sha":"1234567890abcdef","scale_set_id":10,')
    assert header.endswith('"kind":"scaleset"}')


Call = Callable[[ScaleSetClient], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Case:
    """One call, what it is answered, and what has to come of it.

    Attributes:
        error: The error it has to raise, or nothing.
        sent: Requests that have to arrive at the address.
        said: Texts the error has to contain.
    """

    topic: str
    call: Call
    answer: Answer
    error: type[ServiceError] | None = None
    sent: int = 1
    said: tuple[str, ...] = ()


def listed(*members: object) -> Answer:
    """Return a list as the service writes it."""
    return Answer(200, {"count": len(members), "value": members})


def named(status: int, name: str, said: str, **headers: str) -> Answer:
    """Return an error as the service writes it."""
    return Answer(status, {"typeName": name, "message": said}, headers)


def runner(client: ScaleSetClient) -> Awaitable[object]:
    """Read a runner."""
    return client.get_runner(1)


def by_name(client: ScaleSetClient) -> Awaitable[object]:
    """Find a runner."""
    return client.find_runner("self-hosted-ubuntu")


def remove(client: ScaleSetClient) -> Awaitable[object]:
    """Remove a runner."""
    return client.remove_runner(1)


def group(client: ScaleSetClient) -> Awaitable[object]:
    """Find a runner group."""
    return client.get_runner_group("g")


def find(client: ScaleSetClient) -> Awaitable[object]:
    """Find a scale set."""
    return client.get_scale_set_by_name("ss")


def get(client: ScaleSetClient) -> Awaitable[object]:
    """Read a scale set."""
    return client.get_scale_set(1)


def create(client: ScaleSetClient) -> Awaitable[object]:
    """Create a scale set."""
    return client.create_scale_set("ss")


def update(client: ScaleSetClient) -> Awaitable[object]:
    """Change a scale set."""
    return client.update_scale_set(1, name="ss")


def delete(client: ScaleSetClient) -> Awaitable[object]:
    """Delete a scale set."""
    return client.delete_scale_set(1)


def mint(client: ScaleSetClient) -> Awaitable[object]:
    """Mint a JIT config."""
    return client.generate_jit_config(1, "self-hosted-ubuntu")


def opened(client: ScaleSetClient) -> Awaitable[object]:
    """Open a session."""
    return client.open_session(1, "o")


ROUTES: dict[Call, tuple[str, str]] = {
    runner: ("GET", f"{AGENTS}/1"),
    by_name: ("GET", AGENTS),
    remove: ("DELETE", f"{AGENTS}/1"),
    group: ("GET", "runtime/runnergroups/"),
    find: ("GET", SETS),
    get: ("GET", f"{SETS}/1"),
    create: ("POST", SETS),
    update: ("PATCH", f"{SETS}/1"),
    delete: ("DELETE", f"{SETS}/1"),
    mint: ("POST", f"{SETS}/1/generatejitconfig"),
    opened: ("POST", f"{SETS}/1/sessions"),
}
TEXT = Answer(400, b"example plain text error", {"Content-Type": "text/plain"})
IDS = {"ActivityId": "act-1", "X-GitHub-Request-Id": "AB:12"}
EXISTS, ABSENT, BUSY = "AgentExistsException", "AgentNotFoundException", "JobStillRunningException"
OWN = "CSharpExceptionNameHere"

CASES = [
    # Runner by id: found; a server error is repeated as often as configured.
    Case("runner", runner, Answer(200, RUNNER)),
    Case("runner, 503", runner, Answer(503), Unavailable, 3),
    # Runner by name: found, not found, server error.
    Case("by name", by_name, listed(RUNNER)),
    Case("by name, none", by_name, listed()),
    Case("by name, 503", by_name, Answer(503), Unavailable, 3),
    # Removing a runner: done; server error.
    Case("remove", remove, Answer(204)),
    Case("remove, 503", remove, Answer(503), Unavailable, 3),
    # Runner group by name: found; none of that name is an error.
    Case("group", group, listed({"id": 1, "name": "g", "size": 1, "isDefaultGroup": True})),
    Case("group, none", group, listed(), NotFound),
    # Scale set by name: found, 404, a body of plain text, server error, none, and more than one.
    Case("set", find, listed(SET)),
    Case("set, 404", find, Answer(404), NotFound),
    Case("set, text", find, TEXT, Rejected, said=("example plain text error",)),
    Case("set, 503", find, Answer(503), Unavailable, 3),
    Case("set, none", find, listed()),
    Case("set, two", find, listed(SET, {**SET, "id": 2}), Rejected, said=("ss",)),
    # Scale set by id: found, 404, plain text, server error, and a body that is null.
    Case("set by id", get, Answer(200, SET)),
    Case("set by id, 404", get, Answer(404), NotFound),
    Case("set by id, text", get, TEXT, Rejected, said=("example plain text error",)),
    Case("set by id, 503", get, Answer(503), Unavailable, 3),
    Case("set by id, null", get, Answer(200, b"null"), NotFound),
    # Creating, changing and deleting a scale set. Ours does not repeat a creation that may have succeeded.
    Case("create", create, Answer(200, SET)),
    Case("create, text", create, TEXT, Rejected, said=("example plain text error",)),
    Case("create, 503", create, Answer(503), Unavailable, 1),
    Case("update", update, Answer(200, SET)),
    Case("delete", delete, Answer(204)),
    Case("delete, 400", delete, Answer(400, {"message": "test error"}), Rejected, said=("test error",)),
    # Minting: done; ours leaves repeats of a mint to the minting engine.
    Case("mint", mint, Answer(200, {"runner": RUNNER, "encodedJITConfig": "x"})),
    Case("mint, 503", mint, Answer(503), Unavailable, 1),
    # Opening a session: the service's name for what is wrong, its sentence and both ids are in the error.
    Case(
        "session",
        opened,
        named(400, OWN, "no such thing", **IDS),
        Rejected,
        said=(OWN, "no such thing", "act-1", "AB:12"),
    ),
    Case("session, 503", opened, Answer(503), Unavailable, 1),
    # Errors: empty bodies keep status and ids; what is not JSON and unknown exceptions are quoted.
    Case("error, empty", runner, Answer(404, None, IDS), NotFound, said=("404", "act-1", "AB:12")),
    Case("error, not JSON", runner, Answer(400, b"not-json"), Rejected, said=("not-json",)),
    Case("error, unknown", runner, named(500, "SomeException", "x y"), Unavailable, 3, ("SomeException", "x y")),
    # Errors: the exceptions with a meaning.
    Case("exists", mint, named(409, EXISTS, "runner already exists"), Conflict, said=(EXISTS, "already exists")),
    Case("absent", runner, named(404, ABSENT, "missing"), NotFound, said=(ABSENT, "missing")),
    Case("busy", remove, named(409, BUSY, "still running"), Conflict, said=(BUSY, "still running")),
    # Bodies: the byte order mark.
    Case("BOM", runner, Answer(200, b'\xef\xbb\xbf{"id":1,"name":"r"}')),
]


@pytest.mark.anyio
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.topic)
async def test_answers(service: ScriptedService, case: Case) -> None:
    """Statuses and bodies mean the same, at the same address, after the same number of requests."""
    method, path = ROUTES[case.call]
    service.on_service(method, path, case.answer)
    async with client_of(service, backoff=FAST) as client:
        if case.error is None:
            await case.call(client)
        else:
            with pytest.raises(case.error) as caught:
                await case.call(client)
            assert [text for text in case.said if text not in str(caught.value)] == []
    assert len(service.asked(f"/tenant/_apis/{path}", method)) == case.sent


# Creating: labels that were given are kept, with a type; neither name nor label is refused before anything is sent.
@pytest.mark.anyio
async def test_labels_of_a_new_scale_set(service: ScriptedService, client: ScaleSetClient) -> None:
    """What is sent as labels."""
    service.on_service("POST", SETS, Answer(200, SET))
    await client.create_scale_set("ss")
    await client.create_scale_set("ss", labels=[Label(name="linux", type=""), Label(name="x64", type="")])
    sent = [[label["name"] for label in one.json["labels"]] for one in service.asked(SETS)]
    assert sent == [["ss"], ["linux", "x64"]]
    assert {label["type"] for one in service.asked(SETS) for label in one.json["labels"]} == {"System"}
    before = len(service.requests)
    with pytest.raises(UsageError, match="a name or at least one label"):
        await client.create_scale_set("")
    assert len(service.requests) == before
