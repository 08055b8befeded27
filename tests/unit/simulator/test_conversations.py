"""Sessions, messages and jobs over a real socket (protocol section 6)."""

import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from scaleset_simulator import SimulatorError, SimulatorProcess
from tests.unit.simulator.wire import AGENTS, SETS, Reply, Wire


@pytest.fixture(scope="module")
def simulators() -> Iterator[dict[str, SimulatorProcess]]:
    with (
        SimulatorProcess(backend="assign", poll_seconds=0.2, job_seconds=0.05) as assigning,
        SimulatorProcess(backend="offer", poll_seconds=0.2, job_seconds=0.05) as offering,
    ):
        yield {"assign": assigning, "offer": offering}


@pytest.fixture(params=["assign", "offer"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def wire(simulators: dict[str, SimulatorProcess], backend: str, request: pytest.FixtureRequest) -> Wire:
    """Return a wire with a scale set of the test's own."""
    one = Wire(simulators[backend]).log_in()
    one.name = request.node.name
    assert one.send("POST", SETS, {"name": one.name, "runnerGroupId": 1}).status == 200
    return one


def events(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(json.loads(message["body"]))


def collect(wire: Wire, session: Mapping[str, Any], wanted: str) -> list[dict[str, Any]]:
    """Poll and acknowledge until an event of this type came; return all events."""
    found: list[dict[str, Any]] = []
    for _ in range(50):
        reply = wire.poll(session)
        if reply.status == 202:
            continue
        found += events(reply.value)
        assert wire.acknowledge(session, reply.value["messageId"]).status == 204
        if any(each["messageType"] == wanted for each in found):
            return found
    raise AssertionError(f"no {wanted} in 50 polls: {found}")


def acquire(wire: Wire, session: Mapping[str, Any], numbers: list[int], token: str | None = None) -> Reply:
    path = f"{SETS}/{wire.scale_set()}/acquirejobs"
    return wire.send("POST", path, numbers, token=token or f"Bearer {session['messageQueueAccessToken']}")


def test_a_job_from_offer_to_completion(wire: Wire, backend: str) -> None:
    number = wire.scale_set()
    session = wire.open_session(number).value
    assert session["statistics"]["totalAssignedJobs"] == 0
    wire.simulator.add_jobs(wire.name, 1)
    if backend == "offer":
        (offer,) = collect(wire, session, "JobAvailable")
        assert acquire(wire, session, [offer["runnerRequestId"]]).value == {
            "count": 1,
            "value": [offer["runnerRequestId"]],
        }
    (assigned,) = [each for each in collect(wire, session, "JobAssigned") if each["messageType"] == "JobAssigned"]
    assert (assigned["runnerRequestId"] > 0) == (backend == "offer")
    minted = wire.mint("r-1").value
    wire.simulator.control("POST", "connect", {"jit": minted["encodedJITConfig"]})
    over = collect(wire, session, "JobCompleted")
    assert [each["messageType"] for each in over] == ["JobStarted", "JobCompleted"]
    assert {each["runnerName"] for each in over} == {"r-1"}
    assert "r-1" not in [one["name"] for one in wire.simulator.runners()]


def test_acquiring_needs_the_queue_token_and_the_right_backend(wire: Wire, backend: str) -> None:
    session = wire.open_session(wire.scale_set()).value
    reply = acquire(wire, session, [1])
    if backend == "assign":
        assert (reply.status, reply.body) == (404, b"page not found")
        return
    assert reply.value == {"count": 0, "value": []}
    assert acquire(wire, session, [1], f"Bearer {wire.admin_token}").status == 401


class TestOnOneBackend:
    """What does not depend on the backend."""

    @pytest.fixture
    def backend(self) -> str:
        return "assign"

    def test_nothing_new_is_202_and_a_capacity_is_needed(self, wire: Wire) -> None:
        session = wire.open_session(wire.scale_set()).value
        assert wire.poll(session).status == 202
        assert wire.poll(session, capacity=None).status == 400

    def test_the_capacity_counts_at_each_poll(self, wire: Wire) -> None:
        session = wire.open_session(wire.scale_set()).value
        wire.simulator.add_jobs(wire.name, 1)
        assert wire.poll(session, capacity="0").status == 202
        assert len(events(wire.poll(session, capacity="1").value)) == 1

    def test_what_was_not_acknowledged_comes_again_to_the_next_session(self, wire: Wire) -> None:
        number = wire.scale_set()
        session = wire.open_session(number).value
        wire.simulator.add_jobs(wire.name, 1)
        first = wire.poll(session).value
        assert wire.poll(session, after=first["messageId"]).status == 202
        assert wire.send("DELETE", f"{SETS}/{number}/sessions/{session['sessionId']}").status == 204
        again = wire.open_session(number, "other").value
        assert wire.poll(again).value["messageId"] == first["messageId"]
        assert wire.acknowledge(again, first["messageId"]).status == 204
        assert wire.acknowledge(again, first["messageId"]).status == 404

    def test_one_session_whoever_asks_and_none_after_closing(self, wire: Wire) -> None:
        number = wire.scale_set()
        session = wire.open_session(number, "host").value
        for owner in ("host", "other"):
            reply = wire.open_session(number, owner)
            assert (reply.status, "SessionConflictException" in reply.type_name) == (409, True)
        path = f"{SETS}/{number}/sessions/{session['sessionId']}"
        refreshed = wire.send("PATCH", path)
        assert refreshed.status == 200
        assert refreshed.value["messageQueueAccessToken"] != session["messageQueueAccessToken"]
        assert wire.send("DELETE", path).status == 204
        gone = wire.send("PATCH", path)
        assert (gone.status, "SessionExpiredException" in gone.type_name) == (400, True)
        assert wire.poll(refreshed.value).status == 401

    def test_an_unknown_session_is_404(self, wire: Wire) -> None:
        reply = wire.send("PATCH", f"{SETS}/{wire.scale_set()}/sessions/00000000-0000-0000-0000-000000000000")
        assert (reply.status, "RunnerAdminException" in reply.type_name) == (404, True)

    def test_the_queue_wants_its_own_token_and_the_service_the_other(self, wire: Wire) -> None:
        session = wire.open_session(wire.scale_set()).value
        assert wire.poll({**session, "messageQueueAccessToken": wire.admin_token}).status == 401
        queue = f"Bearer {session['messageQueueAccessToken']}"
        assert wire.send("GET", SETS, token=queue).status == 401


def test_a_busy_runner_is_not_removed_and_a_held_poll_is_woken_by_a_job() -> None:
    with SimulatorProcess(job_seconds=60, poll_seconds=60, running_status=409) as simulator:
        wire = Wire(simulator).log_in()
        session = wire.open_session(wire.scale_set()).value
        with ThreadPoolExecutor(1) as threads:
            held = threads.submit(wire.poll, session)
            while not simulator.counters()["in_flight"]:
                assert not held.done()
            simulator.add_jobs(wire.name, 1)
            message = held.result(10).value
        assert [each["messageType"] for each in events(message)] == ["JobAssigned"]
        assert wire.acknowledge(session, message["messageId"]).status == 204
        minted = wire.mint("busy").value
        simulator.control("POST", "connect", {"jit": minted["encodedJITConfig"]})
        collect(wire, session, "JobStarted")
        reply = wire.send("DELETE", f"{AGENTS}/{minted['runner']['id']}")
        assert (reply.status, "JobStillRunningException" in reply.type_name) == (409, True)
        assert [one["busy"] for one in simulator.runners()] == [True]


def test_a_jit_config_is_good_for_one_connection_of_a_registered_runner() -> None:
    with SimulatorProcess() as simulator:
        wire = Wire(simulator).log_in()
        minted = wire.mint("r").value
        assert simulator.control("POST", "connect", {"jit": minted["encodedJITConfig"]})["name"] == "r"
        with pytest.raises(SimulatorError, match="in use"):
            simulator.control("POST", "connect", {"jit": minted["encodedJITConfig"]})
        removed = wire.mint("removed").value
        assert wire.send("DELETE", f"{AGENTS}/{removed['runner']['id']}").status == 204
        with pytest.raises(SimulatorError, match="no such registration"):
            simulator.control("POST", "connect", {"jit": removed["encodedJITConfig"]})
        with pytest.raises(SimulatorError, match="no JIT config"):
            simulator.control("POST", "connect", {"jit": "AAAA"})


def test_tokens_end_on_the_simulators_clock() -> None:
    options: dict[str, object] = {"admin_token_ttl": "20s", "queue_token_ttl": "10s", "speed": 100}
    with SimulatorProcess(**options) as simulator:
        wire = Wire(simulator).log_in()
        session = wire.open_session(wire.scale_set()).value
        # On a busy machine both may have ended by now; what matters is that a new login works and an old one stops.
        deadline = time.monotonic() + 10
        while wire.send("GET", SETS).status == 200:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert wire.poll(session).status == 401
        assert "InvalidTokenException" in wire.send("GET", SETS).type_name
        assert wire.log_in().admin_token


def test_an_abandoned_session_expires() -> None:
    with SimulatorProcess(session_seconds=0.3) as simulator:
        wire = Wire(simulator).log_in()
        number = wire.scale_set()
        wire.open_session(number)
        deadline = time.monotonic() + 10
        while wire.open_session(number, "next").status == 409:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert wire.open_session(number, "third").status == 409


def test_a_poll_whose_client_is_gone_keeps_no_session() -> None:
    with SimulatorProcess(session_seconds=0.3, poll_seconds=600) as simulator:
        wire = Wire(simulator).log_in()
        number = wire.scale_set()
        session = wire.open_session(number).value
        token, queue = f"Bearer {session['messageQueueAccessToken']}", urlsplit(session["messageQueueUrl"]).path
        with pytest.raises(TimeoutError):
            wire.send("GET", queue, token=token, headers={"X-ScaleSetMaxCapacity": "1"}, timeout=0.2)
        deadline = time.monotonic() + 10
        while wire.open_session(number, "next").status == 409:
            assert time.monotonic() < deadline
            time.sleep(0.05)
