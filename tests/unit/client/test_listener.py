"""The listener hands out everything a message says, acknowledges it afterwards, and outlives whatever is refused."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Iterable

import pytest

from scaleset_client import (
    AnyJobEvent,
    JobAssigned,
    JobAvailable,
    JobCompletedEvent,
    JobStartedEvent,
    Listener,
    Message,
    NotFound,
    RateLimited,
    Rejected,
    ServiceError,
    Statistics,
    Unavailable,
)
from scaleset_client.listener import GRACE, LASTING, after_failure
from tests.kit.virtual import VirtualClock, run_virtually

Turn = Message | ServiceError | None

FORBIDDEN = Rejected("no", status=403)
GONE = NotFound("no such scale set", status=404, type_name="RunnerScaleSetNotFoundException")


class Script:
    """Sessions that play polls back, one after the other, and a consumer that writes down what happens."""

    def __init__(self, *polls: Turn) -> None:
        self.polls = list(polls)
        self.statistics = Statistics(assigned_jobs=1)
        self.log: list[str] = []
        self.acquisitions: list[ServiceError] = []
        self.acknowledgements: list[ServiceError] = []
        self.closings: list[ServiceError] = []
        self.openings: list[ServiceError] = []
        self.elsewhere: set[int] = set()
        self.capacity = 25
        self.hang = ""
        self.close_tried: list[float] = []

    async def open(self) -> "Script":
        self._play("open", self.openings)
        return self

    async def poll(self, capacity: int) -> Message | None:
        self.log.append(f"poll {capacity}")
        turn = self.polls.pop(0) if self.polls else None
        await asyncio.sleep(50 if turn is None else 1)
        if isinstance(turn, ServiceError):
            raise turn
        if turn is not None:
            self.statistics = turn.statistics
        return turn

    async def acknowledge(self, message: Message) -> None:
        await self._begun("acknowledge")
        self._play(f"acknowledge {message.id}", self.acknowledgements)

    def pass_over(self, message: Message) -> None:
        self.log.append(f"pass over {message.id}")

    async def acquire(self, request_ids: Iterable[int]) -> Collection[int]:
        await self._begun("acquire")
        wanted = list(request_ids)
        self._play(f"acquire {wanted}", self.acquisitions)
        return [one for one in wanted if one not in self.elsewhere]

    async def close(self) -> None:
        self.close_tried.append(VirtualClock().monotonic())
        self._play("close", self.closings)

    async def _begun(self, what: str) -> None:
        await asyncio.sleep(3600 if self.hang == what else 1)

    def _play(self, what: str, failures: list[ServiceError]) -> None:
        if failures:
            raise failures.pop(0)
        self.log.append(what)

    def listener(self) -> Listener:
        return Listener(self.open, lambda: self.capacity, clock=VirtualClock(), chance=random.Random(1))

    async def listen(self, polls: int) -> Listener:
        """Handle messages until as many polls have begun since the start."""
        listener = self.listener()
        async with listener:
            async for message in listener:
                self.log += [type(event).__name__ for event in message.events]
                self.log.append(f"statistics {message.statistics.assigned_jobs}")
                if sum(line.startswith("poll") for line in self.log) >= polls:
                    break
        return listener

    def play(self, polls: int) -> list[str]:
        run_virtually(lambda: self.listen(polls))
        return self.log


MESSAGE = Message(
    id=7,
    statistics=Statistics(assigned_jobs=3),
    events=(JobAvailable(request_id=11), JobStartedEvent(job_id="j"), JobAvailable(request_id=12)),
)
SPOKEN = ["JobAvailable", "JobStartedEvent", "JobAvailable", "statistics 3"]


def offers(message_id: int, *request_ids: int, assigned: int = 0) -> Message:
    events = tuple(JobAvailable(request_id=one) for one in request_ids)
    return Message(id=message_id, statistics=Statistics(assigned_jobs=assigned, available_jobs=1), events=events)


def test_the_sessions_own_statistics_come_before_the_first_poll() -> None:
    """A backlog from before counts at once; an empty poll brings the last statistics again."""
    assert Script(None).play(1) == ["open", "statistics 1", "poll 25", "statistics 1", "close"]


def test_a_message_is_acknowledged_after_everything_it_says_was_handled() -> None:
    log = Script(MESSAGE).play(2)
    assert log[2:] == ["poll 25", "acquire [11, 12]", *SPOKEN, "acknowledge 7", "poll 25", "statistics 3", "close"]


def test_a_message_whose_handling_ends_the_loop_stays_in_the_queue() -> None:
    """It comes again to whoever listens next."""
    assert "acknowledge 7" not in Script(MESSAGE).play(1)


@pytest.mark.parametrize("error", [Unavailable("down"), FORBIDDEN, Rejected("bad", status=400)])
def test_a_failed_acquisition_delays_nothing_that_the_message_says_and_is_tried_again(error: ServiceError) -> None:
    """A 404 for the first acquisition lost the jobs of its message: acknowledged means acquired."""
    script = Script(MESSAGE, MESSAGE)
    script.acquisitions = [error]
    log = script.play(3)
    assert log[2:] == [
        *("poll 25", *SPOKEN),
        *("poll 25", "acquire [11, 12]", *SPOKEN, "acknowledge 7"),
        *("poll 25", "statistics 3", "close"),
    ]


def test_a_failed_acknowledgement_leaves_the_message_in_the_queue_and_goes_on() -> None:
    script = Script(MESSAGE, MESSAGE)
    script.acknowledgements = [NotFound("no page", status=404)]
    log = script.play(3)
    assert (log.count("acknowledge 7"), log.count("statistics 3")) == (1, 3)


def test_no_more_is_acquired_than_can_be_run_and_the_rest_when_there_is_room() -> None:
    """Ten jobs were acquired at `max_runners: 2`, and eight of them could go nowhere else."""
    script = Script(
        offers(1, *range(1, 11)),
        Message(
            id=2,
            statistics=Statistics(assigned_jobs=2, acquired_jobs=2, available_jobs=8),
            events=(JobAssigned(request_id=1), JobAssigned(request_id=2)),
        ),
        None,
        Message(
            id=3,
            statistics=Statistics(assigned_jobs=1, acquired_jobs=1, available_jobs=7),
            events=(JobCompletedEvent(request_id=1), JobCompletedEvent(request_id=4)),
        ),
        Message(id=4, statistics=Statistics(assigned_jobs=2, acquired_jobs=2, available_jobs=6)),
        Message(id=5, statistics=Statistics(assigned_jobs=2, acquired_jobs=2)),
        None,
    )
    script.capacity = 2
    log = script.play(7)
    done = [line for line in log if line.startswith(("acquire", "acknowledge", "pass"))]
    assert done == [
        *("acquire [1, 2]", "pass over 1", "acknowledge 2"),
        *("acquire [3]", "acknowledge 3", "acknowledge 4"),
        *("acknowledge 5", "acknowledge 1"),
    ]


def test_jobs_left_on_offer_come_again_after_a_restart() -> None:
    """Their message was acknowledged when two of ten were acquired: the others would never run."""
    script = Script(offers(1, 1, 2, 3), None)
    script.capacity = 2
    assert "acknowledge 1" not in script.play(3)
    again = Script(offers(1, 1, 2, 3), None, None)
    again.elsewhere = {1, 2}
    assert [line for line in again.play(3) if line.startswith("ac")] == ["acquire [1, 2, 3]", "acknowledge 1"]


def test_an_acknowledgement_that_comes_late_and_fails_leaves_nobody_deaf() -> None:
    """The message comes again to the next session."""
    script = Script(offers(1, 1), None, None, None)
    script.capacity = 0

    async def listen() -> None:
        async with script.listener() as listener:
            for _ in range(3):
                await anext(listener)
            script.capacity, script.acknowledgements = 1, [FORBIDDEN]
            for _ in range(3):
                await anext(listener)

    run_virtually(listen)
    assert (script.log.count("poll 1"), script.log.count("acknowledge 1")) == (3, 0)


def test_what_was_acquired_counts_until_it_is_assigned() -> None:
    """The statistics of the next messages may not know of it yet."""
    script = Script(offers(1, 1, 2), Message(id=2, statistics=Statistics(acquired_jobs=2, available_jobs=1)))
    script.polls.append(offers(3, 3))
    script.capacity = 2
    log = script.play(3)
    assert [line for line in log if line.startswith("acquire")] == ["acquire [1, 2]", "acquire [3]"]


def test_offers_that_somebody_else_took_are_not_asked_for_again() -> None:
    """Nor is what was acquired when its message comes again, nor a request id of 0, which names no job."""
    again = Message(id=1, statistics=Statistics(acquired_jobs=1), events=offers(1, 0, 1, 2).events)
    script = Script(offers(1, 0, 1, 2), again, None)
    script.elsewhere = {2}
    script.acknowledgements = [Unavailable("down")]
    log = script.play(3)
    assert [line for line in log if line.startswith("acquire")] == ["acquire [1, 2]", "acquire [2]"]


@pytest.mark.parametrize("what", ["poll", "acquire", "acknowledge"])
def test_no_refusal_ends_the_listener_and_each_waits_longer(what: str, caplog: pytest.LogCaptureFixture) -> None:
    """A queue that refused valid tokens for four seconds had every running job terminated."""
    script = Script(*[FORBIDDEN if what == "poll" else MESSAGE] * 5, MESSAGE)
    script.acquisitions = [FORBIDDEN] * 5 if what == "acquire" else []
    script.acknowledgements = [FORBIDDEN] * 5 if what == "acknowledge" else []
    listener = run_virtually(lambda: script.listen(7))
    assert (script.log.count("open"), script.log.count("acknowledge 7")) == (1, 1)
    assert listener.failing is None
    warnings = [one for one in caplog.records if one.name == "scaleset_client.listener"]
    assert [one.levelno for one in warnings] == [logging.WARNING] * 5
    assert "failed 5 times since 2023-" in warnings[-1].getMessage()
    assert "no (status 403)" in warnings[-1].getMessage()


def test_what_it_fails_of_and_when_it_last_polled_can_be_asked() -> None:
    """For a host's health: it is deaf although it lives."""

    async def ask() -> None:
        script = Script(None, FORBIDDEN, FORBIDDEN, None)
        async with script.listener() as listener:
            assert (listener.polled_at, listener.failing) == (None, None)
            await anext(listener)
            await anext(listener)
            assert listener.polled_at == VirtualClock().monotonic()
            poll = asyncio.ensure_future(anext(listener))
            await asyncio.sleep(5)
            assert listener.failing is not None
            assert (listener.failing.count, listener.failing.error) == (2, FORBIDDEN)
            assert listener.failing.since == listener.polled_at + 1
            await poll
            assert listener.failing is None

    run_virtually(ask)


def test_a_wait_that_the_service_asks_for_is_waited() -> None:
    async def listen() -> float:
        script = Script(Unavailable("busy", retry_after=900))
        await script.listen(2)
        return VirtualClock().monotonic()

    assert run_virtually(listen) >= 1000 + 1 + 900 + 50


def test_a_refusal_that_lasts_has_the_session_closed_and_another_opened() -> None:
    """Not before it has lasted; and not until the old one is closed, which would be in the way of the new one."""
    script = Script(*[FORBIDDEN] * 40)
    script.closings = [FORBIDDEN, Unavailable("down")]
    log = script.play(20)
    first = log.index("close")
    assert script.close_tried[0] >= 1000 + LASTING
    assert (len(script.close_tried), log[first + 1 : first + 3]) == (
        3 + log.count("close") - 1,
        ["open", "statistics 1"],
    )


def test_a_scale_set_that_is_gone_is_looked_for_anew() -> None:
    """One of the same name may be there, with another id; whoever opens the session knows how to find it."""
    script = Script(GONE, MESSAGE)
    log = script.play(2)
    assert log[2:6] == ["poll 25", "close", "open", "statistics 1"]


def test_opening_that_fails_later_is_tried_again() -> None:
    script = Script(GONE, MESSAGE)

    async def listen() -> None:
        listener = script.listener()
        async with listener:
            script.openings = [NotFound("no such page", status=404), Unavailable("down"), FORBIDDEN]
            seen = [await anext(listener) for _ in range(3)]
        assert [one.id for one in seen] == [0, 0, 7]

    run_virtually(listen)
    assert script.log.count("close") == 5


def test_a_first_session_that_is_refused_is_an_error_at_once() -> None:
    script = Script()
    script.openings = [NotFound("no such scale set", status=404)]
    with pytest.raises(NotFound):
        script.play(1)


def test_waits_grow_and_only_a_refusal_is_a_reason_to_start_over() -> None:
    """A service that is away is away for every session."""
    chance = random.Random(1)
    waits = [after_failure(FORBIDDEN, count, 0.0, chance).wait for count in (1, 4, 40)]
    assert waits == sorted(waits)
    assert waits[-1] <= 45
    late = LASTING + 1
    over = {error: after_failure(error, 9, late, chance).start_over for error in (FORBIDDEN, Unavailable("x"))}
    assert list(over.values()) == [True, False]
    assert not after_failure(RateLimited("slow", status=429), 9, late, chance).start_over
    assert not after_failure(FORBIDDEN, 9, LASTING - 1, chance).start_over
    assert after_failure(GONE, 1, 0.0, chance).start_over
    assert [after_failure(FORBIDDEN, 9, lasted, chance).lasting for lasted in (0.0, late)] == [False, True]


def stopped(script: Script, when: Callable[[], bool]) -> Awaitable[bool]:
    """Cancel the loop at that moment; return whether it ended by that."""

    async def stop() -> bool:
        task = asyncio.create_task(script.listen(100))
        while not when():
            await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait({task})
        return task.cancelled()

    return stop()


def test_stopping_finishes_an_acknowledgement_that_has_begun() -> None:
    script = Script(MESSAGE)
    assert run_virtually(lambda: _run(stopped(script, lambda: "statistics 3" in script.log)))
    assert script.log[-2:] == ["acknowledge 7", "close"]


def test_stopping_does_not_wait_for_the_time_that_was_named() -> None:
    """An hour's `Retry-After` on an acknowledgement held up the end for as long, until the host was killed."""

    async def stop() -> float:
        script = Script(MESSAGE)
        script.acknowledgements = [Unavailable("down", retry_after=3600)]
        assert await stopped(script, lambda: not script.acknowledgements)
        return VirtualClock().monotonic()

    assert run_virtually(stop) < 1000 + 60


def test_stopping_gives_up_a_message_that_hangs() -> None:
    """It comes again; a host that waits for it is killed, and its idle runners stay registered."""

    async def stop() -> float:
        script = Script(MESSAGE)
        script.hang = "acknowledge"
        assert await stopped(script, lambda: "statistics 3" in script.log)
        assert script.log[-1] == "close"
        return VirtualClock().monotonic()

    assert run_virtually(stop) <= 1000 + 50 + 2 + GRACE


@pytest.mark.parametrize("closings", [[Unavailable("down")], [FORBIDDEN]])
def test_a_session_that_cannot_be_closed_in_the_end_is_said_so(
    caplog: pytest.LogCaptureFixture, closings: list[ServiceError]
) -> None:
    script = Script()
    script.closings = closings
    script.play(1)
    assert "the message session stays open until it expires" in caplog.text


async def _run(work: Awaitable[bool]) -> bool:
    return await work


def test_unknown_kinds_of_events_are_the_consumers_business() -> None:
    """Every event of the protocol is handed out, in order."""
    events: tuple[AnyJobEvent, ...] = (JobAssigned(), JobStartedEvent(), JobCompletedEvent())
    log = Script(Message(id=1, statistics=Statistics(), events=events)).play(1)
    assert log[3:6] == ["JobAssigned", "JobStartedEvent", "JobCompletedEvent"]
