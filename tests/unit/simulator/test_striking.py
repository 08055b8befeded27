"""Faults over a real socket: what the client sees, and what was committed behind its back."""

import http.client
import socket
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime

import pytest

from scaleset_simulator import SimulatorError, SimulatorProcess
from tests.unit.simulator.wire import AGENTS, SETS, Reply, Wire

LOST = (http.client.HTTPException, ConnectionError, socket.timeout)


@pytest.fixture(scope="module")
def shared() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(slices="on") as simulator:
        yield simulator


@pytest.fixture
def wire(shared: SimulatorProcess) -> Iterator[Wire]:
    shared.faults([])
    shared.expire_tokens()
    one = Wire(shared).log_in()
    for runner in shared.runners():
        one.send("DELETE", f"{AGENTS}/{runner['id']}")
    shared.reset_counters()
    yield one
    shared.faults([])


def names(wire: Wire) -> set[str]:
    return {str(one["name"]) for one in wire.simulator.runners()}


@pytest.mark.parametrize(("action", "committed"), [("drop-before", False), ("drop-after", True)])
def test_a_dropped_mint_has_no_answer_and_is_committed_or_not(wire: Wire, action: str, committed: bool) -> None:
    number = wire.scale_set()
    wire.simulator.faults([f"mint:{action}:once"])
    with pytest.raises(LOST):
        wire.mint("r", number)
    assert names(wire) == ({"r"} if committed else set())
    again = wire.mint("r", number)
    assert (again.status, committed) in {(409, True), (200, False)}
    assert (again.status != 409) or "AgentExistsException" in again.type_name


@pytest.mark.parametrize(("action", "committed"), [("hang-before", False), ("hang-after", True)])
def test_a_hung_mint_never_answers_and_is_committed_or_not(wire: Wire, action: str, committed: bool) -> None:
    number = wire.scale_set()
    wire.simulator.faults([f"mint:{action}:once"])
    with pytest.raises(LOST):
        wire.mint("r", number, timeout=0.3)
    assert names(wire) == ({"r"} if committed else set())


@pytest.mark.parametrize(
    ("action", "status", "committed"), [("status=503", 503, False), ("status-after=502", 502, True)]
)
def test_a_failed_mint_is_committed_or_not(wire: Wire, action: str, status: int, committed: bool) -> None:
    number = wire.scale_set()
    wire.simulator.faults([f"mint:{action}:once"])
    assert wire.mint("r", number).status == status
    assert names(wire) == ({"r"} if committed else set())


def test_429_with_seconds_with_a_date_and_with_nothing(wire: Wire) -> None:
    number = wire.scale_set()
    wire.simulator.faults(["mint:retry=7:once", "mint:retry-date=90:once", "mint:retry-none:once"])
    seconds, date, nothing = (wire.mint("r", number) for _ in range(3))
    assert {reply.status for reply in (seconds, date, nothing)} == {429}
    assert seconds.headers["retry-after"] == "7"
    sent = parsedate_to_datetime(date.headers["date"])
    assert 80 <= (parsedate_to_datetime(date.headers["retry-after"]) - sent).total_seconds() <= 95
    assert "retry-after" not in nothing.headers
    assert names(wire) == set()


def test_an_absurd_retry_after_is_sent_as_written(wire: Wire) -> None:
    wire.simulator.faults(["mint:retry=999999:once"])
    assert wire.mint("r").headers["retry-after"] == "999999"


def test_a_403_can_be_a_rate_limit(wire: Wire) -> None:
    wire.simulator.faults(["mint:limit=30:once"])
    reply = wire.mint("r")
    assert (reply.status, reply.headers["retry-after"]) == (403, "30")
    assert "rate limit" in reply.value["message"]


def test_401_says_invalid_token(wire: Wire) -> None:
    number = wire.scale_set()
    wire.simulator.faults(["mint:unauthorised:once"])
    reply = wire.mint("r", number)
    assert (reply.status, "InvalidTokenException" in reply.type_name) == (401, True)
    assert wire.mint("r", number).status == 200


def test_a_conflict_can_be_made_up(wire: Wire) -> None:
    wire.simulator.faults(["mint:conflict:once"])
    reply = wire.mint("r")
    assert (reply.status, "AgentExistsException" in reply.type_name) == (409, True)


@pytest.mark.parametrize(
    ("action", "body"),
    [("html", b"<html>"), ("text", b"upstream request timeout"), ("empty", b""), ("truncate", b'{"runner"')],
)
def test_a_spoilt_answer_is_200_and_no_json(wire: Wire, action: str, body: bytes) -> None:
    number = wire.scale_set()
    wire.simulator.faults([f"mint:{action}:once"])
    reply = wire.mint("r", number)
    assert reply.status == 200
    assert reply.body.startswith(body)
    assert not body or len(reply.body) < 4096
    assert (reply.body == b"") == (action == "empty")
    with pytest.raises(ValueError):  # noqa: PT011  # whatever JSON says
        _ = reply.value
    assert names(wire) == {"r"}


@pytest.mark.parametrize(
    ("action", "kind", "body"),
    [("html", "text/html", b"<html>"), ("text", "text/plain", b"upstream"), ("empty", "", b"")],
)
def test_an_error_can_have_a_body_that_is_no_json(wire: Wire, action: str, kind: str, body: bytes) -> None:
    wire.simulator.faults([f"scale_sets:{action}=502:once"])
    reply = wire.send("GET", SETS)
    assert reply.status == 502
    assert reply.body.startswith(body)
    assert bool(reply.body) == (action != "empty")
    assert reply.headers["content-type"].startswith(kind)


def test_a_byte_order_mark_can_precede_one_body_or_all(wire: Wire) -> None:
    mark = b"\xef\xbb\xbf"
    wire.simulator.faults(["scale_sets:bom:once"])
    assert [wire.send("GET", SETS).body.startswith(mark) for _ in range(2)] == [True, False]
    wire.simulator.configure(bom=True)
    reply = wire.send("GET", SETS)
    wire.simulator.configure(bom=False)
    assert reply.body.startswith(mark)
    assert reply.value["count"] == 1


def test_a_lost_session_is_404_on_refresh_and_opens_anew(wire: Wire) -> None:
    number = wire.scale_set()
    session = wire.open_session(number).value
    path = f"{SETS}/{number}/sessions/{session['sessionId']}"
    wire.simulator.faults(["refresh_session:lose-session:once"])
    reply = wire.send("PATCH", path)
    assert (reply.status, "RunnerAdminException" in reply.type_name) == (404, True)
    assert wire.poll(session).status == 401
    again = wire.open_session(number)
    assert again.status == 200
    assert wire.send("DELETE", f"{SETS}/{number}/sessions/{again.value['sessionId']}").status == 204


class TestSlices:
    def test_each_item_has_its_answer_in_the_order_asked(self, wire: Wire) -> None:
        path = f"{SETS}/{wire.scale_set()}/generatejitconfig"
        reply = wire.send("POST", path, [{"name": name} for name in ("a", "b", "A", "c")])
        assert (reply.status, reply.value["count"]) == (200, 4)
        a, b, twice, c = reply.value["value"]
        assert [one["runner"]["name"] for one in (a, b, c)] == ["a", "b", "c"]
        assert (twice["name"], twice["status"]) == ("A", 409)
        assert "AgentExistsException" in twice["typeName"]
        assert "encodedJITConfig" not in twice
        assert wire.simulator.counters()["requests"] == {"scale_sets": 1, "slice": 1}

    def test_half_of_a_slice_can_fail(self, wire: Wire) -> None:
        path = f"{SETS}/{wire.scale_set()}/generatejitconfig"
        wire.simulator.faults(["slice:partial:once"])
        value = wire.send("POST", path, [{"name": name} for name in "abcd"]).value["value"]
        assert ["runner" in one for one in value] == [True, False, True, False]
        assert names(wire) == {"a", "c"}

    def test_a_lost_answer_leaves_the_whole_slice_registered(self, wire: Wire) -> None:
        path = f"{SETS}/{wire.scale_set()}/generatejitconfig"
        wire.simulator.faults(["slice:drop-after:once"])
        with pytest.raises(LOST):
            wire.send("POST", path, [{"name": name} for name in "abc"])
        assert names(wire) == {"a", "b", "c"}

    def test_slices_can_be_switched_off_while_it_runs(self, wire: Wire) -> None:
        path = f"{SETS}/{wire.scale_set()}/generatejitconfig"
        wire.simulator.configure(slices=False)
        refused = wire.send("POST", path, [{"name": "a"}])
        wire.simulator.configure(slices=True)
        assert refused.status == 400
        assert names(wire) == set()


def test_faults_are_counted_and_strike_their_kind_only(wire: Wire) -> None:
    before = wire.simulator.counters()["faults"].get("status", 0)
    wire.simulator.faults(["remove_runner:status=503:every 2"])
    assert [wire.send("DELETE", f"{AGENTS}/9").status for _ in range(4)] == [204, 503, 204, 503]
    assert wire.mint("r").status == 200
    assert wire.simulator.counters()["faults"]["status"] == before + 2


def test_a_fault_that_cannot_be_read_leaves_the_others_in_force(wire: Wire) -> None:
    wire.simulator.faults(["scale_sets:status=503"])
    with pytest.raises(SimulatorError, match="unknown action"):
        wire.simulator.faults(["mint:explode"])
    assert wire.send("GET", SETS).status == 503


@pytest.mark.parametrize("kind", ["poll", "acknowledge", "refresh_session", "close_session"])
def test_a_lost_session_is_the_one_the_request_is_about(kind: str) -> None:
    with SimulatorProcess(scale_set=["first", "second"]) as simulator:
        wire = Wire(simulator).log_in()
        number = wire.scale_set("second")
        session = wire.open_session(number).value
        one = f"{SETS}/{number}/sessions/{session['sessionId']}"
        sends: dict[str, Callable[[], Reply]] = {
            "poll": lambda: wire.poll(session),
            "acknowledge": lambda: wire.acknowledge(session, 7),
            "refresh_session": lambda: wire.send("PATCH", one),
            "close_session": lambda: wire.send("DELETE", one),
        }
        simulator.faults([f"{kind}:lose-session:once"])
        assert sends[kind]().status in {401, 404}
        assert wire.open_session(number).status == 200


@pytest.mark.parametrize("kind", ["registration", "scale_sets", "acquire", "*"])
def test_where_there_is_no_session_none_is_lost(wire: Wire, kind: str) -> None:
    wire.simulator.faults([f"{kind}:lose-session"])
    wire.log_in()
    assert wire.send("GET", SETS).status == 200
    assert wire.send("POST", f"{SETS}/{wire.scale_set()}/acquirejobs", [1]).status in {401, 404}
