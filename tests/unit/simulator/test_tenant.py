"""The tenant: names, groups, limits and the life of a registration, without a socket."""

import base64
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleset_simulator.errors import Refusal
from scaleset_simulator.options import Options
from scaleset_simulator.tenant import Runner, Tenant, jit_config, read_jit_config, rfc3339
from tests.unit.simulator.moments import ManualClock


def tenant(clock: ManualClock | None = None, **options: float) -> Tenant:
    return Tenant(clock or ManualClock(), Options(**options), random.Random(1))  # type: ignore[arg-type]


def refused(call: object, *arguments: object) -> Refusal:
    with pytest.raises(Refusal) as raised:
        call(*arguments)  # type: ignore[operator]
    return raised.value


class TestScaleSets:
    def test_a_name_is_unique_in_its_group_whatever_its_case(self) -> None:
        one = tenant()
        one.create_scale_set("Linux", 1)
        refusal = refused(one.create_scale_set, "linux", 1)
        assert (refusal.status, "RunnerScaleSetExistsException" in str(refusal.type_name)) == (400, True)
        assert one.create_scale_set("linux", one.group_id("other")).group_id == 2

    def test_labels_default_to_the_name_and_their_type_to_system(self) -> None:
        one = tenant()
        assert one.create_scale_set("a", 1).labels == [{"type": "System", "name": "a"}]
        assert one.create_scale_set("b", 1, [{"name": "x"}]).labels == [{"type": "System", "name": "x"}]

    def test_a_name_is_needed(self) -> None:
        assert refused(tenant().create_scale_set, "", 1).status == 400

    def test_deleting_one_ends_its_runners_and_no_others(self) -> None:
        one = tenant()
        first, second = one.create_scale_set("a", 1), one.create_scale_set("b", 1)
        one.register(first.id, "r-a")
        kept = one.register(second.id, "r-b")
        one.delete_scale_set(first.id)
        assert list(one.runners.values()) == [kept]
        assert "RunnerScaleSetNotFoundException" in str(refused(one.scale_set, first.id).type_name)
        assert one.register(second.id, "r-a").name == "r-a"


class TestRunners:
    def test_a_name_is_unique_over_all_scale_sets_whatever_its_case(self) -> None:
        one = tenant()
        first, second = one.create_scale_set("a", 1), one.create_scale_set("b", 1)
        one.register(first.id, "Runner-1")
        refusal = refused(one.register, second.id, "runner-1")
        assert (refusal.status, "AgentExistsException" in str(refusal.type_name)) == (409, True)
        assert one.registrations == 1

    @pytest.mark.parametrize("name", ["", "x" * 65])
    def test_a_name_has_1_to_64_characters(self, name: str) -> None:
        one = tenant()
        assert refused(one.register, one.create_scale_set("a", 1).id, name).status == 400
        assert one.registrations == 0

    def test_a_removed_name_is_free_and_its_return_is_counted(self) -> None:
        one = tenant()
        number = one.create_scale_set("a", 1).id
        one.remove(one.register(number, "r").id)
        assert one.register(number, "r").name == "r"
        assert (one.registrations, one.duplicates) == (2, 1)

    @pytest.mark.parametrize("status", [400, 409])
    def test_a_busy_runner_stays(self, status: int) -> None:
        one = tenant(running_status=status)
        runner = one.register(one.create_scale_set("a", 1).id, "r")
        runner.busy = True
        refusal = refused(one.remove, runner.id)
        assert (refusal.status, "JobStillRunningException" in str(refusal.type_name)) == (status, True)
        assert runner.id in one.runners

    def test_an_absent_runner_is_named_as_such(self) -> None:
        assert "AgentNotFoundException" in str(refused(tenant().runner, 99).type_name)

    def test_a_full_group_refuses_and_registers_nothing(self) -> None:
        one = tenant(group_capacity=2)
        number = one.create_scale_set("a", 1).id
        for name in ("r1", "r2"):
            one.register(number, name)
        refusal = refused(one.register, number, "r3")
        assert (refusal.status, "max limit of 2 runners" in refusal.message) == (422, True)
        assert len(one.runners) == one.registrations == 2


class TestWindow:
    def test_room_comes_back_when_the_oldest_leaves_the_window(self) -> None:
        clock = ManualClock()
        one = tenant(clock, registrations=2, window=300.0)
        number = one.create_scale_set("a", 1).id
        one.register(number, "r1")
        clock.now += 100
        one.register(number, "r2")
        assert one.wait_for_next() == pytest.approx(200)
        clock.now += 200
        assert one.wait_for_next() is None

    def test_a_removed_runner_still_counts(self) -> None:
        one = tenant(registrations=1)
        one.remove(one.register(one.create_scale_set("a", 1).id, "r").id)
        assert one.wait_for_next() == pytest.approx(300)

    def test_without_a_limit_there_is_always_room_and_the_most_is_known(self) -> None:
        clock = ManualClock()
        one = tenant(clock)
        number = one.create_scale_set("a", 1).id
        for index in range(5):
            one.register(number, f"r{index}")
            clock.now += 100
        assert one.wait_for_next() is None
        assert one.most_recent == 3

    @given(st.lists(st.floats(0, 50), min_size=1, max_size=60))
    def test_no_window_ever_holds_more_than_allowed(self, pauses: list[float]) -> None:
        clock = ManualClock()
        one = tenant(clock, registrations=5, window=60.0)
        number = one.create_scale_set("a", 1).id
        moments: list[float] = []
        for index, pause in enumerate(pauses):
            clock.now += pause
            if one.wait_for_next() is None:
                one.register(number, f"r{index}")
                moments.append(clock.now)
        assert all(sum(1 for each in moments if start <= each < start + 60.0) <= 5 for start in moments)
        assert one.most_recent <= 5


class TestJitConfigs:
    RUNNER = Runner(7, "r-7", 1, 0.0, "s" * 32)

    def test_it_is_base64_of_three_files_and_about_four_kibibytes(self) -> None:
        text = jit_config(self.RUNNER)
        files = json.loads(base64.b64decode(text, validate=True))
        assert set(files) == {".runner", ".credentials", ".credentials_rsaparams"}
        settings = json.loads(base64.b64decode(files[".runner"], validate=True))
        assert (settings["agentId"], settings["agentName"]) == ("7", "r-7")
        assert 3500 < len(text) < 6000

    def test_it_is_read_back(self) -> None:
        assert read_jit_config(jit_config(self.RUNNER)) == (7, "s" * 32)

    def test_no_two_runners_share_one(self) -> None:
        one = tenant()
        number = one.create_scale_set("a", 1).id
        assert len({jit_config(one.register(number, f"r{index}")) for index in range(50)}) == 50

    @pytest.mark.parametrize("text", ["", "!", base64.b64encode(b"[").decode()])
    def test_what_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError):  # noqa: PT011  # any of its kinds
            read_jit_config(text)


def test_times_have_seven_digits_of_fraction() -> None:
    assert rfc3339(1_700_000_000.25) == "2023-11-14T22:13:20.2500000Z"
