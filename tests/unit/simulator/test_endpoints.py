"""The endpoints over a real socket: statuses, bodies and headers as the protocol has them (protocol 4.2)."""

import random
from collections.abc import Iterator

import pytest

from scaleset_simulator import SimulatorProcess
from scaleset_simulator.clock import SystemClock
from scaleset_simulator.errors import Refusal
from scaleset_simulator.options import Options
from scaleset_simulator.tenant import MOST_SCALE_SETS, Tenant, read_jit_config
from scaleset_simulator.tokens import MOST_TOKENS, Tokens
from tests.unit.simulator.wire import ADMIN, AGENTS, GROUPS, REGISTRATION, SETS, Wire


@pytest.fixture(scope="module")
def shared() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(scale_set=["demo-linux", "elsewhere:special"]) as simulator:
        yield simulator


@pytest.fixture
def wire(shared: SimulatorProcess) -> Wire:
    return Wire(shared).log_in()


class TestTokenChain:
    @pytest.mark.parametrize("prefix", ["", "/api/v3"])
    @pytest.mark.parametrize("target", ["orgs/acme", "repos/acme/app", "enterprises/big"])
    def test_every_scope_with_and_without_the_prefix(self, wire: Wire, prefix: str, target: str) -> None:
        path = f"{prefix}/{target}/actions/runners/registration-token"
        reply = wire.send("POST", path, token="Bearer simulator-token")
        assert reply.status == 201
        assert set(reply.value) == {"token", "expires_at"}
        assert {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"} <= set(reply.headers)

    def test_the_admin_connection_has_a_path_and_a_query(self, wire: Wire) -> None:
        value = wire.connect().value
        base, _, query = value["url"].partition("?")
        assert base == f"{wire.simulator.url}/tenant-1/rest"
        assert query

    def test_a_wrong_access_token_is_401_in_githubs_form(self, wire: Wire) -> None:
        reply = wire.send("POST", REGISTRATION, token="Bearer wrong")
        assert (reply.status, reply.value["message"]) == (401, "Bad credentials")

    @pytest.mark.parametrize("body", [{"runner_event": "remove"}, {"url": "acme"}])
    def test_url_and_event_are_needed(self, wire: Wire, body: dict[str, str]) -> None:
        assert wire.connect(**body).status == 400

    def test_the_literal_scheme_is_needed(self, wire: Wire) -> None:
        assert wire.connect(f"Bearer {wire.registration_token()}").status == 401

    @pytest.mark.parametrize("token", ["", "Bearer", "Bearer x", "Bearer simulator-token"])
    @pytest.mark.parametrize(("method", "path"), [("GET", SETS), ("GET", AGENTS), ("DELETE", f"{AGENTS}/1")])
    def test_without_an_admin_token_the_service_says_invalid_token(
        self, wire: Wire, token: str, method: str, path: str
    ) -> None:
        reply = wire.send(method, path, token=token)
        assert (reply.status, "InvalidTokenException" in reply.type_name) == (401, True)


class TestScaleSets:
    def test_life_of_one(self, wire: Wire) -> None:
        asked = {"name": "life", "runnerGroupId": 1, "RunnerSetting": {"disableUpdate": True}}
        made = wire.send("POST", SETS, asked)
        assert made.status == 200
        assert made.value["labels"] == [{"type": "System", "name": "life"}]
        number = made.value["id"]
        assert wire.send("GET", f"{SETS}/{number}").value == made.value
        changed = wire.send("PATCH", f"{SETS}/{number}", {"name": "life-2"})
        assert (changed.status, changed.value["name"]) == (200, "life-2")
        assert changed.value["RunnerSetting"] == {"disableUpdate": True}
        assert wire.send("DELETE", f"{SETS}/{number}").status == 204
        gone = wire.send("GET", f"{SETS}/{number}")
        assert (gone.status, "RunnerScaleSetNotFoundException" in gone.type_name) == (404, True)

    def test_a_taken_name_is_400_by_its_name(self, wire: Wire) -> None:
        reply = wire.send("POST", SETS, {"name": "demo-linux", "runnerGroupId": 1})
        assert (reply.status, "RunnerScaleSetExistsException" in reply.type_name) == (400, True)

    def test_a_change_to_a_taken_name_is_refused_as_well(self, wire: Wire) -> None:
        number = wire.send("POST", SETS, {"name": "renamed", "runnerGroupId": 1}).value["id"]
        reply = wire.send("PATCH", f"{SETS}/{number}", {"name": "Demo-Linux"})
        assert (reply.status, "RunnerScaleSetExistsException" in reply.type_name) == (400, True)
        assert wire.send("GET", f"{SETS}/{number}").value["name"] == "renamed"
        assert wire.send("PATCH", f"{SETS}/{number}", {"name": "Renamed"}).status == 200
        wire.send("DELETE", f"{SETS}/{number}")

    def test_find_by_name_and_group(self, wire: Wire) -> None:
        found = wire.send("GET", f"{SETS}?name=DEMO-linux&runnerGroupId=1").value
        assert (found["count"], found["value"][0]["name"]) == (1, "demo-linux")
        assert wire.send("GET", f"{SETS}?name=demo-linux&runnerGroupId=2").value == {"count": 0, "value": []}
        assert wire.send("GET", f"{SETS}?name=nowhere&runnerGroupId=1").value["count"] == 0

    def test_groups_are_found_by_name(self, wire: Wire) -> None:
        (group,) = wire.send("GET", f"{GROUPS}?groupName=default").value["value"]
        assert (group["id"], group["name"], group["isDefaultGroup"]) == (1, "Default", True)
        assert wire.send("GET", f"{GROUPS}?groupName=special").value["count"] == 1
        assert wire.send("GET", f"{GROUPS}?groupName=none").value["count"] == 0


class TestRunners:
    def test_life_of_one(self, wire: Wire) -> None:
        number = wire.scale_set()
        minted = wire.mint("life-of-a-runner")
        assert minted.status == 200
        runner = minted.value["runner"]
        assert (runner["name"], runner["runnerScaleSetId"]) == ("life-of-a-runner", number)
        assert read_jit_config(minted.value["encodedJITConfig"])[0] == runner["id"]
        assert wire.send("GET", f"{AGENTS}/{runner['id']}").value["status"] == "offline"
        found = wire.send("GET", f"{AGENTS}?agentName=LIFE-of-a-runner").value
        assert [one["id"] for one in found["value"]] == [runner["id"]]
        assert runner["id"] in [one["id"] for one in wire.send("GET", AGENTS).value["value"]]
        assert wire.send("DELETE", f"{AGENTS}/{runner['id']}").status == 204
        gone = wire.send("GET", f"{AGENTS}/{runner['id']}")
        assert (gone.status, "AgentNotFoundException" in gone.type_name) == (404, True)
        assert wire.send("GET", f"{AGENTS}?agentName=life-of-a-runner").value == {"count": 0, "value": []}

    def test_a_taken_name_is_409_also_from_another_scale_set(self, wire: Wire) -> None:
        wire.mint("taken")
        reply = wire.mint("Taken", wire.scale_set("elsewhere"))
        assert (reply.status, "AgentExistsException" in reply.type_name) == (409, True)

    def test_an_unknown_scale_set_is_404(self, wire: Wire) -> None:
        reply = wire.mint("lost", 999_999)
        assert (reply.status, "RunnerScaleSetNotFoundException" in reply.type_name) == (404, True)

    def test_an_absent_runner_is_removed_with_204(self, wire: Wire) -> None:
        assert wire.send("DELETE", f"{AGENTS}/999999").status == 204

    def test_a_slice_is_refused_the_way_dotnet_does_when_slices_are_off(self, wire: Wire) -> None:
        reply = wire.send("POST", f"{SETS}/{wire.scale_set()}/generatejitconfig", [{"name": "a"}])
        assert (reply.status, "Cannot deserialize" in reply.value["message"]) == (400, True)


class TestAnswers:
    def test_every_answer_has_its_ids(self, wire: Wire) -> None:
        replies = [wire.send("GET", SETS), wire.send("GET", f"{SETS}/999999"), wire.send("POST", ADMIN, {})]
        assert all({"activityid", "x-github-request-id"} <= set(reply.headers) for reply in replies)
        assert len({reply.headers["activityid"] for reply in replies}) == 3

    @pytest.mark.parametrize("path", ["/nowhere", "/tenant-1/rest/_apis/x", f"{SETS}/abc"])
    def test_what_no_route_knows_is_plain_text(self, wire: Wire, path: str) -> None:
        reply = wire.send("GET", path)
        assert (reply.status, reply.body) == (404, b"page not found")
        assert reply.headers["content-type"].startswith("text/plain")

    def test_a_body_that_is_no_json_is_400(self, wire: Wire) -> None:
        assert wire.send("POST", SETS, b"{").status == 400


class TestBounds:
    @pytest.mark.parametrize(
        "body",
        [
            {"name": "x" * 257},
            {"name": "x", "labels": [{"name": "l"}] * 101},
            {"name": "x", "labels": [{"name": "l" * 257}]},
            {"name": "x", "labels": ["l"]},
            {"name": "x", "labels": "l"},
        ],
    )
    def test_of_a_scale_set(self, wire: Wire, body: dict[str, object]) -> None:
        assert wire.send("POST", SETS, body).status == 400
        assert wire.send("PATCH", f"{SETS}/{wire.scale_set()}", body).status == 400

    def test_of_a_body(self, wire: Wire) -> None:
        assert wire.send("POST", SETS, {"name": "x" * 2_000_000}).status == 413

    def test_of_a_slice_a_runner_and_a_session(self, wire: Wire) -> None:
        path = f"{SETS}/{wire.scale_set()}"
        assert wire.send("POST", f"{path}/generatejitconfig", [{"name": "a"}] * 1001).status == 400
        assert wire.mint("x" * 65).status == 400
        assert wire.open_session(wire.scale_set(), "o" * 257).status == 400

    def test_of_what_is_kept(self) -> None:
        clock = SystemClock()
        tokens, tenant = Tokens(clock, Options(token="pat"), random.Random(1)), Tenant(clock)
        for _ in range(MOST_TOKENS + 5):
            tokens.registration("Bearer pat")
        assert len(tokens.rest) == MOST_TOKENS
        for number in range(MOST_SCALE_SETS):
            tenant.create_scale_set(f"s{number}", tenant.group_id(f"g{number}") or 1)
        assert len(tenant.groups) == MOST_SCALE_SETS
        with pytest.raises(Refusal):
            tenant.create_scale_set("one-more", 1)
