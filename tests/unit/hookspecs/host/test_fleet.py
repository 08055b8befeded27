"""What a fleet decides, one condition that operators reported at a time; all of them at once are in the model test."""

import logging
from dataclasses import replace
from typing import Any

import pytest

from scaleset_hookspecs import (
    Answer,
    Certainty,
    FailureReason,
    JobCompleted,
    JobStarted,
    MintFailure,
    RunnerInfo,
    RunnerRef,
    Statistics,
)
from scaleset_hookspecs.host.fleet import (
    Action,
    Adopted,
    BurstEnded,
    Drain,
    End,
    Fact,
    Fleet,
    FleetLimits,
    Launched,
    Life,
    LookedUp,
    LookUp,
    Lower,
    MachineEnded,
    Mint,
    Removal,
    Remove,
    RemoveAnswered,
    Say,
    Source,
    Tick,
)


def ref(number: int) -> RunnerRef:
    return RunnerRef(name=f"r{number}", id=number)


def info(number: int, status: str | None = "online", *, busy: bool | None = False) -> Answer[RunnerInfo]:
    return Answer(certainty=Certainty.FRESH, value=RunnerInfo(id=number, name=f"r{number}", status=status, busy=busy))


ABSENT: Answer[RunnerInfo] = Answer(certainty=Certainty.ABSENT)
UNKNOWN: Answer[RunnerInfo] = Answer(certainty=Certainty.UNKNOWN)


class Host:
    """Tells facts at a time of its own, and keeps what is said apart from what is done."""

    def __init__(self, **limits: float) -> None:
        self.now = 1000.0
        self.said: list[Say] = []
        self.fleet = Fleet(FleetLimits(**limits))  # type: ignore[arg-type]  # counts are whole

    def tell(self, *facts: Fact) -> list[Action]:
        done: list[Action] = []
        for fact in facts:
            actions = self.fleet.on(fact, self.now)
            self.said += [action for action in actions if isinstance(action, Say)]
            done += [action for action in actions if not isinstance(action, Say)]
        return done

    def wait(self, seconds: float) -> list[Action]:
        """Let time pass, with a tick whenever one is wanted."""
        end, done = self.now + seconds, list[Action]()
        while self.fleet.next_at is not None and self.fleet.next_at <= end:
            self.now = max(self.now, self.fleet.next_at)
            done += self.tell(Tick())
        self.now = end
        return done

    def launch(self, *numbers: int, watched: bool = True) -> None:
        self.tell(*(Launched(runner=ref(number), watched=watched) for number in numbers))
        self.tell(BurstEnded(asked=len(numbers), launched=len(numbers)))

    def life(self, number: int) -> Life | None:
        return next((each.life for each in self.fleet.runners if each.runner.name == f"r{number}"), None)


def counters(assigned: int, *, busy: int = 0, idle: int = 0, registered: int | None = None) -> Statistics:
    there = busy + idle if registered is None else registered
    return Statistics(
        assigned_jobs=assigned, running_jobs=busy, busy_runners=busy, idle_runners=idle, registered_runners=there
    )


def with_one(**limits: float) -> Host:
    """Return a host with one job and a runner launched for it."""
    host = Host(**{"max_runners": 10, **limits})
    assert host.tell(counters(1)) == [Mint(count=1, desired=1)]
    host.launch(1)
    return host


def refusal(reason: FailureReason = FailureReason.REJECTED, retry_after: float | None = None) -> MintFailure:
    return MintFailure(reason=reason, message="the service answered 422", retry_after=retry_after)


@pytest.mark.parametrize(
    ("assigned", "min_idle", "count"), [(0, 0, None), (0, 2, 2), (3, 2, 5), (9, 2, 10), (50, 0, 10)]
)
def test_desired_is_idle_plus_assigned_up_to_the_maximum(assigned: int, min_idle: int, count: int | None) -> None:
    host = Host(max_runners=10, min_idle=min_idle)
    assert host.tell(counters(assigned)) == ([] if count is None else [Mint(count=count, desired=count)])
    assert host.tell(counters(assigned)) == []  # asked for already


def test_a_demand_that_falls_is_told_once() -> None:
    host = Host(max_runners=10)
    host.tell(counters(8))
    assert host.tell(counters(3)) == [Lower(desired=3)]
    assert host.tell(counters(3)) == []
    assert host.tell(BurstEnded(asked=8, launched=0, failures=(refusal(FailureReason.DEMAND_FELL),) * 8)) == [
        Mint(count=3, desired=3)
    ]
    assert host.said == []


def test_a_runner_that_lives_on_after_its_job_was_cancelled_still_counts() -> None:
    """Four assignments taken back at `max_runners: 1` left five runners alive."""
    host = with_one(max_runners=1)
    for turn in range(4):
        done = host.tell(
            JobStarted(job_id=f"j{turn}", runner=ref(1)),
            JobCompleted(job_id=f"j{turn}", result="canceled", runner=ref(1)),
            counters(1, idle=1),
        )
        assert done == []
        assert host.fleet.alive == 1
    assert host.wait(30) == [LookUp(runner=ref(1))]
    assert host.tell(LookedUp(runner=ref(1), answer=info(1))) == []
    assert host.life(1) is Life.ONLINE


def test_a_runner_ends_with_its_machine_and_its_registration_is_removed_once() -> None:
    host = with_one()
    host.tell(JobStarted(job_id="j", runner=ref(1)), MachineEnded(runner=ref(1)))
    assert host.fleet.alive == 0
    assert host.wait(5) == [LookUp(runner=ref(1))]
    assert host.tell(LookedUp(runner=ref(1), answer=info(1, "offline", busy=True))) == [Remove(runner=ref(1))]
    assert host.tell(RemoveAnswered(runner=ref(1), removal=Removal.HAS_JOB)) == []
    assert host.wait(29) == []
    assert host.wait(1) == [LookUp(runner=ref(1))]
    host.tell(JobCompleted(job_id="j", result="failed", runner=ref(1)), counters(0))
    assert host.tell(LookedUp(runner=ref(1), answer=info(1, "offline"))) == [Remove(runner=ref(1))]
    assert host.tell(RemoveAnswered(runner=ref(1), removal=Removal.REMOVED)) == []
    assert host.fleet.settled
    assert host.tell(JobStarted(job_id="j", runner=ref(1)), MachineEnded(runner=ref(1))) == []  # late, and twice
    assert host.fleet.settled


def test_news_of_a_start_that_comes_after_the_end_of_the_job_is_late() -> None:
    host = with_one()
    started = JobStarted(job_id="j", runner=ref(1))
    host.tell(started, JobCompleted(job_id="j", result="canceled", runner=ref(1)), started)
    assert host.life(1) is Life.ONLINE


def test_an_ended_runner_keeps_its_place_until_the_counters_must_know_of_its_job() -> None:
    host = with_one()
    host.tell(JobStarted(job_id="j", runner=ref(1)), counters(1, busy=1), MachineEnded(runner=ref(1)))
    assert host.wait(3) == [LookUp(runner=ref(1))]
    assert host.tell(LookedUp(runner=ref(1), answer=ABSENT)) == []
    assert host.wait(29) == []
    assert host.wait(1) == [Mint(count=1, desired=1)]


def test_a_machine_that_ended_before_its_launch_was_told_is_not_alive() -> None:
    host = Host(max_runners=1)
    host.tell(counters(1), MachineEnded(runner=ref(1)), Launched(runner=ref(1)), BurstEnded(asked=1, launched=1))
    assert host.fleet.alive == 0
    assert host.life(1) is Life.ENDED


@pytest.mark.parametrize("counters_first", [True, False])
def test_the_order_of_events_and_counters_in_a_message_mints_nothing_too_much(counters_first: bool) -> None:
    host = with_one()
    host.tell(JobStarted(job_id="j", runner=ref(1)), counters(1, busy=1))
    over, message = JobCompleted(job_id="j", result="succeeded", runner=ref(1)), counters(0)
    assert host.tell(*((message, over) if counters_first else (over, message))) == []
    assert host.wait(0) == []
    assert host.tell(counters(1)) == [Mint(count=1, desired=2)]


def test_an_incident_that_drops_all_registrations_is_noticed_and_mended() -> None:
    host = Host(max_runners=3)
    host.tell(counters(2))
    host.launch(1, 2)
    host.tell(JobStarted(job_id="j", runner=ref(1)), counters(2, busy=1, idle=1))
    host.now += 100
    host.tell(counters(2, registered=0))
    assert host.wait(29) == []
    assert host.wait(1) == [LookUp(runner=ref(1)), LookUp(runner=ref(2))]
    assert "counts 0 registered runners, we know 2" in host.said[-1].text
    assert host.tell(LookedUp(runner=ref(1), answer=ABSENT)) == []  # it has a job, and keeps it
    assert host.tell(LookedUp(runner=ref(2), answer=ABSENT)) == [Mint(count=1, desired=3)]
    host.launch(3)
    assert host.wait(30) == [Remove(runner=ref(2))]
    assert host.tell(RemoveAnswered(runner=ref(2), removal=Removal.ABSENT)) == [End(runner=ref(2))]
    host.tell(MachineEnded(runner=ref(2)))
    assert (host.life(1), host.life(2)) == (Life.BUSY, None)
    assert End(runner=ref(1)) not in host.wait(10_000)


def test_a_machine_without_registration_is_not_ended_while_a_job_may_be_on_it() -> None:
    """The event of the job was lost, and the counters know of a job that nobody has."""
    host = with_one()
    host.tell(counters(1, registered=1))
    host.now += 100
    host.tell(Statistics(assigned_jobs=1, running_jobs=1, registered_runners=0))
    assert host.wait(30) == [LookUp(runner=ref(1))]
    host.tell(LookedUp(runner=ref(1), answer=ABSENT))
    assert Remove(runner=ref(1)) in host.wait(30)
    assert End(runner=ref(1)) not in host.tell(RemoveAnswered(runner=ref(1), removal=Removal.ABSENT))
    assert End(runner=ref(1)) not in host.wait(3600)
    host.tell(counters(0))
    assert End(runner=ref(1)) in host.wait(30)


def test_a_runner_that_never_comes_online_is_replaced() -> None:
    host = with_one(start_timeout=300.0)
    host.tell(counters(1, registered=1))
    assert host.wait(299) == []
    assert host.wait(1) == [LookUp(runner=ref(1))]
    done = host.tell(LookedUp(runner=ref(1), answer=info(1, "offline")))
    assert done == [Remove(runner=ref(1))]  # and the replacement waits, as after every failure
    assert "r1 was not online 300 s after its launch" in host.said[-1].text
    assert host.tell(RemoveAnswered(runner=ref(1), removal=Removal.REMOVED)) == [End(runner=ref(1))]
    assert host.wait(5) == [Mint(count=1, desired=2)]
    host.tell(MachineEnded(runner=ref(1)))
    assert host.fleet.alive == 1


def test_a_runner_that_was_late_only_for_us_is_left_alone() -> None:
    host = with_one(start_timeout=300.0)
    host.tell(counters(1, registered=1))
    host.wait(300)
    assert host.tell(LookedUp(runner=ref(1), answer=info(1, "online", busy=True))) == []
    assert host.life(1) is Life.BUSY
    assert [each.source for each in host.fleet.runners] == [Source.LOOK_UP]


def test_a_dip_of_the_counters_ends_no_machine_that_boots() -> None:
    """Booting takes longer than the service waits for a runner: each time it takes the assignment back."""
    host = with_one(start_timeout=600.0, scale_down_delay=0.0)
    done: list[Action] = []
    for _ in range(4):
        done += host.wait(60)
        done += host.tell(counters(0, registered=1))
        done += host.wait(30)
        done += host.tell(LookedUp(runner=ref(1), answer=info(1, "offline")), counters(1, registered=1))
    assert {type(action) for action in done} == {LookUp}
    assert host.fleet.alive == 1


def test_idle_runners_are_removed_when_there_are_too_many_for_long_enough() -> None:
    host = Host(max_runners=10, scale_down_delay=60.0)
    host.tell(counters(3))
    host.launch(1, 2, 3)
    host.tell(JobStarted(job_id="j", runner=ref(2)), counters(3, busy=1, idle=2))
    host.tell(counters(1, busy=1, idle=2))
    assert host.wait(59) == []
    assert host.wait(1) == [LookUp(runner=ref(1)), LookUp(runner=ref(3))]
    assert host.tell(LookedUp(runner=ref(1), answer=info(1))) == [Remove(runner=ref(1))]
    host.now += 1
    assert host.tell(LookedUp(runner=ref(3), answer=info(3))) == [Remove(runner=ref(3))]
    assert host.tell(RemoveAnswered(runner=ref(1), removal=Removal.REMOVED)) == [End(runner=ref(1))]
    assert host.tell(RemoveAnswered(runner=ref(3), removal=Removal.HAS_JOB)) == []  # it has just been given one
    assert host.life(3) is Life.BUSY


def idle_two() -> Host:
    """Return a host with two runners online and no job; one is too many."""
    host = Host(max_runners=10, min_idle=1, scale_down_delay=60.0)
    host.tell(counters(1))
    host.launch(1, 2)
    host.tell(*(LookedUp(runner=ref(number), answer=info(number)) for number in (1, 2)), counters(0, idle=2))
    assert host.wait(60) == [LookUp(runner=ref(1))]
    return host


def test_what_may_have_been_removed_is_not_counted_on() -> None:
    """The answer to the removal was lost: one more would be one too few."""
    host = idle_two()
    assert host.tell(LookedUp(runner=ref(1), answer=info(1))) == [Remove(runner=ref(1))]
    assert host.tell(RemoveAnswered(runner=ref(1), removal=Removal.FAILED)) == []
    assert host.wait(5) == [LookUp(runner=ref(1))]
    assert host.tell(LookedUp(runner=ref(1), answer=UNKNOWN), counters(0, idle=1)) == []
    assert {action.runner for action in host.wait(300) if isinstance(action, Remove)} == set()
    assert host.tell(LookedUp(runner=ref(1), answer=info(1))) == [Remove(runner=ref(1))]


def test_news_of_a_job_that_comes_during_a_removal_keeps_the_machine() -> None:
    """Some services say "removed" of a registration that they had lost: the job on it runs on."""
    host = idle_two()
    assert host.tell(LookedUp(runner=ref(1), answer=info(1))) == [Remove(runner=ref(1))]
    host.tell(JobStarted(job_id="j", runner=ref(1)))
    assert host.tell(RemoveAnswered(runner=ref(1), removal=Removal.REMOVED)) == []
    assert End(runner=ref(1)) not in host.tell(counters(1, busy=1, idle=1)) + host.wait(3600)
    assert host.life(1) is Life.BUSY


def test_a_removal_without_a_look_up_proves_nothing_of_the_machine_for_a_while() -> None:
    host = Host(max_runners=10)
    host.tell(counters(1))
    host.launch(1)
    assert host.tell(Drain()) == [LookUp(runner=ref(1))]
    assert host.tell(LookedUp(runner=ref(1), answer=UNKNOWN)) == [Remove(runner=ref(1))]
    assert host.tell(RemoveAnswered(runner=ref(1), removal=Removal.REMOVED)) == []
    assert host.wait(29) == []
    host.tell(JobStarted(job_id="j", runner=ref(1)))
    assert host.wait(3600) == []


def test_no_runner_that_is_ready_goes_in_favour_of_one_that_boots() -> None:
    host = Host(max_runners=10, min_idle=2, scale_down_delay=0.0)
    host.tell(counters(0))
    host.launch(1, 2)
    host.tell(*(LookedUp(runner=ref(number), answer=info(number)) for number in (1, 2)), counters(0, idle=2))
    host.tell(counters(3, idle=2))
    host.launch(3, 4, 5)
    done = host.tell(counters(1, idle=2)) + host.wait(60)  # three wanted, two ready, three boot
    assert {type(action) for action in done} == {LookUp}
    for number in (3, 4, 5):
        done += host.tell(LookedUp(runner=ref(number), answer=info(number, "offline")))
    assert Remove not in {type(action) for action in done + host.wait(60)}


def test_no_runner_that_is_ready_goes_in_favour_of_one_that_has_ended() -> None:
    host = Host(max_runners=10, min_idle=1, scale_down_delay=0.0)
    host.tell(counters(1))
    host.launch(1, 2)
    host.tell(LookedUp(runner=ref(1), answer=info(1)), MachineEnded(runner=ref(2)))
    assert host.tell(counters(0, idle=1)) == []


def test_counters_ahead_of_events_remove_nothing() -> None:
    """Ten launched, five done and five busy: the events of it are still on their way."""
    host = Host(max_runners=10, scale_down_delay=0.0)
    host.tell(counters(10))
    host.launch(*range(10))
    assert host.tell(counters(5, busy=5)) == []
    assert host.wait(25) == []
    done: list[Action] = []
    for number in range(10):
        done += host.tell(JobStarted(job_id=f"j{number}", runner=ref(number)))
    for number in range(5):
        done += host.tell(
            JobCompleted(job_id=f"j{number}", result="succeeded", runner=ref(number)), MachineEnded(runner=ref(number))
        )
    assert done == []
    assert {type(action) for action in host.wait(60)} <= {LookUp}


def test_a_host_that_was_restarted_counts_what_lives() -> None:
    """Seven were alive at `max_runners: 4`, and 351 launched for 300 jobs."""
    host = Host(max_runners=4)
    host.tell(*(Adopted(runner=ref(number)) for number in (1, 2)))
    assert host.tell(counters(4, busy=4)) == []  # two are known by name, two to the counters alone
    assert host.fleet.alive == 4
    for number in (1, 2):
        host.tell(LookedUp(runner=ref(number), answer=info(number, busy=True)))
    assert host.fleet.alive == 4
    host.tell(JobStarted(job_id="j", runner=ref(3)))  # one more has a name now
    host.tell(LookedUp(runner=ref(3), answer=info(3, busy=True)))
    assert host.fleet.alive == 4
    assert host.tell(counters(8, busy=3)) == []
    host.tell(JobCompleted(job_id="j", result="succeeded", runner=ref(3)))
    assert host.wait(3) == [LookUp(runner=ref(3))]
    host.now += 30
    assert host.tell(LookedUp(runner=ref(3), answer=ABSENT), counters(8, busy=3))[-1] == Mint(count=1, desired=4)


def test_machines_that_were_found_again_are_looked_up_and_end_as_ours() -> None:
    host = Host(max_runners=4)
    assert host.tell(Adopted(runner=RunnerRef(name="r1"), watched=True)) == [LookUp(runner=RunnerRef(name="r1"))]
    host.tell(counters(0, idle=1))
    assert host.fleet.alive == 2  # for as long as nobody knows whether they are the same
    host.tell(LookedUp(runner=RunnerRef(name="r1"), answer=info(1)))
    assert host.fleet.alive == 1
    assert host.wait(60) == [LookUp(runner=ref(1))]
    assert host.tell(LookedUp(runner=ref(1), answer=info(1))) == [Remove(runner=ref(1))]
    assert host.tell(RemoveAnswered(runner=ref(1), removal=Removal.REMOVED)) == [End(runner=ref(1))]
    host.tell(MachineEnded(runner=RunnerRef(name="r1")))
    assert host.fleet.settled


def test_mints_that_are_refused_are_one_chain_of_retries() -> None:
    """980 mints in 120 s: each message had started one more chain. One runner finds out whether it is still so."""
    host, asked = Host(max_runners=20), 0
    mints = host.tell(counters(10))
    for _ in range(120):
        if mints and isinstance(mints[-1], Mint):
            asked += mints[-1].count
            host.tell(BurstEnded(asked=mints[-1].count, launched=0, failures=(refusal(),) * mints[-1].count))
        mints = host.wait(1) + host.tell(counters(10))
    waits = [say.text.split(" s;")[0].rsplit(" ", 1)[1] for say in host.said]
    assert waits == ["5", "10", "20", "40", "80"]
    assert asked == 10 + 4
    assert [say.level for say in host.said] == [logging.WARNING] * 2 + [logging.ERROR] * 3
    assert "5 failures in a row, for 75 s; the last: the service answered 422" in host.said[-1].text


def test_the_service_s_own_wait_is_kept() -> None:
    host = Host(max_runners=20)
    host.tell(counters(10), BurstEnded(asked=10, launched=0, failures=(refusal(retry_after=77.0), refusal())))
    assert host.wait(76) == []
    assert host.wait(1) == [Mint(count=10, desired=10)]


def test_what_the_plugin_has_provided_already_is_asked_for_again_in_silence() -> None:
    host = Host(max_runners=20)
    host.tell(counters(1), BurstEnded(asked=1, launched=0, failures=(refusal(FailureReason.ALREADY_PROVIDED),)))
    assert host.wait(4) == []
    assert host.wait(1) == [Mint(count=1, desired=1)]
    assert host.said == []


def test_runners_that_exit_at_once_are_failures() -> None:
    """80 to 200 mints in 40 s for ten jobs."""
    host, launched = Host(max_runners=20), 0
    mints = host.tell(counters(10))
    for _ in range(60):
        while mints and isinstance(mints[-1], Mint):
            numbers = range(launched, launched + mints[-1].count)
            launched += len(numbers)
            host.launch(*numbers)
            mints = host.tell(*(MachineEnded(runner=ref(number)) for number in numbers))
        mints = []
        for action in host.wait(1) + host.tell(counters(10, registered=10)):
            if isinstance(action, LookUp):
                number = int((action.runner.name or "")[1:])
                for answer in host.tell(LookedUp(runner=action.runner, answer=info(number, "offline"))):
                    if isinstance(answer, Remove):
                        host.tell(RemoveAnswered(runner=answer.runner, removal=Removal.REMOVED))
            elif isinstance(action, Mint):
                mints = [action]
    assert launched == 40
    assert host.said[-1].level == logging.ERROR
    assert "ended without having had a job" in host.said[-1].text


def test_a_runner_that_works_ends_the_chain_of_failures() -> None:
    host = Host(max_runners=20)
    host.tell(counters(1), BurstEnded(asked=1, launched=0, failures=(refusal(),)))
    host.wait(5)
    host.launch(1)
    host.tell(JobStarted(job_id="j", runner=ref(1)), counters(2, busy=1))
    host.tell(BurstEnded(asked=1, launched=0, failures=(refusal(),)))
    assert "1 failures in a row" in host.said[-1].text


def test_a_host_that_stops_removes_idle_runners_and_leaves_busy_ones_alone() -> None:
    host = Host(max_runners=10)
    host.tell(counters(3))
    host.tell(Launched(runner=ref(1)), Launched(runner=ref(2)), JobStarted(job_id="j", runner=ref(2)))
    assert host.tell(Drain()) == [Lower(desired=0), LookUp(runner=ref(1))]
    assert host.said[-1].text == "1 runners have a job and finish it: r2"
    assert host.tell(LookedUp(runner=ref(1), answer=UNKNOWN)) == [Remove(runner=ref(1))]  # the service decides
    assert host.tell(RemoveAnswered(runner=ref(1), removal=Removal.HAS_JOB)) == []
    assert host.tell(Launched(runner=ref(3))) == [LookUp(runner=ref(3))]  # its mint was under way
    assert host.tell(LookedUp(runner=ref(3), answer=info(3, "offline"))) == [Remove(runner=ref(3))]
    assert host.tell(RemoveAnswered(runner=ref(3), removal=Removal.REMOVED)) == [End(runner=ref(3))]
    host.tell(MachineEnded(runner=ref(3)))
    assert host.tell(counters(9, busy=2)) == []
    for number in (1, 2):
        host.tell(MachineEnded(runner=ref(number)), LookedUp(runner=ref(number), answer=ABSENT))
    host.wait(31)
    assert host.fleet.settled


def test_fewer_may_be_alive_from_now_on() -> None:
    host = Host(max_runners=5)
    host.tell(counters(5))
    host.launch(1, 2, 3)
    host.tell(BurstEnded(asked=2, launched=0, failures=(refusal(FailureReason.DEMAND_FELL),)))
    host.tell(FleetLimits(max_runners=2))
    assert host.tell(counters(5, idle=3)) == []


def test_an_answer_that_is_older_than_the_news_does_not_count() -> None:
    host = with_one(start_timeout=60.0)
    host.wait(60)
    host.now += 1
    host.tell(JobStarted(job_id="j", runner=ref(1)))
    assert host.tell(LookedUp(runner=ref(1), answer=info(1, "offline"))) == []
    assert host.life(1) is Life.BUSY


@pytest.mark.parametrize("before", [True, False])
def test_a_host_that_stops_asks_at_once_about_what_has_ended(before: bool) -> None:
    """What had ended shortly before it was told to stop was asked about after 3 s, and the host stayed for that."""
    host = with_one()
    host.tell(JobStarted(job_id="j", runner=ref(1)))
    facts: list[Fact] = [MachineEnded(runner=ref(1)), Drain()] if before else [Drain(), MachineEnded(runner=ref(1))]
    assert LookUp(runner=ref(1)) in host.tell(*facts)


@pytest.mark.parametrize("stopping", [False, True])
def test_a_runner_that_ended_is_not_asked_about_in_a_loop_while_a_cache_remembers_it(stopping: bool) -> None:
    """A host span on the plugin's answer, 22 s of CPU in 24 s, after a runner had ended soon after its mint."""
    host = with_one()
    launched = host.now
    host.now += 0.5
    host.tell(MachineEnded(runner=ref(1)))
    done = host.tell(Drain()) if stopping else []
    for _ in range(100):
        for action in list(done):
            done.remove(action)
            if isinstance(action, LookUp):
                old = replace(info(1, "offline"), age=host.now - launched)
                done += host.tell(LookedUp(runner=ref(1), answer=old))
            elif isinstance(action, Remove):
                host.tell(RemoveAnswered(runner=ref(1), removal=Removal.REMOVED))
        done += host.wait(1.0)
        if host.life(1) is None:
            break
    assert host.life(1) is None
    assert host.now < launched + 40.0, "the event lag, and no more than that"


def test_an_old_answer_is_asked_for_again_ever_more_rarely() -> None:
    host = with_one(start_timeout=10.0)
    host.tell(JobStarted(job_id="j", runner=ref(1)))
    host.tell(JobCompleted(job_id="j", result="succeeded", runner=ref(1)))
    said, asked = host.now - 1.0, 0
    for _ in range(60):
        for action in host.wait(1.0):
            if isinstance(action, LookUp):
                asked += 1
                host.tell(LookedUp(runner=ref(1), answer=replace(info(1), age=host.now - said)))
    assert 1 <= asked <= 5


@pytest.mark.parametrize("limits", [{"max_runners": 1, "min_idle": 2}, {"max_runners": 1, "start_timeout": -1.0}])
def test_limits_that_no_fleet_can_keep_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        FleetLimits(**limits)
