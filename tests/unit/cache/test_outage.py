"""The service is down for an hour: answers are stale and say so, requests are few, one look-up recovers."""

import asyncio

import pytest

from scaleset_burst.cache.backoff import FIRST_BACKOFF, LONGEST_BACKOFF
from scaleset_hookspecs import Certainty, RunnerRef, ScaleSetRef
from tests.kit.virtual import run_virtually
from tests.unit.cache.model import ModelService, down, make

LINUX = ScaleSetRef(name="linux")
HOUR = 3600.0

# Rests at their shortest: 0.5, 1, 2, 4, 8, 16 s, and then half of the longest each.
MOST_REQUESTS = 7 + HOUR / (LONGEST_BACKOFF / 2)


def test_stale_answers_are_marked_with_their_age_and_requests_are_bounded() -> None:
    async def main() -> None:
        service = ModelService()
        made = service.add_set("linux")
        cache = make(service, ttl=300, stale_limit=2 * HOUR)
        await cache.scale_set_settings(LINUX)
        await asyncio.sleep(300)
        service.error = down()
        before = service.requests
        for second in range(int(HOUR)):
            answer = await cache.scale_set_settings(LINUX)
            assert answer.certainty is Certainty.STALE
            assert answer.age == 300 + second
            assert answer.value is not None
            assert answer.value.id == made.id
            assert answer.reason is not None
            assert "overloaded" in answer.reason
            assert await cache.scale_set_id(LINUX) == made.id
            await asyncio.sleep(1)
        during = service.requests - before
        assert 60 <= during <= MOST_REQUESTS

    run_virtually(main)


def test_one_look_up_recovers() -> None:
    async def main() -> None:
        service = ModelService()
        service.add_set("linux")
        cache = make(service, ttl=300, stale_limit=2 * HOUR)
        await cache.scale_set_settings(LINUX)
        service.error = down()
        for _ in range(int(HOUR)):
            await cache.scale_set_settings(LINUX)
            await asyncio.sleep(1)
        service.error = None
        before = service.requests
        for _ in range(int(LONGEST_BACKOFF) + 1):
            await cache.scale_set_settings(LINUX)
            await asyncio.sleep(1)
        assert (await cache.scale_set_settings(LINUX)).certainty is Certainty.FRESH
        assert service.requests == before + 1

    run_virtually(main)


def test_past_the_stale_limit_nobody_knows() -> None:
    async def main() -> None:
        service = ModelService()
        service.add_set("linux")
        cache = make(service, ttl=300, stale_limit=600)
        await cache.scale_set_settings(LINUX)
        service.error = down()
        await asyncio.sleep(899)
        assert (await cache.scale_set_settings(LINUX)).certainty is Certainty.STALE
        await asyncio.sleep(1)
        assert (await cache.scale_set_settings(LINUX)).certainty is Certainty.UNKNOWN

    run_virtually(main)


@pytest.mark.parametrize("by", ["name", "id"])
def test_a_busy_runner_is_neither_absent_nor_idle_while_the_service_is_down(by: str) -> None:
    async def main() -> None:
        service = ModelService()
        made = service.add_runner("r1", busy=True, status="online")
        runner = RunnerRef(name="r1") if by == "name" else RunnerRef(id=made.id)
        cache = make(service, runner_ttl=30, stale_limit=600)
        await cache.runner_info(LINUX, runner)
        service.error = down()
        certainties = set()
        for _ in range(700):
            answer = await cache.runner_info(LINUX, runner)
            certainties.add(answer.certainty)
            assert answer.value is None or answer.value.busy
            await asyncio.sleep(1)
        assert certainties == {Certainty.FRESH, Certainty.STALE, Certainty.UNKNOWN}

    run_virtually(main)


def test_an_answer_ends_the_doubling_of_rests() -> None:
    async def main() -> None:
        service = ModelService()
        service.add_set("linux")
        cache = make(service, ttl=300)
        service.error = down()
        for _ in range(60):
            await cache.scale_set_settings(LINUX)
            await asyncio.sleep(1)
        service.error = None
        await asyncio.sleep(LONGEST_BACKOFF)
        assert (await cache.scale_set_settings(LINUX)).certainty is Certainty.FRESH
        await asyncio.sleep(300)
        service.error = down()
        assert (await cache.scale_set_settings(LINUX)).certainty is Certainty.STALE
        service.error = None
        await asyncio.sleep(FIRST_BACKOFF)
        assert (await cache.scale_set_settings(LINUX)).certainty is Certainty.FRESH

    run_virtually(main)


def test_a_key_that_rests_does_not_hold_up_another() -> None:
    async def main() -> None:
        service = ModelService()
        service.add_set("other")
        service.error = down(retry_after=100)
        cache = make(service)
        await cache.scale_set_settings(LINUX)
        service.error = None
        assert (await cache.scale_set_settings(ScaleSetRef(name="other"))).certainty is Certainty.FRESH
        assert (await cache.scale_set_settings(LINUX)).certainty is Certainty.UNKNOWN

    run_virtually(main)


def test_a_rest_that_the_service_asked_for_is_kept_to_the_end() -> None:
    async def main() -> None:
        service = ModelService()
        service.add_set("linux")
        service.error = down(retry_after=100)
        cache = make(service)
        await cache.scale_set_settings(LINUX)
        service.error = None
        for _ in range(99):
            await asyncio.sleep(1)
            await cache.scale_set_settings(LINUX)
        assert service.requests == 1
        await asyncio.sleep(1 + FIRST_BACKOFF)
        assert (await cache.scale_set_settings(LINUX)).certainty is Certainty.FRESH

    run_virtually(main)
