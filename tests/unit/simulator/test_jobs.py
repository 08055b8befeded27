"""Jobs, sessions and messages, without a socket."""

import json
import random
from typing import Any

import pytest

from scaleset_simulator.errors import Refusal
from scaleset_simulator.jobs import Board
from scaleset_simulator.options import Options
from scaleset_simulator.switches import SWITCHES
from scaleset_simulator.tenant import Runner, ScaleSet, Tenant
from tests.unit.simulator.moments import ManualClock


class Desk:
    """A board with one scale set."""

    def __init__(self, *, offers: bool = False) -> None:
        self.clock = ManualClock()
        options = Options(backend="offer" if offers else "assign", job_seconds=10.0)
        self.tenant = Tenant(self.clock, options, random.Random(1))
        self.scale_set: ScaleSet = self.tenant.create_scale_set("a", 1)
        self.board = Board(self.clock, self.tenant, random.Random(2))
        self.number = self.scale_set.id

    def runner(self, name: str) -> Runner:
        runner = self.tenant.register(self.number, name)
        runner.online = True
        return runner

    def events(self, after: int = 0) -> list[dict[str, Any]]:
        message = self.board.message(self.number, after)
        return [] if message is None else json.loads(message["body"])

    def counted(self, name: str) -> int:
        return self.board.statistics(self.number)[name]


def refused(call: object, *arguments: object) -> Refusal:
    with pytest.raises(Refusal) as raised:
        call(*arguments)  # type: ignore[operator]
    return raised.value


class TestJobs:
    def test_a_job_goes_from_queued_to_done_and_takes_its_runner_along(self) -> None:
        desk = Desk()
        desk.board.add(desk.scale_set, 1)
        assert desk.counted("totalAvailableJobs") == 1
        desk.board.step(desk.number, capacity=1)
        assert (desk.counted("totalAssignedJobs"), desk.counted("totalRunningJobs")) == (1, 0)
        runner = desk.runner("r")
        desk.board.step(desk.number)
        assert (desk.counted("totalAssignedJobs"), desk.counted("totalBusyRunners")) == (1, 1)
        desk.clock.now += 10
        desk.board.step(desk.number)
        assert runner.id not in desk.tenant.runners
        assert set(desk.board.statistics(desk.number).values()) == {0}
        assert [each["messageType"] for each in desk.events()] == ["JobAssigned", "JobStarted", "JobCompleted"]

    def test_started_and_completed_name_the_runner(self) -> None:
        desk = Desk()
        runner = desk.runner("r")
        desk.board.add(desk.scale_set, 1)
        desk.board.step(desk.number, capacity=1)
        desk.clock.now += 10
        desk.board.step(desk.number)
        assigned, started, completed = desk.events()
        assert "runnerId" not in assigned
        assert (started["runnerId"], started["runnerName"]) == (runner.id, "r")
        assert (completed["runnerId"], completed["result"]) == (runner.id, "succeeded")
        assert len({each["jobId"] for each in (assigned, started, completed)}) == 1

    def test_an_offline_runner_gets_no_job(self) -> None:
        desk = Desk()
        desk.tenant.register(desk.number, "offline")
        desk.board.add(desk.scale_set, 1)
        desk.board.step(desk.number, capacity=1)
        assert (desk.counted("totalRunningJobs"), desk.counted("totalIdleRunners")) == (0, 0)

    def test_a_runner_of_another_scale_set_gets_no_job(self) -> None:
        desk = Desk()
        other = desk.tenant.create_scale_set("b", 1)
        desk.tenant.register(other.id, "r").online = True
        desk.board.add(desk.scale_set, 1)
        desk.board.step(desk.number, capacity=1)
        assert desk.counted("totalRunningJobs") == 0

    @pytest.mark.parametrize("offers", [False, True])
    def test_no_more_come_in_than_the_capacity_says(self, offers: bool) -> None:
        desk = Desk(offers=offers)
        desk.board.add(desk.scale_set, 5)
        desk.board.step(desk.number, capacity=0)
        assert desk.events() == []
        desk.board.step(desk.number, capacity=2)
        desk.board.step(desk.number, capacity=2)
        assert len(desk.events()) == 2
        desk.board.step(desk.number, capacity=3)
        assert len(desk.events(after=100_000_001)) == 1

    def test_lowering_the_capacity_revokes_nothing(self) -> None:
        desk = Desk()
        desk.board.add(desk.scale_set, 3)
        desk.board.step(desk.number, capacity=3)
        desk.board.step(desk.number, capacity=0)
        assert desk.counted("totalAssignedJobs") == 3


class TestBackends:
    def test_offered_jobs_wait_to_be_acquired_and_only_once(self) -> None:
        desk = Desk(offers=True)
        desk.board.add(desk.scale_set, 2)
        desk.board.step(desk.number, capacity=2)
        numbers = [each["runnerRequestId"] for each in desk.events()]
        assert [each["messageType"] for each in desk.events()] == ["JobAvailable"] * 2
        assert all(number > 0 for number in numbers)
        assert desk.board.acquire(desk.number, [numbers[0], 1]) == [numbers[0]]
        assert desk.board.acquire(desk.number, numbers) == [numbers[1]]
        assert desk.counted("totalAssignedJobs") == 2

    def test_assigned_jobs_have_no_number_and_cannot_be_acquired(self) -> None:
        desk = Desk()
        desk.board.add(desk.scale_set, 1)
        desk.board.step(desk.number, capacity=1)
        assert [each["runnerRequestId"] for each in desk.events()] == [0]
        refusal = refused(desk.board.acquire, desk.number, [0])
        assert (refusal.status, refusal.message) == (404, "page not found")


class TestMessages:
    def test_fifty_events_at_most_and_current_statistics(self) -> None:
        desk = Desk()
        desk.board.add(desk.scale_set, 120)
        desk.board.step(desk.number, capacity=120)
        first = desk.board.message(desk.number, 0)
        assert first is not None
        assert first["messageType"] == "RunnerScaleSetJobMessages"
        assert first["statistics"]["totalAssignedJobs"] == 120
        sizes = []
        number = 0
        while (message := desk.board.message(desk.number, number)) is not None:
            sizes.append(len(json.loads(message["body"])))
            number = message["messageId"]
        assert sizes == [50, 50, 20]

    def test_what_is_not_acknowledged_comes_again_whatever_the_cursor_was(self) -> None:
        desk = Desk()
        desk.board.add(desk.scale_set, 1)
        desk.board.step(desk.number, capacity=1)
        first = desk.board.message(desk.number, 0)
        assert first is not None
        assert desk.board.message(desk.number, first["messageId"]) is None
        assert desk.board.message(desk.number, 0) == first
        desk.board.acknowledge(desk.number, first["messageId"])
        assert desk.board.message(desk.number, 0) is None
        assert refused(desk.board.acknowledge, desk.number, first["messageId"]).status == 404

    def test_messages_outlive_the_session(self) -> None:
        desk = Desk()
        session = desk.board.open_session(desk.scale_set, "host")
        desk.board.add(desk.scale_set, 1)
        desk.board.step(desk.number, capacity=1)
        first = desk.board.message(desk.number, 0)
        desk.board.close_session(desk.number, session.id)
        desk.board.open_session(desk.scale_set, "other")
        assert desk.board.message(desk.number, 0) == first


class TestSessions:
    @pytest.mark.parametrize("owner", ["host", "other"])
    def test_a_second_session_is_refused_whoever_asks(self, owner: str) -> None:
        desk = Desk()
        desk.board.open_session(desk.scale_set, "host")
        refusal = refused(desk.board.open_session, desk.scale_set, owner)
        assert (refusal.status, "SessionConflictException" in str(refusal.type_name)) == (409, True)

    def test_an_abandoned_session_gives_way_after_its_time(self) -> None:
        desk = Desk()
        old = desk.board.open_session(desk.scale_set, "host")
        desk.clock.now += 89
        assert refused(desk.board.open_session, desk.scale_set, "other").status == 409
        desk.clock.now += 1
        assert desk.board.open_session(desk.scale_set, "other").id != old.id
        assert "SessionExpiredException" in str(refused(desk.board.session, desk.number, old.id).type_name)

    def test_use_keeps_a_session_alive(self) -> None:
        desk = Desk()
        one = desk.board.open_session(desk.scale_set, "host")
        for _ in range(5):
            desk.clock.now += 60
            assert desk.board.session(desk.number, one.id) is one
        assert refused(desk.board.open_session, desk.scale_set, "other").status == 409

    def test_a_closed_session_is_expired_and_a_lost_one_unknown(self) -> None:
        desk = Desk()
        one = desk.board.open_session(desk.scale_set, "host")
        desk.board.close_session(desk.number, one.id)
        assert refused(desk.board.session, desk.number, one.id).status == 400
        two = desk.board.open_session(desk.scale_set, "host")
        desk.board.lose_session(desk.number)
        lost = refused(desk.board.session, desk.number, two.id)
        assert (lost.status, "RunnerAdminException" in str(lost.type_name)) == (404, True)
        for status in SWITCHES["closed_session"].values:
            desk.tenant.options.closed_session = int(status)
            assert refused(desk.board.of_token, two.id).status == status

    def test_an_expired_session_answers_its_queue_as_a_closed_one(self) -> None:
        desk = Desk()
        session = desk.board.open_session(desk.scale_set, "host")
        assert desk.board.of_token(session.id) == (desk.number, session)
        desk.clock.now += desk.tenant.options.session_seconds
        assert [refused(desk.board.of_token, session.id).status for _ in range(2)] == [401, 401]
