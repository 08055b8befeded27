"""The scaler decides from the counters and the runners it knows, and from nothing else."""

import pytest

from autoscaler.scaler import Decision, Fleet, decide, desired_runners
from scaleset_hookspecs import JitConfig, RunnerRef, ScaleSetRef, Statistics


def config(number: int) -> JitConfig:
    return JitConfig(
        runner_id=number, runner_name=f"r{number}", scale_set=ScaleSetRef(name="s", id=1), encoded="x", minted_at=0
    )


def fleet(idle: int, *, busy: int = 0, requested: int = 0) -> Fleet:
    made = Fleet(requested=requested)
    for number in range(idle + busy):
        made.launched(config(number))
    for number in range(idle, idle + busy):
        made.busy(RunnerRef(name=f"r{number}"))
    return made


@pytest.mark.parametrize(
    ("assigned", "min_idle", "expected"), [(0, 0, 0), (0, 2, 2), (3, 2, 5), (9, 2, 10), (50, 0, 10)]
)
def test_desired_is_idle_plus_assigned_up_to_the_maximum(assigned: int, min_idle: int, expected: int) -> None:
    statistics = Statistics(assigned_jobs=assigned)
    assert desired_runners(statistics, min_idle=min_idle, max_runners=10) == expected


@pytest.mark.parametrize(
    ("there", "assigned", "expected"),
    [
        (fleet(0), 4, Decision(desired=4, provision=4)),
        (fleet(1, busy=1), 4, Decision(desired=4, provision=2)),
        (fleet(1, requested=2), 4, Decision(desired=4, provision=1)),
        (fleet(0, requested=4), 4, Decision(desired=4)),
        (fleet(0, requested=4), 1, Decision(desired=1, fell=True)),
        (fleet(2, requested=4), 3, Decision(desired=3, fell=True)),
    ],
)
def test_asks_for_what_is_neither_there_nor_asked_for(there: Fleet, assigned: int, expected: Decision) -> None:
    assert decide(Statistics(assigned_jobs=assigned), there, min_idle=0, max_runners=10) == expected


def test_scales_down_only_idle_runners_the_oldest_first() -> None:
    decision = decide(Statistics(assigned_jobs=2), fleet(3, busy=2), min_idle=0, max_runners=10)
    assert [runner.name for runner in decision.remove] == ["r0", "r1", "r2"]


def test_requests_under_way_are_cancelled_before_a_runner_is_removed() -> None:
    decision = decide(Statistics(assigned_jobs=1), fleet(2, requested=1), min_idle=0, max_runners=10)
    assert decision.fell
    assert [runner.name for runner in decision.remove] == ["r0"]


def test_a_runner_that_is_leaving_is_not_counted_and_not_removed_twice() -> None:
    there = fleet(2)
    there.leaving(RunnerRef(name="r0"))
    assert there.known == 1
    assert [runner.name for runner in there.idle()] == ["r1"]


def test_a_runner_is_gone_once() -> None:
    there = fleet(1)
    assert there.gone(RunnerRef(name="r0")) == RunnerRef(name="r0", id=0)
    assert there.gone(RunnerRef(name="r0")) is None
    assert there.known == 0


def test_news_of_a_runner_of_somebody_else_changes_nothing() -> None:
    there = fleet(1)
    there.busy(RunnerRef(name="other"))
    there.busy(RunnerRef(id=7))
    assert there.known == 1
    assert len(there.idle()) == 1
