"""A scale set deleted and created again under its name: one look-up finds the new one, however many ask."""

import asyncio
from dataclasses import replace

import pytest

from scaleset_burst.cache import Kind
from scaleset_hookspecs import Certainty, NotFound, ScaleSetRef, Unavailable
from tests.kit.virtual import run_virtually
from tests.unit.cache.model import ModelService, down, make

LINUX = ScaleSetRef(name="linux")


def test_any_number_of_mints_that_meet_a_dead_id_cost_one_look_up() -> None:
    async def main() -> None:
        service = ModelService()
        dead = service.add_set("linux").id
        cache = make(service)
        assert await cache.scale_set_id(LINUX) == dead
        alive = service.add_set("linux").id
        service.latency = 0.3
        found = await asyncio.gather(*[cache.re_resolve(LINUX, dead_id=dead) for _ in range(300)])
        assert set(found) == {alive}
        assert await cache.re_resolve(LINUX, dead_id=dead) == alive
        assert await cache.scale_set_id(LINUX) == alive
        assert service.asked == {"set by name": 2}

    run_virtually(main)


def test_a_look_that_began_before_the_404_is_not_relied_on() -> None:
    async def main() -> None:
        service = ModelService()
        dead = service.add_set("linux").id
        cache = make(service, ttl=10)
        await cache.scale_set_id(LINUX)
        await asyncio.sleep(20)
        service.latency = 2.0
        early = asyncio.create_task(cache.scale_set_id(LINUX))
        await asyncio.sleep(1.5)
        alive = service.add_set("linux").id
        assert await cache.re_resolve(LINUX, dead_id=dead) == alive
        assert await early == alive
        assert not service.twice

    run_virtually(main)


def test_a_first_look_that_began_before_the_404_is_not_relied_on_either() -> None:
    async def main() -> None:
        service = ModelService()
        dead = service.add_set("linux").id
        service.latency = 2.0
        cache = make(service)
        early = asyncio.create_task(cache.scale_set_id(LINUX))
        await asyncio.sleep(1.5)
        alive = service.add_set("linux").id
        assert await cache.re_resolve(LINUX, dead_id=dead) == alive
        assert await early == alive

    run_virtually(main)


def test_a_dead_id_costs_no_second_look_up_though_the_name_was_forgotten() -> None:
    async def main() -> None:
        service = ModelService()
        dead = service.add_set("linux").id
        cache = make(service)
        alive = service.add_set("linux").id
        assert await cache.re_resolve(LINUX, dead_id=dead) == alive
        cache.invalidate(Kind.SCALE_SET_NAME)
        assert await cache.re_resolve(LINUX, dead_id=dead) == alive
        assert service.requests == 1

    run_virtually(main)


def test_an_id_that_the_host_kept_too_long_leads_to_the_new_one() -> None:
    async def main() -> None:
        service = ModelService()
        dead = service.add_set("linux").id
        cache = make(service)
        alive = service.add_set("linux").id
        ref = ScaleSetRef(name="linux", id=dead)
        answer = await cache.scale_set_settings(ref)
        assert answer.value is not None
        assert (answer.certainty, answer.value.id) == (Certainty.FRESH, alive)
        assert service.asked == {"set by id": 1, "set by name": 1}
        assert await cache.scale_set_id(ref) == alive
        assert cache.peek_settings(ref) is not None
        assert service.requests == 2

    run_virtually(main)


def test_a_set_that_died_twice_leads_to_the_last_one() -> None:
    async def main() -> None:
        service = ModelService()
        first = service.add_set("linux").id
        cache = make(service)
        second = service.add_set("linux").id
        assert await cache.re_resolve(LINUX, dead_id=first) == second
        third = service.add_set("linux").id
        assert await cache.re_resolve(LINUX, dead_id=second) == third
        assert await cache.re_resolve(LINUX, dead_id=first) == third
        assert service.requests == 2

    run_virtually(main)


def test_a_set_that_is_gone_is_not_found_until_somebody_creates_it_again() -> None:
    async def main() -> None:
        service = ModelService()
        dead = service.add_set("linux").id
        cache = make(service)
        await cache.scale_set_id(LINUX)
        service.sets.clear()
        for _ in range(2):
            with pytest.raises(NotFound, match="linux"):
                await cache.re_resolve(LINUX, dead_id=dead)
        answer = await cache.scale_set_settings(ScaleSetRef(name="linux", id=dead))
        assert answer.certainty is Certainty.ABSENT
        alive = service.add_set("linux").id
        assert await cache.re_resolve(LINUX, dead_id=dead) == alive

    run_virtually(main)


def test_a_name_that_still_leads_to_the_dead_id_is_an_error_and_not_a_circle() -> None:
    async def main() -> None:
        service = ModelService()
        listed = service.add_set("linux").id
        cache = make(service)
        await cache.scale_set_id(LINUX)
        with pytest.raises(NotFound, match="does not know"):
            await cache.re_resolve(LINUX, dead_id=listed)
        assert await cache.scale_set_id(LINUX) == listed

    run_virtually(main)


def test_a_service_that_is_down_while_an_id_heals_is_unavailable_not_absent() -> None:
    async def main() -> None:
        service = ModelService()
        dead = service.add_set("linux").id
        cache = make(service)
        await cache.scale_set_id(LINUX)
        service.error = down()
        with pytest.raises(Unavailable):
            await cache.re_resolve(LINUX, dead_id=dead)
        with pytest.raises(Unavailable) as caught:
            await cache.re_resolve(LINUX, dead_id=dead)
        assert caught.value.retry_after is not None
        assert service.requests == 2

    run_virtually(main)


def test_a_set_that_got_another_name_is_absent_under_the_old_one_and_alive_under_its_id() -> None:
    async def main() -> None:
        service = ModelService()
        made = service.add_set("linux")
        cache = make(service, ttl=300)
        await cache.scale_set_settings(LINUX)
        service.sets = {(1, "renamed"): replace(made, name="renamed")}
        await asyncio.sleep(300)
        assert (await cache.scale_set_settings(LINUX)).certainty is Certainty.ABSENT
        answer = await cache.scale_set_settings(ScaleSetRef(name="linux", id=made.id))
        assert answer.certainty is Certainty.FRESH
        assert answer.value is not None
        assert answer.value.name == "renamed"

    run_virtually(main)


@pytest.mark.parametrize("change", [{}, {"name": "other"}, {"runner_group_id": 7}])
def test_one_list_that_misses_a_known_scale_set_is_no_proof_that_it_is_gone(change: dict[str, object]) -> None:
    """A name that was known is asked for by its id, too: it is gone if that is, or stands elsewhere now."""

    async def main() -> None:
        service = ModelService()
        known = service.add_set("linux")
        cache = make(service, ttl=10)
        assert await cache.scale_set_id(LINUX) == known.id
        await asyncio.sleep(3600)
        service.sets = {(99, "unlisted"): replace(known, **change)}  # type: ignore[arg-type]
        if change:
            with pytest.raises(NotFound):
                await cache.scale_set_id(LINUX)
        else:
            assert await cache.scale_set_id(LINUX) == known.id
            assert (await cache.scale_set_settings(LINUX)).certainty is Certainty.FRESH
        assert service.asked["set by name"] >= 2

    run_virtually(main)
