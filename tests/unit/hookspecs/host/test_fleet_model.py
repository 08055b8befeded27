"""The fleet in a world that does everything it may: its rules hold at every step, and in the end every job has run.

`make test` tries a few histories, `make test-slow` 1,000, `BURST_MODEL_RUNS=20000 make test-slow` as many as it says.
"""

import os
from dataclasses import fields

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from scaleset_hookspecs.host.fleet import FleetLimits
from tests.kit.fleet_world import Faults, Traits, World

FEW = 40
MANY = int(os.environ.get("BURST_MODEL_RUNS", "1000"))

rates = st.sampled_from([0.0, 0.0, 0.0, 0.1, 0.5])
all_limits = st.builds(
    lambda most, idle, start, delay: FleetLimits(
        max_runners=most, min_idle=min(most, idle), start_timeout=start, scale_down_delay=delay, event_lag=30.0
    ),
    st.integers(0, 8),
    st.integers(0, 2),
    st.sampled_from([60.0, 300.0]),
    st.sampled_from([0.0, 20.0, 60.0]),
)


class Histories(RuleBasedStateMachine):
    """Histories of one scale set, its host and its machines."""

    @initialize(
        seed=st.integers(0, 2**32),
        limits=all_limits,
        traits=st.builds(
            Traits,
            watched=st.booleans(),
            adopts=st.booleans(),
            lists=st.sampled_from([1.0, 1.0, 0.5, 0.0]),
            absent_is_204=st.booleans(),
            says_status=st.sampled_from([True, True, False]),
            counts_offline=st.booleans(),
            boot=st.sampled_from([1.0, 20.0, 50.0]),
            remembers=st.booleans(),
        ),
        faults=st.builds(Faults, **{each.name: rates for each in fields(Faults)}),
    )
    def begin(self, seed: int, limits: FleetLimits, traits: Traits, faults: Faults) -> None:
        self.world = World(seed=seed, limits=limits, traits=traits, faults=faults)

    @rule(count=st.integers(1, 6))
    def jobs_come(self, count: int) -> None:
        self.world.add_jobs(count)

    @rule(seconds=st.sampled_from([0.5, 5.0, 40.0, 200.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule()
    def counters_come(self) -> None:
        self.world.send_counters()

    @rule()
    def a_job_is_cancelled(self) -> None:
        self.world.cancel_job()

    @rule()
    def an_assignment_is_taken_back(self) -> None:
        self.world.take_back()

    @rule()
    def registrations_are_dropped(self) -> None:
        self.world.drop_registrations()

    @rule()
    def a_machine_dies(self) -> None:
        self.world.kill_machine()

    @rule(limits=all_limits)
    def limits_change(self, limits: FleetLimits) -> None:
        self.world.set_limits(limits)

    @rule(down=st.sampled_from([0.0, 1.0, 50.0]))
    def the_host_is_killed(self, down: float) -> None:
        self.world.restart(down)

    @rule()
    def the_host_is_told_to_stop(self) -> None:
        self.world.drain()

    @rule(faults=st.builds(Faults, **{each.name: rates for each in fields(Faults)}))
    def faults_change(self, faults: Faults) -> None:
        self.world.faults = faults

    @invariant()
    def nothing_is_wrong(self) -> None:
        if hasattr(self, "world"):
            assert self.world.wrongs == []

    def teardown(self) -> None:
        if hasattr(self, "world") and not self.world.wrongs:
            self.world.calm()
            assert self.world.wrongs == []


def run(count: int) -> None:
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=count, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_the_rules_hold_in_every_history() -> None:
    run(FEW)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_the_rules_hold_in_many_histories() -> None:
    run(MANY)
