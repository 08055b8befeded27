"""What nobody knows of the service: each answer that is believed in can be played, and chosen in every way."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from scaleset_simulator import SimulatorError, SimulatorProcess
from scaleset_simulator.commandline import parser
from scaleset_simulator.options import Options
from scaleset_simulator.switches import SWITCHES
from tests.unit.simulator.wire import ADMIN, AGENTS, SETS, Reply, Wire

CHOICES = [(name, value) for name, switch in SWITCHES.items() for value in switch.values]


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(backend="offer", poll_seconds=0.2, job_seconds=600) as one:
        yield one


@pytest.fixture
def wire(simulator: SimulatorProcess, request: pytest.FixtureRequest) -> Wire:
    """Return a wire with a scale set of the test's own, on a service as it is by default."""
    simulator.configure(**{name: switch.values[0] for name, switch in SWITCHES.items()} | {"backend": "offer"})
    simulator.faults([])
    one = Wire(simulator).log_in()
    one.name = request.node.name
    assert one.send("POST", SETS, {"name": one.name}).status == 200
    return one


def events(wire: Wire, session: dict[str, Any]) -> list[dict[str, Any]]:
    """Poll until there is nothing new, acknowledging each message."""
    found: list[dict[str, Any]] = []
    while (reply := wire.poll(session)).status == 200:
        found += json.loads(reply.value["body"])
        assert wire.acknowledge(session, reply.value["messageId"]).status == 204
    return found


class TestTheTable:
    def test_an_option_of_that_name_begins_with_the_first_value(self) -> None:
        assert {name: getattr(Options(), name) for name in SWITCHES} == {
            name: switch.values[0] for name, switch in SWITCHES.items()
        }

    @pytest.mark.parametrize(("name", "value"), CHOICES)
    def test_the_command_line_takes_each(self, name: str, value: object) -> None:
        assert getattr(parser().parse_args([f"--{name.replace('_', '-')}", str(value)]), name) == value

    @pytest.mark.parametrize(("name", "value"), CHOICES)
    def test_the_control_takes_each_while_it_runs(self, wire: Wire, name: str, value: object) -> None:
        assert wire.simulator.control("POST", "settings", {name: value})[name] == value

    @pytest.mark.parametrize(
        ("name", "value"),
        [("backend", "steal"), ("closed_session", 500), ("closed_session", "401"), ("absent_status", True),
         ("tenant_query", 1), ("event_keys", ["any"])],
    )  # fmt: skip
    def test_and_no_other(self, wire: Wire, name: str, value: object) -> None:
        with pytest.raises(SimulatorError, match=f"{name} is .*; expected"):
            wire.simulator.configure(**{name: value})


class TestAClosedSession:
    @pytest.mark.parametrize("status", SWITCHES["closed_session"].values)
    def test_answers_every_call_of_its_queue_so(self, wire: Wire, status: int) -> None:
        number = wire.scale_set()
        session = wire.open_session(number).value
        wire.simulator.add_jobs(wire.name, 1)
        message = wire.poll(session).value
        assert wire.send("DELETE", f"{SETS}/{number}/sessions/{session['sessionId']}").status == 204
        wire.simulator.configure(closed_session=status)
        queue = f"Bearer {session['messageQueueAccessToken']}"
        replies = [
            wire.poll(session),
            wire.acknowledge(session, message["messageId"]),
            wire.send("POST", f"{SETS}/{number}/acquirejobs", [1], token=queue),
        ]
        assert [each.status for each in replies] == [status] * 3
        assert wire.poll(wire.open_session(number).value).value["messageId"] == message["messageId"]

    def test_and_so_does_one_whose_scale_set_is_deleted(self, wire: Wire) -> None:
        number = wire.scale_set()
        session = wire.open_session(number).value
        with ThreadPoolExecutor(1) as threads:
            held = threads.submit(wire.poll, session)
            assert wire.send("DELETE", f"{SETS}/{number}").status == 204
            assert held.result(10).status in {202, 401}  # over before the deletion, or because of it
        assert wire.poll(session).status == 401
        path = f"{SETS}/{number}/sessions/{session['sessionId']}"
        for method in ("PATCH", "DELETE"):
            assert "RunnerScaleSetNotFoundException" in wire.send(method, path).type_name

    def test_a_held_poll_ends_with_its_scale_set(self) -> None:
        with SimulatorProcess(poll_seconds=600) as simulator:
            wire = Wire(simulator).log_in()
            number = wire.scale_set()
            session = wire.open_session(number).value
            with ThreadPoolExecutor(1) as threads:
                held: Any = threads.submit(wire.poll, session)
                while not simulator.counters()["in_flight"]:
                    assert not held.done()
                assert wire.send("DELETE", f"{SETS}/{number}").status == 204
                assert held.result(10).status == 401


class TestOthers:
    def test_an_unknown_runner_group_is_refused(self, wire: Wire) -> None:
        for reply in (
            wire.send("POST", SETS, {"name": "elsewhere", "runnerGroupId": 77}),
            wire.send("PATCH", f"{SETS}/{wire.scale_set()}", {"runnerGroupId": 77}),
        ):
            assert (reply.status, reply.value["message"]) == (404, "No runner group found with identifier 77.")
        assert wire.send("GET", f"{SETS}?name=elsewhere").value["count"] == 0

    def test_an_offer_names_the_address_at_which_it_is_acquired(self, wire: Wire) -> None:
        session = wire.open_session(wire.scale_set()).value
        wire.simulator.add_jobs(wire.name, 2)
        offers = events(wire, session)
        (address,) = {each["acquireJobUrl"] for each in offers}
        parts = urlsplit(address)
        assert f"{parts.scheme}://{parts.netloc}" == wire.simulator.url
        asked = [each["runnerRequestId"] for each in offers]
        queue = f"Bearer {session['messageQueueAccessToken']}"
        assert wire.send("POST", f"{parts.path}?{parts.query}", asked, token=queue).value["value"] == asked
        assert all("acquireJobUrl" not in each for each in events(wire, session))

    @pytest.mark.parametrize(("query", "ends"), [("ring=1", "/rest?ring=1"), ("", "/rest"), ("a=1&b", "/rest?a=1&b")])
    def test_the_address_of_the_service_has_the_query_chosen(self, wire: Wire, query: str, ends: str) -> None:
        wire.simulator.configure(tenant_query=query)
        assert wire.connect().value["url"].endswith(ends)

    @pytest.mark.parametrize(("keys", "status"), [("any", 200), ("runner_event", 400)])
    def test_the_event_may_have_another_key(self, wire: Wire, keys: str, status: int) -> None:
        wire.simulator.configure(event_keys=keys)
        asked = {"url": wire.simulator.config_url, "runnerEvent": "register"}
        reply = wire.send("POST", ADMIN, asked, token=f"RemoteAuth {wire.registration_token()}")
        assert reply.status == status

    def test_removing_an_absent_runner_has_two_answers(self, wire: Wire) -> None:
        answers = []
        for status in SWITCHES["absent_status"].values:
            wire.simulator.configure(absent_status=status)
            answers.append(wire.send("DELETE", f"{AGENTS}/999999").status)
        assert answers == [204, 404]


class TestRunners:
    def launch(self, wire: Wire, *names: str) -> list[int]:
        minted = [wire.mint(name).value for name in names]
        for each in minted:
            wire.simulator.control("POST", "connect", {"jit": each["encodedJITConfig"]})
        return [each["runner"]["id"] for each in minted]

    def runner(self, wire: Wire, number: int) -> Reply:
        return wire.send("GET", f"{AGENTS}/{number}")

    @pytest.fixture(autouse=True)
    def assigned(self, wire: Wire) -> None:
        wire.simulator.configure(backend="assign")

    def test_one_that_never_comes_online_takes_no_job(self, wire: Wire) -> None:
        session = wire.open_session(wire.scale_set()).value
        wire.simulator.faults(["connect:never-online:once"])
        wire.simulator.add_jobs(wire.name, 2)
        kinds = [each["messageType"] for each in events(wire, session)]
        first, second = self.launch(wire, "hangs", "works")
        kinds += [f"{each['messageType']} {each['runnerName']}" for each in events(wire, session)]
        assert kinds == ["JobAssigned", "JobAssigned", "JobStarted works"]
        assert [self.runner(wire, each).value["status"] for each in (first, second)] == ["offline", "online"]
        assert wire.simulator.counters()["faults"]["never-online"] == 1

    def test_one_that_lives_on_is_idle_after_its_cancelled_job_and_takes_the_next(self, wire: Wire) -> None:
        session = wire.open_session(wire.scale_set()).value
        wire.simulator.faults(["connect:lives-on:once"])
        wire.simulator.add_jobs(wire.name, 1)
        events(wire, session)
        (number,) = self.launch(wire, "survivor")
        seen = events(wire, session)
        assert [(each["messageType"], each.get("result")) for each in seen] == [
            ("JobStarted", None),
            ("JobCompleted", "canceled"),
        ]
        left = self.runner(wire, number).value
        assert (left["status"], left["busy"]) == ("online", False)
        wire.simulator.add_jobs(wire.name, 1)
        assert [each["messageType"] for each in events(wire, session)] == ["JobAssigned", "JobStarted"]
        assert self.runner(wire, number).value["busy"]

    def test_dropped_registrations_are_gone_and_running_jobs_are_not(self, wire: Wire) -> None:
        session = wire.open_session(wire.scale_set()).value
        wire.simulator.add_jobs(wire.name, 1)
        events(wire, session)
        numbers = self.launch(wire, "with-a-job", "idle")
        assert [each["messageType"] for each in events(wire, session)] == ["JobStarted"]
        assert wire.simulator.drop_runners() >= 2
        assert wire.simulator.runners() == []
        assert [self.runner(wire, each).status for each in numbers] == [404, 404]
        after = wire.poll(session, after=0)
        assert after.status == 202
        counted = wire.send("GET", f"{SETS}/{wire.scale_set()}").value["statistics"]
        assert (counted["totalRunningJobs"], counted["totalRegisteredRunners"]) == (1, 0)
        assert wire.mint("idle").status == 200
