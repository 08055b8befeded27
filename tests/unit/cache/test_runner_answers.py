"""Runners: "absent" is said only on the service's word and only when that proves it; unsaid is not idle."""

import asyncio
import random
from dataclasses import replace

import pytest

from scaleset_burst.cache import Kind, Metadata
from scaleset_burst.settings.model import CacheSettings
from scaleset_hookspecs import (
    Answer,
    AuthenticationFailed,
    Certainty,
    JitConfig,
    JobCompleted,
    JobStarted,
    NotFound,
    RunnerInfo,
    RunnerRef,
    ScaleSetRef,
    UsageError,
)
from tests.kit.virtual import VirtualClock, run_virtually
from tests.unit.cache.model import ModelService, down, make

LINUX = ScaleSetRef(name="linux", id=7)


async def ask(cache: Metadata, **runner: object) -> Answer[RunnerInfo]:
    return await cache.runner_info(LINUX, RunnerRef(**runner))  # type: ignore[arg-type]


def mint(cache: Metadata, runner_id: int, name: str) -> None:
    cache.on_minted(JitConfig(runner_id=runner_id, runner_name=name, scale_set=LINUX, encoded="secret", minted_at=0.0))


def test_a_runner_that_the_service_shows_is_remembered_by_id_and_by_name() -> None:
    async def main() -> None:
        service = ModelService()
        made = service.add_runner("r1", status="online", busy=True, scale_set_id=7)
        cache = make(service)
        first = await ask(cache, name="r1")
        assert first.value == RunnerInfo(id=made.id, name="r1", scale_set_id=7, status="online", busy=True)
        for ref in ({"name": "r1"}, {"id": made.id}, {"id": made.id, "name": "r1"}):
            assert (await ask(cache, **ref)).source == "cache"
        assert service.requests == 1

    run_virtually(main)


def test_what_the_service_did_not_say_stays_unsaid() -> None:
    async def main() -> None:
        service = ModelService()
        service.add_runner("r1", status=None, busy=None)
        answer = await ask(make(service), name="r1")
        assert answer.value is not None
        assert answer.value.busy is None
        assert answer.value.status is None

    run_virtually(main)


@pytest.mark.parametrize("ref", [{"name": "r1"}, {"id": 5}])
def test_a_runner_that_the_service_does_not_have_is_absent_and_asked_for_each_time(ref: dict[str, object]) -> None:
    async def main() -> None:
        service = ModelService()
        cache = make(service)
        for _ in range(3):
            answer = await ask(cache, **ref)
            assert (answer.certainty, answer.source, answer.age) == (Certainty.ABSENT, "service", 0.0)
        assert service.requests == 3

    run_virtually(main)


@pytest.mark.parametrize("ref", [{"name": "r1"}, {"id": 101}])
@pytest.mark.parametrize("type_name", [None, "HostDoesNotExistException"])
def test_a_404_that_does_not_name_the_runner_proves_nothing(ref: dict[str, object], type_name: str | None) -> None:
    """A router's, or that of GitHub for a token that may not see the scope any more."""

    async def main() -> None:
        service = ModelService()
        service.add_runner("r1", busy=True)
        service.error = NotFound("page not found", status=404, type_name=type_name)
        cache = make(service, runner_ttl=30)
        for _ in range(3):
            answer = await ask(cache, **ref)
            assert answer.certainty is Certainty.UNKNOWN
            assert "page not found" in str(answer.reason)
        assert service.requests == 1
        service.error = None
        await asyncio.sleep(2)
        assert (await ask(cache, **ref)).certainty is Certainty.FRESH
        service.error = NotFound("page not found", status=404, type_name=type_name)
        await asyncio.sleep(30)
        answer = await ask(cache, **ref)
        assert answer.certainty is Certainty.STALE
        assert answer.value is not None
        assert answer.value.busy

    run_virtually(main)


def test_a_look_that_began_before_the_question_proves_no_absence() -> None:
    async def main() -> None:
        service = ModelService()
        service.latency = 2.0
        cache = make(service)
        early = asyncio.create_task(ask(cache, name="r1"))
        await asyncio.sleep(1.5)
        service.add_runner("r1")
        late = await ask(cache, name="r1")
        assert (await early).certainty is Certainty.ABSENT
        assert late.certainty is Certainty.FRESH
        assert service.requests == 2

    run_virtually(main)


def test_a_runner_of_ours_is_known_from_its_mint_and_never_absent_in_its_grace() -> None:
    async def main() -> None:
        service = ModelService()
        cache = make(service, runner_ttl=30, runner_grace=60)
        mint(cache, 9, "r9")
        answer = await ask(cache, name="r9")
        assert answer.value == RunnerInfo(id=9, name="r9", scale_set_id=7)
        assert (answer.certainty, answer.source) == (Certainty.FRESH, "mint")
        assert service.requests == 0
        await asyncio.sleep(31)
        for ref in ({"name": "r9"}, {"id": 9}, {"name": "r9", "id": 9}):
            answer = await ask(cache, **ref)
            assert answer.certainty is Certainty.UNKNOWN
            assert "grace" in str(answer.reason)

    run_virtually(main)


def test_one_look_that_misses_a_runner_of_ours_never_seen_proves_nothing_but_two_a_grace_apart_do() -> None:
    async def main() -> None:
        cache = make(ModelService(), runner_grace=60)
        mint(cache, 9, "r9")
        await asyncio.sleep(3600)
        assert (await ask(cache, name="r9")).certainty is Certainty.UNKNOWN
        await asyncio.sleep(59)
        assert (await ask(cache, name="r9")).certainty is Certainty.UNKNOWN
        await asyncio.sleep(1)
        assert (await ask(cache, name="r9")).certainty is Certainty.ABSENT

    run_virtually(main)


def test_a_young_process_calls_no_runner_absent_since_the_one_before_it_may_have_minted_it() -> None:
    async def main() -> None:
        clock = VirtualClock()
        settings = CacheSettings.model_validate({"runner_grace": 60})
        service = ModelService()
        cache = Metadata(service, settings, clock=clock, random=random.Random(1), born=clock.monotonic())
        answer = await ask(cache, name="minted-before-the-crash")
        assert answer.certainty is Certainty.UNKNOWN
        assert "began" in str(answer.reason)
        await asyncio.sleep(60)
        assert (await ask(cache, name="minted-before-the-crash")).certainty is Certainty.ABSENT

    run_virtually(main)


def test_a_runner_of_ours_that_was_seen_once_is_absent_after_its_grace_when_it_is_gone() -> None:
    async def main() -> None:
        service = ModelService()
        cache = make(service, runner_ttl=10, runner_grace=60)
        made = service.add_runner("r9")
        mint(cache, made.id, "r9")
        await asyncio.sleep(20)
        assert (await ask(cache, name="r9")).certainty is Certainty.FRESH
        service.runners.clear()
        await asyncio.sleep(20)
        assert (await ask(cache, name="r9")).certainty is Certainty.UNKNOWN
        await asyncio.sleep(21)
        assert (await ask(cache, name="r9")).certainty is Certainty.ABSENT

    run_virtually(main)


def test_a_started_job_makes_its_runner_busy_without_a_request() -> None:
    async def main() -> None:
        service = ModelService()
        made = service.add_runner("r1", status="offline")
        cache = make(service)
        await ask(cache, name="r1")
        cache.on_job_started(LINUX, JobStarted(job_id="1", runner=RunnerRef(id=made.id, name="r1")))
        answer = await ask(cache, name="r1")
        assert answer.value == RunnerInfo(id=made.id, name="r1", scale_set_id=7, status=None, busy=True)
        assert (answer.certainty, answer.source, answer.age) == (Certainty.FRESH, "event", 0.0)
        assert service.requests == 1

    run_virtually(main)


def test_a_started_job_outdates_the_look_under_way() -> None:
    async def main() -> None:
        service = ModelService()
        made = service.add_runner("r1", busy=False)
        service.latency = 2.0
        cache = make(service)
        by_name = asyncio.create_task(ask(cache, name="r1"))
        by_id = asyncio.create_task(ask(cache, id=made.id))
        await asyncio.sleep(1.5)
        service.runners[made.id] = replace(made, busy=True)
        cache.on_job_started(LINUX, JobStarted(job_id="1", runner=RunnerRef(id=made.id)))
        for asking in (by_name, by_id):
            answer = await asking
            assert answer.value is not None
            assert answer.value.busy
        assert not service.twice

    run_virtually(main)


def test_an_event_by_name_outdates_the_look_under_way_by_id() -> None:
    async def main() -> None:
        service = ModelService()
        made = service.add_runner("r1", busy=False)
        service.latency = 2.0
        cache = make(service)
        asking = asyncio.create_task(ask(cache, id=made.id))
        await asyncio.sleep(1.5)
        service.runners[made.id] = replace(made, busy=True)
        cache.on_job_started(LINUX, JobStarted(job_id="1", runner=RunnerRef(name="r1")))
        for answer in (await asking, await ask(cache, id=made.id)):
            assert answer.value is not None
            assert answer.value.busy

    run_virtually(main)


def test_a_look_that_is_older_than_our_mint_does_not_give_its_name_away() -> None:
    async def main() -> None:
        service = ModelService()
        old = service.add_runner("r1")
        service.latency = 2.0
        cache = make(service)
        asking = asyncio.create_task(ask(cache, id=old.id))
        await asyncio.sleep(1.5)
        service.runners.clear()
        ours = service.add_runner("r1")
        mint(cache, ours.id, "r1")
        assert (await asking).certainty is Certainty.ABSENT
        answer = await ask(cache, name="r1")
        assert answer.value is not None
        assert answer.value.id == ours.id

    run_virtually(main)


def test_a_name_stays_with_the_runner_that_the_younger_look_found() -> None:
    async def main() -> None:
        service = ModelService()
        old = service.add_runner("r1")
        service.latency = 4.0
        cache = make(service)
        by_id = asyncio.create_task(ask(cache, id=old.id))
        await asyncio.sleep(2.5)
        service.runners.clear()
        new = service.add_runner("r1")
        service.latency = 0.5
        await ask(cache, name="r1")
        await by_id
        answer = await ask(cache, name="r1")
        assert answer.value is not None
        assert answer.value.id == new.id

    run_virtually(main)


@pytest.mark.parametrize("turns", range(6))
def test_an_event_between_the_end_of_a_look_and_its_callers_awakening_is_not_lost(turns: int) -> None:
    async def main() -> None:
        service = ModelService()
        service.latency = 1.0
        cache = make(service)
        asking = asyncio.create_task(ask(cache, name="r1"))
        await asyncio.sleep(1.0)
        for _ in range(turns):
            await asyncio.sleep(0)
        answered = asking.done()
        cache.on_job_started(LINUX, JobStarted(job_id="1", runner=RunnerRef(id=77, name="r1")))
        assert ((await asking).certainty is Certainty.ABSENT) == answered

    run_virtually(main)


def test_an_ended_job_makes_the_next_question_a_request_and_a_late_start_changes_nothing() -> None:
    async def main() -> None:
        service = ModelService()
        made = service.add_runner("r1", busy=True)
        runner = RunnerRef(id=made.id, name="r1")
        cache = make(service)
        cache.on_job_started(LINUX, JobStarted(job_id="1", runner=runner))
        cache.on_job_completed(LINUX, JobCompleted(job_id="1", result="succeeded", runner=runner))
        assert (await ask(cache, id=made.id)).source == "service"
        service.runners.clear()
        cache.on_job_started(LINUX, JobStarted(job_id="1", runner=runner))
        assert (await ask(cache, id=made.id)).certainty is Certainty.ABSENT
        cache.on_job_completed(LINUX, JobCompleted(job_id="2", result="canceled"))

    run_virtually(main)


def test_a_removal_that_the_host_reports_is_absent_by_its_event_and_for_its_id_only() -> None:
    async def main() -> None:
        service = ModelService()
        made = service.add_runner("r1")
        cache = make(service)
        await ask(cache, name="r1")
        service.runners.clear()
        cache.on_runner_removed(LINUX, RunnerRef(name="r1"))
        await asyncio.sleep(3)
        answer = await ask(cache, id=made.id)
        assert (answer.certainty, answer.source, answer.age) == (Certainty.ABSENT, "event", 3.0)
        again = service.add_runner("r1")
        by_name = await ask(cache, name="r1")
        assert by_name.value is not None
        assert by_name.value.id == again.id

    run_virtually(main)


def test_a_report_that_a_young_runner_of_ours_is_gone_is_not_believed_but_our_own_removal_is() -> None:
    async def main() -> None:
        cache = make(ModelService(), runner_grace=60)
        mint(cache, 9, "r9")
        cache.on_runner_removed(LINUX, RunnerRef(name="r9"))
        assert (await ask(cache, id=9)).certainty is Certainty.UNKNOWN
        cache.on_runner_gone(RunnerRef(name="r9"))
        answer = await ask(cache, id=9)
        assert (answer.certainty, answer.source) == (Certainty.ABSENT, "event")
        assert (await ask(cache, name="r9")).certainty is Certainty.ABSENT

    run_virtually(main)


def test_a_report_that_a_young_runner_is_gone_is_not_believed_though_a_look_has_shown_it() -> None:
    async def main() -> None:
        service = ModelService()
        made = service.add_runner("r9")
        cache = make(service, runner_ttl=1, runner_grace=60)
        mint(cache, made.id, "r9")
        await asyncio.sleep(5)
        assert (await ask(cache, id=made.id)).certainty is Certainty.FRESH
        service.hidden.add(made.id)
        cache.on_runner_removed(LINUX, RunnerRef(id=made.id))
        assert (await ask(cache, id=made.id)).certainty is Certainty.UNKNOWN

    run_virtually(main)


def test_a_report_that_a_runner_never_seen_is_gone_is_not_believed_however_old_it_is() -> None:
    async def main() -> None:
        cache = make(ModelService(), runner_grace=60)
        mint(cache, 9, "r9")
        await asyncio.sleep(3600)
        cache.on_runner_removed(LINUX, RunnerRef(id=9))
        assert (await ask(cache, id=9)).certainty is Certainty.UNKNOWN
        await asyncio.sleep(60)
        assert (await ask(cache, id=9)).certainty is Certainty.ABSENT

    run_virtually(main)


def test_a_report_that_a_young_runner_is_gone_is_believed_once_its_job_is_over() -> None:
    async def main() -> None:
        cache = make(ModelService(), runner_grace=60)
        mint(cache, 9, "r9")
        cache.on_job_completed(LINUX, JobCompleted(job_id="1", result="succeeded", runner=RunnerRef(id=9)))
        assert (await ask(cache, id=9)).certainty is Certainty.UNKNOWN
        cache.on_runner_removed(LINUX, RunnerRef(id=9))
        answer = await ask(cache, id=9)
        assert (answer.certainty, answer.source) == (Certainty.ABSENT, "event")

    run_virtually(main)


def test_the_end_of_another_runner_of_the_same_name_does_not_end_the_grace_of_ours() -> None:
    async def main() -> None:
        cache = make(ModelService(), runner_ttl=10, runner_grace=60)
        mint(cache, 9, "r9")
        cache.on_runner_gone(RunnerRef(id=5, name="r9"))
        await asyncio.sleep(20)
        for ref in ({"id": 9}, {"name": "r9"}):
            assert (await ask(cache, **ref)).certainty is Certainty.UNKNOWN
        assert (await ask(cache, id=5, name="r9")).certainty is Certainty.ABSENT

    run_virtually(main)


def test_a_name_whose_id_is_gone_is_looked_up_since_it_may_have_been_given_again() -> None:
    async def main() -> None:
        service = ModelService()
        old = service.add_runner("r1")
        cache = make(service, runner_ttl=30, stale_limit=60)
        await ask(cache, name="r1")
        await asyncio.sleep(100)
        service.runners.clear()
        cache.on_runner_gone(RunnerRef(id=old.id))
        new = service.add_runner("r1")
        answer = await ask(cache, name="r1")
        assert answer.value is not None
        assert answer.value.id == new.id

    run_virtually(main)


def test_without_cache_runner_info_every_question_is_a_request_and_still_one_at_a_time() -> None:
    async def main() -> None:
        service = ModelService()
        service.add_runner("r1")
        service.latency = 0.2
        cache = make(service, cache_runner_info=False)
        await asyncio.gather(*[ask(cache, name="r1") for _ in range(100)])
        assert service.requests == 1
        await ask(cache, name="r1")
        assert service.requests == 2
        service.error = down()
        assert (await ask(cache, name="r1")).certainty is Certainty.UNKNOWN

    run_virtually(main)


def test_a_refusal_is_raised_and_a_runner_without_a_name_is_the_callers_mistake() -> None:
    async def main() -> None:
        service = ModelService()
        service.error = AuthenticationFailed("bad credentials", status=401)
        cache = make(service)
        for _ in range(2):
            with pytest.raises(AuthenticationFailed):
                await ask(cache, name="r1")
        assert service.requests == 1
        with pytest.raises(UsageError, match="neither a name nor an id"):
            await ask(cache)

    run_virtually(main)


def test_by_hand_a_runner_is_forgotten_by_reference_name_or_id() -> None:
    async def main() -> None:
        service = ModelService()
        made = service.add_runner("r1")
        cache = make(service)
        for key in (RunnerRef(name="r1"), "r1", made.id):
            await ask(cache, name="r1")
            assert cache.invalidate(Kind.RUNNER, key) == 1
        await ask(cache, name="r1")
        assert service.requests == 4

    run_virtually(main)


@pytest.mark.parametrize("how", ["all", "id", "name"])
def test_by_hand_a_look_under_way_for_a_runner_is_outdated_too(how: str) -> None:
    async def main() -> None:
        service = ModelService()
        made = service.add_runner("r1", busy=False)
        service.latency = 2.0
        cache = make(service)
        asking = asyncio.create_task(ask(cache, **({"name": "r1"} if how == "name" else {"id": made.id})))
        await asyncio.sleep(1.5)
        service.runners[made.id] = replace(made, busy=True)
        key = {"all": None, "id": made.id, "name": "r1"}[how]
        assert cache.invalidate(Kind.RUNNER, key) == 0
        answer = await asking
        assert answer.value is not None
        assert answer.value.busy

    run_virtually(main)


def test_an_event_by_name_finds_an_entry_whose_name_was_pushed_out() -> None:
    async def main() -> None:
        service = ModelService()
        made = service.add_runner("r0", busy=False)
        for number in range(1, 12):
            service.add_runner(f"r{number}")
        cache = make(service, max_entries=10)
        for number in range(12):
            await ask(cache, name=f"r{number}")
            await ask(cache, id=made.id)
        cache.on_job_completed(LINUX, JobCompleted(job_id="1", result="succeeded", runner=RunnerRef(name="r0")))
        before = service.requests
        await ask(cache, id=made.id)
        assert service.requests == before + 1

    run_virtually(main)


def test_no_secret_of_a_mint_is_kept() -> None:
    async def main() -> None:
        cache = make(ModelService())
        mint(cache, 9, "r9")
        entry = cache._runners.entry(RunnerRef(id=9))
        assert "secret" not in repr((entry, cache._runners.mints.find(RunnerRef(id=9))))

    run_virtually(main)
