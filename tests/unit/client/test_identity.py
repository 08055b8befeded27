"""An answer that is about something else than was asked is believed by nobody, and its connection is closed."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleset_client import ScaleSetClient, decoding, protocol
from scaleset_client.decoding import Unreadable
from scaleset_client.transport import Response
from scaleset_client.types import MintedRunner, MintRequest
from scaleset_hookspecs import ServiceError, Unavailable
from tests.unit.client.scripted import Answer, ScriptedService

pytestmark = pytest.mark.anyio

SETS = "runtime/runnerscalesets"
AGENTS = "distributedtask/pools/0/agents"
MINT = f"{SETS}/1/generatejitconfig"


def config(**runner: object) -> Answer:
    return Answer(200, {"runner": {"id": 7, "name": "asked-1", **runner}, "encodedJITConfig": "x"})


@pytest.mark.parametrize("runner", [{}, {"name": "ASKED-1"}, {"runnerScaleSetId": 1}, {"runnerScaleSetId": None}])
async def test_the_runner_that_was_asked_for_is_believed(
    service: ScriptedService, client: ScaleSetClient, runner: dict[str, object]
) -> None:
    """The service may change the case, and need not name the scale set."""
    service.on_service("POST", MINT, config(**runner))
    minted = await client.generate_jit_config(1, "asked-1")
    assert minted.runner.name == runner.get("name", "asked-1")
    assert client.connections_open == 1


@pytest.mark.parametrize(
    "runner",
    [{"name": "asked-2"}, {"name": ""}, {"name": None}, {"name": 5}, {"runnerScaleSetId": 2}, {"name": "asked-1 "}],
)
async def test_another_runner_is_an_unresolved_mint_and_closes_the_connection(
    service: ScriptedService, client: ScaleSetClient, runner: dict[str, object]
) -> None:
    """A gateway that repeated one answer shifted a connection by one: 57 of 80 configs went to the wrong scale set."""
    service.on_service("POST", MINT, config(**runner))
    with pytest.raises(Unavailable) as caught:
        await client.generate_jit_config(1, "asked-1")
    assert caught.value.maybe_applied
    await asyncio.sleep(0)
    assert client.connections_open == 0
    assert "encoded" not in str(caught.value)


async def test_look_ups_ask_again_when_another_one_is_answered(
    service: ScriptedService, client: ScaleSetClient
) -> None:
    """Over another connection; an answer about somebody else never says that there is none."""
    wrong = iter([True, False] * 4)

    def answer(right: object, other: object) -> Answer:
        return Answer(200, other if next(wrong) else right)

    def listed(*names: str) -> dict[str, object]:
        return {"count": len(names), "value": [{"id": 3, "name": name} for name in names]}

    service.on_service("GET", f"{AGENTS}/7", lambda _: answer({"id": 7, "name": "r"}, {"id": 8, "name": "s"}))
    assert (await client.get_runner(7)).name == "r"
    service.on_service("GET", AGENTS, lambda _: answer(listed("r"), listed("s")))
    found = await client.find_runner("r")
    assert found is not None
    assert found.name == "r"
    service.on_service("GET", f"{SETS}/1", lambda _: answer({"id": 1, "name": "a"}, {"id": 2, "name": "b"}))
    assert (await client.get_scale_set(1)).name == "a"
    service.on_service("GET", SETS, lambda _: answer(listed("a"), listed("b", "c")))
    assert await client.get_scale_set_by_name("a") is not None


async def test_an_empty_list_is_an_answer(service: ScriptedService, client: ScaleSetClient) -> None:
    service.on_service("GET", AGENTS, Answer(200, {"count": 0, "value": []}))
    assert await client.find_runner("r") is None


async def test_what_stays_wrong_is_said_to_be_another_one(service: ScriptedService, client: ScaleSetClient) -> None:
    service.on_service("GET", f"{AGENTS}/7", Answer(200, {"id": 8, "name": "s"}))
    with pytest.raises(ServiceError, match="the runner has the id 8, not 7"):
        await client.get_runner(7)


@pytest.mark.parametrize("other", [{"id": 2, "name": "a"}, {"id": 1, "name": "b"}, {"id": 1, "name": "a", "group": 4}])
async def test_a_scale_set_that_was_created_or_changed_is_the_one_asked_for(
    service: ScriptedService, client: ScaleSetClient, other: dict[str, object]
) -> None:
    other = {"id": other["id"], "name": other["name"], "runnerGroupId": other.get("group", 3)}
    service.on_service("POST", SETS, Answer(200, other))
    service.on_service("PATCH", f"{SETS}/1", Answer(200, other))
    if other["id"] == 1:
        with pytest.raises(Unavailable) as caught:
            await client.create_scale_set("a", runner_group_id=3)
        assert caught.value.maybe_applied
    else:
        with pytest.raises(Unavailable, match="has the id 2, not 1"):
            await client.update_scale_set(1, name="a")


async def test_a_scale_set_of_another_group_is_another_one(service: ScriptedService, client: ScaleSetClient) -> None:
    """Names are unique inside a group only."""
    one = {"id": 1, "name": "a", "runnerGroupId": 1}
    service.on_service("GET", SETS, Answer(200, {"count": 1, "value": [one]}))
    with pytest.raises(Unavailable, match="the scale set's group has the id 1, not 3"):
        await client.get_scale_set_by_name("a", 3)
    assert await client.get_scale_set_by_name("a") is not None


SESSION = {"sessionId": "s-1", "messageQueueUrl": "https://h/", "messageQueueAccessToken": "q"}


@pytest.mark.parametrize(
    ("said", "believed"),
    [
        ({}, True),
        ({"ownerName": "ME", "runnerScaleSet": {"id": 1}}, True),
        ({"sessionId": "s-2", "runnerScaleSet": {"id": 1}}, True),
        ({"sessionId": "s-2"}, False),
        ({"runnerScaleSet": {"id": 2}}, False),
        ({"ownerName": "another", "runnerScaleSet": {"id": 1}}, True),
    ],
)
def test_a_session_is_of_the_scale_set_whoever_is_called_its_owner(said: dict[str, object], believed: bool) -> None:
    """A refresh may replace it; another scale set's queue would bring that one's jobs, and acknowledge them."""
    try:
        decoding.session(SESSION | said, 1, session_id="s-1")
    except Unreadable:
        assert not believed
    else:
        assert believed


def test_jobs_that_nobody_asked_for_are_not_acquired() -> None:
    assert decoding.acquired_ids({"value": [5, "6"]}, [5, 6, 7]) == (5, 6)
    with pytest.raises(Unreadable, match="nobody asked for"):
        decoding.acquired_ids({"value": [5, 8]}, [5, 6, 7])


def test_a_slice_gives_each_its_own() -> None:
    """Whatever the case of the names, and whatever else the answer holds."""
    members = [config(name=name, runnerScaleSetId=number).value for name, number in [("B", 1), ("a", 2), ("c", 1)]]
    closed: list[bool] = []
    response = Response(200, [], json.dumps({"value": members}).encode(), lambda: closed.append(True))
    a, b = protocol.read_slice([MintRequest(name="a"), MintRequest(name="b")], 1, response, now=0.0)
    assert isinstance(a, Unavailable)
    assert isinstance(b, MintedRunner)
    assert (b.runner.name, a.maybe_applied, closed) == ("B", True, [True])


@pytest.mark.parametrize("status", [200, 202, 206])
async def test_another_success_closes_the_connection(
    service: ScriptedService, client: ScaleSetClient, status: int
) -> None:
    """A mint's answer in the place of a removal's shows that the connection is one off."""
    service.on_service("DELETE", f"{AGENTS}/7", [Answer(status, {}), Answer(204)])
    await client.connect()
    before = service.connections
    assert await client.remove_runner(7)
    assert (service.connections - before, client.connections_open) == (1, 1)


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_only_the_case_of_a_name_may_differ(asked: str, found: str) -> None:
    value = {"runner": {"id": 1, "name": found}, "encodedJITConfig": "x"}
    same = decoding.text(found).casefold() == asked.casefold()
    try:
        assert decoding.minted(value, asked, 1).runner.name == decoding.text(found)
    except Unreadable:
        assert not same
    else:
        assert same
