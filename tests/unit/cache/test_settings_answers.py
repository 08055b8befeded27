"""Settings of scale sets: what is asked, how often, and how certain the answers are."""

import asyncio
from dataclasses import replace

import pytest

from scaleset_burst.cache import Kind
from scaleset_client.types import RunnerGroup
from scaleset_hookspecs import (
    AuthenticationFailed,
    Certainty,
    Label,
    NotFound,
    RunnerRef,
    ScaleSetRef,
    Statistics,
    Unavailable,
)
from tests.kit.virtual import run_virtually
from tests.unit.cache.model import ModelService, down, make

LINUX = ScaleSetRef(name="linux")
GROUPED = ScaleSetRef(name="linux", runner_group="builders")


def grouped() -> ModelService:
    service = ModelService()
    service.groups["builders"] = RunnerGroup(id=5, name="builders")
    service.add_set("linux", 5, labels=(Label(name="linux"),), disable_update=True)
    service.add_set("linux", 1)
    return service


def test_a_cold_cache_costs_a_group_and_a_name_and_a_warm_one_nothing() -> None:
    async def main() -> None:
        service = grouped()
        cache = make(service)
        scale_set_id = await cache.scale_set_id(GROUPED)
        answer = await cache.scale_set_settings(GROUPED)
        assert service.requests == 2
        assert answer.value is not None
        assert (answer.value.id, answer.value.runner_group_name) == (scale_set_id, "builders")
        assert (answer.value.labels, answer.value.disable_update) == ((Label(name="linux"),), True)
        for _ in range(1000):
            assert await cache.scale_set_id(GROUPED) == scale_set_id
            assert cache.peek_settings(GROUPED) is not None
        assert service.requests == 2

    run_virtually(main)


@pytest.mark.parametrize("spelling", ["default", "Default", "DEFAULT"])
def test_the_default_group_is_not_looked_up(spelling: str) -> None:
    async def main() -> None:
        service = grouped()
        cache = make(service)
        await cache.scale_set_id(ScaleSetRef(name="linux", runner_group=spelling))
        await cache.scale_set_id(LINUX)
        assert service.asked == {"set by name": 1}

    run_virtually(main)


def test_an_id_that_the_host_knows_costs_a_mint_nothing() -> None:
    async def main() -> None:
        service = ModelService()
        cache = make(service)
        assert await cache.scale_set_id(ScaleSetRef(name="linux", id=77)) == 77
        assert service.requests == 0

    run_virtually(main)


def test_settings_by_id_are_one_request() -> None:
    async def main() -> None:
        service = grouped()
        made = service.add_set("linux")
        cache = make(service)
        ref = ScaleSetRef(name="linux", id=made.id)
        first = await cache.scale_set_settings(ref)
        second = await cache.scale_set_settings(ref)
        assert (first.source, second.source) == ("service", "cache")
        assert service.asked == {"set by id": 1}

    run_virtually(main)


def test_a_thousand_who_ask_at_once_are_one_request() -> None:
    async def main() -> None:
        service = grouped()
        service.latency = 0.3
        cache = make(service)
        answers = await asyncio.gather(*[cache.scale_set_settings(LINUX) for _ in range(1000)])
        assert service.requests == 1
        assert {answer.certainty for answer in answers} == {Certainty.FRESH}
        assert cache.counters[Kind.SCALE_SET].misses == 1000

    run_virtually(main)


def test_the_first_caller_who_gives_up_takes_nobody_with_him() -> None:
    async def main() -> None:
        service = grouped()
        service.latency = 1.0
        cache = make(service)
        first, second = (asyncio.create_task(cache.scale_set_settings(LINUX)) for _ in range(2))
        await asyncio.sleep(0.5)
        first.cancel()
        assert (await second).certainty is Certainty.FRESH
        with pytest.raises(asyncio.CancelledError):
            await first
        assert service.requests == 1

    run_virtually(main)


def test_a_look_that_everybody_gave_up_on_still_teaches() -> None:
    async def main() -> None:
        service = grouped()
        service.latency = 1.0
        cache = make(service)
        asking = asyncio.create_task(cache.scale_set_settings(LINUX))
        await asyncio.sleep(0.5)
        asking.cancel()
        await asyncio.sleep(1.0)
        assert cache.peek_settings(LINUX) is not None

    run_virtually(main)


def test_an_entry_near_its_end_is_renewed_behind_the_answer_once() -> None:
    async def main() -> None:
        service = grouped()
        cache = make(service, ttl=300)
        await cache.scale_set_settings(LINUX)
        service.latency = 1.0
        await asyncio.sleep(255)
        for _ in range(10):
            answer = cache.peek_settings(LINUX)
            assert answer is not None
            assert answer.age == 255.0
        await asyncio.sleep(1.1)
        assert service.requests == 2
        renewed = cache.peek_settings(LINUX)
        assert renewed is not None
        assert renewed.age == pytest.approx(1.1)
        assert cache.counters[Kind.SCALE_SET_NAME].refreshes == 1

    run_virtually(main)


def test_an_answer_is_no_fresher_than_the_name_that_led_to_it() -> None:
    async def main() -> None:
        service = ModelService()
        made = service.add_set("linux")
        cache = make(service, ttl=300)
        await cache.scale_set_id(LINUX)
        await asyncio.sleep(200)
        cache.invalidate(Kind.SCALE_SET, made.id)
        await cache.scale_set_settings(ScaleSetRef(name="linux", id=made.id))
        moved = service.add_set("linux")
        await asyncio.sleep(100)
        answer = await cache.scale_set_settings(LINUX)
        assert answer.value is not None
        assert answer.value.id == moved.id

    run_virtually(main)


def test_memory_ends_with_the_lifetime_when_nobody_asked_meanwhile() -> None:
    async def main() -> None:
        service = grouped()
        cache = make(service, ttl=300)
        await cache.scale_set_settings(LINUX)
        await asyncio.sleep(300)
        assert cache.peek_settings(LINUX) is None
        assert (await cache.scale_set_settings(LINUX)).age == 0.0
        assert service.requests == 2

    run_virtually(main)


def test_a_lifetime_of_zero_asks_for_every_answer() -> None:
    async def main() -> None:
        service = grouped()
        service.latency = 0.2
        cache = make(service, ttl=0)
        for _ in range(3):
            answer = await cache.scale_set_settings(LINUX)
            assert (answer.certainty, answer.source) == (Certainty.FRESH, "service")
        assert service.requests == 3

    run_virtually(main)


def test_an_answer_that_took_longer_than_its_lifetime_is_not_called_fresh() -> None:
    async def main() -> None:
        service = grouped()
        service.latency = 5.0
        answer = await make(service, ttl=2).scale_set_settings(LINUX)
        assert (answer.certainty, answer.age) == (Certainty.STALE, 5.0)
        assert answer.reason is not None
        assert "longer" in answer.reason

    run_virtually(main)


def test_a_name_that_the_service_does_not_have_is_absent_and_not_remembered_as_such() -> None:
    async def main() -> None:
        service = ModelService()
        cache = make(service)
        answer = await cache.scale_set_settings(LINUX)
        assert (answer.certainty, answer.source, answer.age) == (Certainty.ABSENT, "service", 0.0)
        with pytest.raises(NotFound, match="linux"):
            await cache.scale_set_id(LINUX)
        made = service.add_set("linux")
        assert await cache.scale_set_id(LINUX) == made.id

    run_virtually(main)


def test_a_look_that_began_before_the_question_proves_no_absence() -> None:
    async def main() -> None:
        service = ModelService()
        service.latency = 2.0
        cache = make(service)
        early = asyncio.create_task(cache.scale_set_settings(LINUX))
        await asyncio.sleep(1.5)
        made = service.add_set("linux")
        late = asyncio.create_task(cache.scale_set_settings(LINUX))
        assert await cache.scale_set_id(LINUX) == made.id
        assert (await early).certainty is Certainty.ABSENT
        assert (await late).certainty is Certainty.FRESH
        assert service.requests == 2

    run_virtually(main)


def test_what_was_absent_is_not_served_stale_when_the_service_fails_later() -> None:
    async def main() -> None:
        service = ModelService()
        made = service.add_set("linux")
        cache = make(service, ttl=300)
        await cache.scale_set_settings(LINUX)
        service.sets.clear()
        await asyncio.sleep(300)
        assert (await cache.scale_set_settings(LINUX)).certainty is Certainty.ABSENT
        service.error = down()
        for ref in (LINUX, ScaleSetRef(name="linux", id=made.id)):
            assert (await cache.scale_set_settings(ref)).certainty is Certainty.UNKNOWN

    run_virtually(main)


def test_a_group_that_does_not_exist_makes_its_scale_sets_absent() -> None:
    async def main() -> None:
        cache = make(ModelService())
        answer = await cache.scale_set_settings(GROUPED)
        assert answer.certainty is Certainty.ABSENT
        assert "builders" in str(answer.reason)
        with pytest.raises(NotFound, match="builders"):
            await cache.scale_set_id(GROUPED)

    run_virtually(main)


def test_a_remembered_group_that_died_is_looked_up_once_more_before_its_sets_are_called_absent() -> None:
    async def main() -> None:
        service = grouped()
        cache = make(service)
        await cache.scale_set_id(GROUPED)
        service.groups["builders"] = RunnerGroup(id=6, name="builders")
        service.sets.clear()
        made = service.add_set("linux", 6)
        cache.invalidate(Kind.SCALE_SET_NAME)
        assert await cache.scale_set_id(GROUPED) == made.id
        assert service.asked["group"] == 2

    run_virtually(main)


@pytest.mark.parametrize("ref", [LINUX, GROUPED, ScaleSetRef(name="linux", id=101)])
def test_a_404_that_does_not_name_what_is_missing_makes_nothing_absent(ref: ScaleSetRef) -> None:
    async def main() -> None:
        service = grouped()
        service.error = NotFound("page not found", status=404)
        cache = make(service)
        assert (await cache.scale_set_settings(ref)).certainty is Certainty.UNKNOWN
        service.error = None
        await asyncio.sleep(2)
        assert (await cache.scale_set_settings(ref)).certainty is Certainty.FRESH
        service.error = NotFound("page not found", status=404)
        await asyncio.sleep(300)
        assert (await cache.scale_set_settings(ref)).certainty is Certainty.STALE
        assert await cache.scale_set_id(ref) > 0

    run_virtually(main)


def test_a_group_that_refuses_its_scale_sets_without_naming_what_is_missing_makes_none_absent() -> None:
    async def main() -> None:
        service = grouped()
        cache = make(service)
        await cache.scale_set_id(GROUPED)
        cache.invalidate(Kind.SCALE_SET_NAME)

        async def lost(name: str, runner_group_id: int = 1) -> None:
            raise NotFound("page not found", status=404)

        service.get_scale_set_by_name = lost  # type: ignore[method-assign]
        assert (await cache.scale_set_settings(GROUPED)).certainty is Certainty.UNKNOWN
        assert service.asked["group"] == 2

    run_virtually(main)


def test_refused_credentials_are_raised_and_not_tried_again_at_once() -> None:
    async def main() -> None:
        service = grouped()
        service.error = AuthenticationFailed("bad credentials", status=401)
        cache = make(service)
        for _ in range(5):
            assert cache.peek_settings(LINUX) is None
            with pytest.raises(AuthenticationFailed):
                await cache.scale_set_settings(LINUX)
            with pytest.raises(AuthenticationFailed):
                await cache.scale_set_id(LINUX)
        assert service.requests == 1
        service.error = None
        await asyncio.sleep(2)
        assert (await cache.scale_set_settings(LINUX)).certainty is Certainty.FRESH

    run_virtually(main)


def test_a_cold_cache_without_a_service_knows_nothing_and_says_when_it_asks_again() -> None:
    async def main() -> None:
        service = grouped()
        service.error = down(retry_after=30)
        cache = make(service)
        answer = await cache.scale_set_settings(LINUX)
        assert (answer.certainty, answer.age) == (Certainty.UNKNOWN, None)
        assert "asked again in 30" in str(answer.reason)
        with pytest.raises(Unavailable) as caught:
            await cache.scale_set_id(LINUX)
        assert caught.value.retry_after == pytest.approx(30, abs=1)
        assert service.requests == 1

    run_virtually(main)


def test_a_group_that_cannot_be_looked_up_leaves_the_set_unknown_and_is_asked_once() -> None:
    async def main() -> None:
        service = grouped()
        service.error = down(retry_after=30)
        cache = make(service)
        for _ in range(5):
            assert (await cache.scale_set_settings(GROUPED)).certainty is Certainty.UNKNOWN
        assert service.asked == {"group": 1}
        service.error = None
        await asyncio.sleep(32)
        assert (await cache.scale_set_settings(GROUPED)).certainty is Certainty.FRESH

    run_virtually(main)


def test_a_group_past_its_life_still_leads_to_its_sets_while_groups_cannot_be_looked_up() -> None:
    async def main() -> None:
        service = grouped()
        cache = make(service, ttl=300, runner_group_ttl=10)
        made = await cache.scale_set_id(GROUPED)
        await asyncio.sleep(20)
        cache.invalidate(Kind.SCALE_SET_NAME)

        async def fails(name: str) -> RunnerGroup:
            raise down()

        service.get_runner_group = fails  # type: ignore[method-assign]
        assert await cache.scale_set_id(GROUPED) == made
        assert cache.counters[Kind.RUNNER_GROUP].stale == 1

    run_virtually(main)


def test_statistics_are_left_out_unless_they_are_to_be_kept() -> None:
    async def main() -> None:
        service = ModelService()
        service.add_set("linux", statistics=Statistics(assigned_jobs=3))
        cache = make(service)
        cache.on_statistics(LINUX, Statistics(assigned_jobs=4))
        answer = await cache.scale_set_settings(LINUX)
        assert answer.value is not None
        assert answer.value.statistics is None

    run_virtually(main)


def test_statistics_that_are_kept_have_a_life_of_their_own_and_follow_the_messages() -> None:
    async def main() -> None:
        service = ModelService()
        service.add_set("linux", statistics=Statistics(assigned_jobs=3))
        cache = make(service, cache_statistics=True, statistics_ttl=5)

        async def assigned() -> int | None:
            answer = await cache.scale_set_settings(LINUX)
            assert answer.value is not None
            return None if answer.value.statistics is None else answer.value.statistics.assigned_jobs

        assert await assigned() == 3
        cache.on_statistics(LINUX, Statistics(assigned_jobs=4))
        assert await assigned() == 4
        assert service.requests == 1
        await asyncio.sleep(6)
        assert await assigned() == 3
        assert service.requests == 2
        await asyncio.sleep(6)
        service.error = down()
        assert await assigned() is None
        fresh = await cache.scale_set_settings(LINUX)
        assert fresh.certainty is Certainty.FRESH

    run_virtually(main)


def test_statistics_of_a_message_outdate_the_look_under_way() -> None:
    async def main() -> None:
        service = ModelService()
        service.add_set("linux", statistics=Statistics(assigned_jobs=3))
        cache = make(service, cache_statistics=True, statistics_ttl=5)
        await cache.scale_set_settings(LINUX)
        await asyncio.sleep(10)
        service.latency = 2.0
        asking = asyncio.create_task(cache.scale_set_settings(LINUX))
        await asyncio.sleep(1.5)
        cache.on_statistics(LINUX, Statistics(assigned_jobs=9))
        for answer in (await asking, cache.peek_settings(LINUX)):
            assert answer is not None
            assert answer.value is not None
            assert answer.value.statistics == Statistics(assigned_jobs=9)

    run_virtually(main)


def test_statistics_that_took_longer_than_their_life_are_left_out() -> None:
    async def main() -> None:
        service = ModelService()
        service.add_set("linux", statistics=Statistics(assigned_jobs=3))
        service.latency = 6.0
        answer = await make(service, cache_statistics=True, statistics_ttl=5).scale_set_settings(LINUX)
        assert answer.certainty is Certainty.FRESH
        assert answer.value is not None
        assert answer.value.statistics is None

    run_virtually(main)


def test_statistics_near_their_end_are_renewed_behind_the_answer() -> None:
    async def main() -> None:
        service = ModelService()
        service.add_set("linux", statistics=Statistics(assigned_jobs=3))
        cache = make(service, cache_statistics=True, statistics_ttl=10)
        await cache.scale_set_settings(LINUX)
        await asyncio.sleep(8.5)
        assert cache.peek_settings(LINUX) is not None
        await asyncio.sleep(0.1)
        assert service.requests == 2

    run_virtually(main)


def test_statistics_that_the_service_does_not_say_are_not_asked_for_again_and_again() -> None:
    async def main() -> None:
        service = ModelService()
        service.add_set("linux")
        cache = make(service, cache_statistics=True, statistics_ttl=5)
        for _ in range(3):
            await cache.scale_set_settings(LINUX)
        assert service.requests == 1

    run_virtually(main)


def test_by_hand_one_key_a_kind_or_everything_is_forgotten() -> None:
    async def main() -> None:
        service = grouped()
        cache = make(service)
        await cache.scale_set_id(LINUX)
        await cache.scale_set_id(GROUPED)
        assert cache.invalidate(Kind.SCALE_SET_NAME, LINUX) == 1
        assert cache.invalidate(Kind.SCALE_SET_NAME, LINUX) == 0
        assert cache.invalidate(Kind.SCALE_SET, GROUPED) == 1
        assert cache.invalidate(Kind.RUNNER_GROUP, "builders") == 1
        assert cache.invalidate() == 2
        assert cache.counters[Kind.SCALE_SET].evictions == 2

    run_virtually(main)


def test_by_hand_a_scale_set_whose_id_is_not_known_takes_no_other_with_it() -> None:
    async def main() -> None:
        cache = make(grouped())
        await cache.scale_set_settings(LINUX)
        assert cache.invalidate(Kind.SCALE_SET, ScaleSetRef(name="nobody")) == 0
        assert cache.peek_settings(LINUX) is not None

    run_virtually(main)


def test_what_is_forgotten_by_hand_does_not_come_back_from_a_look_under_way() -> None:
    async def main() -> None:
        service = grouped()
        service.latency = 1.0
        cache = make(service)
        asking = asyncio.create_task(cache.scale_set_settings(LINUX))
        await asyncio.sleep(0.6)
        changed = service.add_set("linux")
        cache.invalidate()
        answer = await asking
        assert answer.value is not None
        assert answer.value.id == changed.id
        assert service.requests == 2
        assert not service.twice

    run_virtually(main)


def test_what_was_learnt_at_once_is_not_asked_for_again_at_once() -> None:
    async def main() -> None:
        service = ModelService()
        cache = make(service, ttl=300)
        names = [ScaleSetRef(name=f"s{number}") for number in range(20)]
        for ref in names:
            service.add_set(ref.name)
            await cache.scale_set_settings(ref)
        counts = []
        for _ in range(30):
            await asyncio.sleep(10)
            before = service.requests
            for ref in names:
                if cache.peek_settings(ref) is None:
                    await cache.scale_set_settings(ref)
            await asyncio.sleep(0)
            counts.append(service.requests - before)
        assert sum(counts) == 20
        assert max(counts) < 20

    run_virtually(main)


def test_settings_forgotten_by_hand_do_not_come_back_from_a_look_under_way_for_the_name() -> None:
    async def main() -> None:
        service = ModelService()
        made = service.add_set("linux", disable_update=False)
        service.latency = 1.0
        cache = make(service)
        asking = asyncio.create_task(cache.scale_set_settings(LINUX))
        await asyncio.sleep(0.6)
        service.sets[1, "linux"] = replace(made, disable_update=True)
        cache.invalidate(Kind.SCALE_SET, made.id)
        for answer in (await asking, cache.peek_settings(LINUX)):
            assert answer is not None
            assert answer.value is not None
            assert answer.value.disable_update

    run_virtually(main)


def test_memory_is_bounded_and_the_least_recently_used_goes_first() -> None:
    async def main() -> None:
        service = ModelService()
        cache = make(service, max_entries=10)
        for number in range(11):
            service.add_set(f"s{number}")
            await cache.scale_set_settings(ScaleSetRef(name=f"s{number}"))
            await cache.scale_set_settings(ScaleSetRef(name="s0"))
        assert cache.peek_settings(ScaleSetRef(name="s0")) is not None
        assert cache.peek_settings(ScaleSetRef(name="s1")) is None
        assert cache.counters[Kind.SCALE_SET].evictions == 1

    run_virtually(main)


def test_reading_the_counters_writes_none_of_them() -> None:
    """A scrape comes from a thread of its own: what it wrote could undo what the loop counts meanwhile."""

    async def main() -> None:
        service = ModelService()
        cache = make(service, max_entries=10)
        for number in range(15):
            service.add_set(f"s{number}")
            await cache.scale_set_settings(ScaleSetRef(name=f"s{number}"))
        facts = cache._facts[Kind.SCALE_SET]
        before = {name: value for name, value in vars(facts).items() if isinstance(value, int)}
        assert [cache.counters[Kind.SCALE_SET].evictions for _ in range(2)] == [5, 5]
        assert {name: value for name, value in vars(facts).items() if isinstance(value, int)} == before

    run_virtually(main)


def test_closing_tells_who_waits_and_starts_nothing_more() -> None:
    async def main() -> None:
        service = grouped()
        service.latency = 1.0
        cache = make(service)
        asking = asyncio.create_task(cache.scale_set_id(LINUX))
        await asyncio.sleep(0.1)
        await cache.aclose()
        with pytest.raises(Unavailable, match="closed"):
            await asking
        assert (await cache.scale_set_settings(LINUX)).certainty is Certainty.UNKNOWN
        assert service.requests == 1

    run_virtually(main)


def test_a_closed_cache_still_answers_what_it_would_have_renewed() -> None:
    async def main() -> None:
        service = grouped()
        runner = service.add_runner("r1")
        cache = make(service, ttl=300, runner_ttl=300)
        made = await cache.scale_set_id(LINUX)
        await cache.runner_info(LINUX, RunnerRef(id=runner.id))
        await asyncio.sleep(255)
        before = service.requests
        await cache.aclose()
        warm = cache.peek_settings(LINUX)
        assert warm is not None
        assert warm.certainty is Certainty.FRESH
        assert await cache.scale_set_id(LINUX) == made
        assert (await cache.runner_info(LINUX, RunnerRef(id=runner.id))).certainty is Certainty.FRESH
        assert service.requests == before

    run_virtually(main)
