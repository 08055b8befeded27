"""A memory shared by hosts: what another host learnt is taken over with its age; its failures cost a request only."""

import asyncio

import pytest

from scaleset_burst.cache import Kind, Shared
from scaleset_client.types import RunnerGroup
from scaleset_hookspecs import JitConfig, RunnerRef, ScaleSetRef
from tests.kit.virtual import run_virtually
from tests.unit.cache.model import ModelService, make

GROUPED = ScaleSetRef(name="linux", runner_group="builders")


class RedisCache:
    """A second level in this process; fails if told so."""

    def __init__(self) -> None:
        self.kept: dict[tuple[Kind, str], Shared] = {}
        self.broken = False

    async def get(self, kind: Kind, key: str) -> Shared | None:
        self._check()
        return self.kept.get((kind, key))

    async def put(self, kind: Kind, key: str, shared: Shared, lifetime: float) -> None:
        self._check()
        assert lifetime > 0
        self.kept[kind, key] = shared

    async def invalidate(self, kind: Kind, key: str) -> None:
        self._check()
        self.kept.pop((kind, key), None)

    def _check(self) -> None:
        if self.broken:
            raise OSError("connection refused")


def grouped() -> ModelService:
    service = ModelService()
    service.groups["builders"] = RunnerGroup(id=5, name="builders")
    service.add_set("linux", 5)
    return service


def test_what_one_host_learnt_another_need_not_ask_and_its_age_is_kept() -> None:
    async def main() -> None:
        service, shared = grouped(), RedisCache()
        first, second = make(service, shared=shared), make(service, seed=2, shared=shared)
        await first.scale_set_settings(GROUPED)
        assert service.requests == 2
        await asyncio.sleep(100)
        answer = await second.scale_set_settings(GROUPED)
        assert service.requests == 2
        assert answer.age == pytest.approx(100)

    run_virtually(main)


def test_a_value_late_in_its_life_is_asked_for_again() -> None:
    async def main() -> None:
        service, shared = grouped(), RedisCache()
        first, second = make(service, shared=shared), make(service, shared=shared)
        await first.scale_set_settings(GROUPED)
        await asyncio.sleep(250)
        assert (await second.scale_set_settings(GROUPED)).age == 0.0

    run_virtually(main)


def test_a_dead_id_is_not_taken_over() -> None:
    async def main() -> None:
        service, shared = grouped(), RedisCache()
        cache = make(service, shared=shared)
        dead = await cache.scale_set_id(GROUPED)
        alive = service.add_set("linux", 5).id
        assert await cache.re_resolve(GROUPED, dead_id=dead) == alive

    run_virtually(main)


def test_a_shared_that_fails_costs_a_request_and_no_answer() -> None:
    async def main() -> None:
        service, shared = grouped(), RedisCache()
        shared.broken = True
        cache = make(service, shared=shared)
        await cache.scale_set_id(GROUPED)
        assert service.requests == 2

    run_virtually(main)


def test_no_runner_and_no_config_passes_through() -> None:
    async def main() -> None:
        service, shared = grouped(), RedisCache()
        made = service.add_runner("r1")
        cache = make(service, shared=shared)
        config = JitConfig(runner_id=1, runner_name="r2", scale_set=GROUPED, encoded="secret", minted_at=0.0)
        cache.on_minted(config)
        await cache.runner_info(GROUPED, RunnerRef(id=made.id))
        await cache.scale_set_id(GROUPED)
        assert {kind for kind, _ in shared.kept} == {Kind.SCALE_SET_NAME, Kind.RUNNER_GROUP}

    run_virtually(main)


class SlowToForget(RedisCache):
    """Forgets a moment after it was told to."""

    async def invalidate(self, kind: Kind, key: str) -> None:
        await asyncio.sleep(0.2)
        await super().invalidate(kind, key)


def test_the_old_value_is_forgotten_before_the_new_one_is_asked_for() -> None:
    """The new one was lost to the others: each deletion cost another look-up."""

    async def main() -> None:
        service, shared = grouped(), SlowToForget()
        first, second = make(service, shared=shared), make(service, seed=2, shared=shared)
        dead = await first.scale_set_id(GROUPED)
        alive = service.add_set("linux", 5).id
        assert await first.re_resolve(GROUPED, dead_id=dead) == alive
        await asyncio.sleep(1)
        requests = service.requests
        assert await second.scale_set_id(GROUPED) == alive
        assert service.requests == requests

    run_virtually(main)
