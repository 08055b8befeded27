"""The listener hands on everything a message says, and acknowledges it afterwards, whatever happens meanwhile."""

import asyncio
from collections.abc import Sequence

import pytest

from autoscaler.listener import LONGEST_RETRY, RETRY_SECONDS, Listener
from scaleset_client import JobAvailable, Message
from scaleset_client.types import AnyJobEvent, JobStartedEvent
from scaleset_hookspecs import Rejected, Statistics, Unavailable

pytestmark = pytest.mark.anyio


class Script:
    """A session and a handler in one: plays polls back, and writes down what happens."""

    def __init__(self, *polls: Message | Exception | None) -> None:
        self.statistics = Statistics(assigned_jobs=1)
        self.log: list[str] = []
        self._polls = list(polls)
        self.refuse_acknowledgement = False
        self.hang = False
        self.refusals: list[Rejected | None] = []

    async def poll(self, capacity: int) -> Message | None:
        self.log.append(f"poll {capacity}")
        if not self._polls:
            await asyncio.Event().wait()
        item = self._polls.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    async def acknowledge(self, message: Message) -> None:
        await asyncio.sleep(0)
        if self.refuse_acknowledgement:
            self.refuse_acknowledgement = False
            raise Unavailable("down", status=503, retry_after=3600)
        if self.hang:
            self.log.append("hang")
            await asyncio.Event().wait()
        self.log.append(f"acknowledge {message.id}")

    async def acquire(self, request_ids: Sequence[int]) -> Sequence[int]:
        await asyncio.sleep(0)
        if self.refusals and (refusal := self.refusals.pop(0)) is not None:
            raise refusal
        self.log.append(f"acquire {list(request_ids)}")
        return request_ids

    def on_statistics(self, statistics: Statistics) -> None:
        self.log.append(f"statistics {statistics.assigned_jobs}")

    def on_event(self, event: AnyJobEvent) -> None:
        self.log.append(type(event).__name__)


async def play(script: Script, *, until: int) -> list[str]:
    """Listen until as many polls have begun, then cancel; return what happened."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        script.log.append(f"sleep {seconds:g}")

    task = asyncio.create_task(Listener(script, script, capacity=25, sleep=sleep).run())
    while not task.done() and sum(line.startswith("poll") for line in script.log) < until:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
    return script.log


MESSAGE = Message(
    id=7,
    statistics=Statistics(assigned_jobs=3),
    events=(JobAvailable(request_id=11), JobStartedEvent(job_id="j"), JobAvailable(request_id=12)),
)


async def test_the_sessions_own_statistics_count_before_the_first_poll() -> None:
    assert await play(Script(), until=1) == ["statistics 1", "poll 25"]


async def test_a_message_is_acknowledged_after_everything_it_says_was_handled() -> None:
    log = await play(Script(MESSAGE), until=2)
    assert log[2:] == [
        "acquire [11, 12]",
        "JobAvailable",
        "JobStartedEvent",
        "JobAvailable",
        "statistics 3",
        "acknowledge 7",
        "poll 25",
    ]


async def test_an_empty_poll_compares_the_last_statistics_again() -> None:
    assert await play(Script(None), until=2) == ["statistics 1", "poll 25", "statistics 1", "poll 25"]


async def test_a_message_without_offers_acquires_nothing() -> None:
    log = await play(Script(Message(id=1, statistics=Statistics())), until=2)
    assert not [line for line in log if line.startswith("acquire")]


async def test_a_failed_poll_waits_as_long_as_the_service_says_and_goes_on() -> None:
    log = await play(Script(Unavailable("busy", status=429, retry_after=9), MESSAGE), until=3)
    assert "sleep 9" in log
    assert "acknowledge 7" in log


async def test_a_failed_acknowledgement_leaves_the_message_in_the_queue_and_goes_on() -> None:
    script = Script(MESSAGE, MESSAGE)
    script.refuse_acknowledgement = True
    log = await play(script, until=3)
    assert log.count("acknowledge 7") == 1
    assert log.count("statistics 3") == 2


@pytest.mark.parametrize("what", ["poll", "acquire"])
async def test_no_refusal_ends_the_listener_and_each_waits_longer(what: str) -> None:
    """A queue that refused valid tokens for four seconds had every running job terminated."""
    rounds = 8
    refused = Rejected("no", status=403)
    polls: list[Message | Exception | None] = [refused if what == "poll" else MESSAGE] * rounds
    script = Script(*polls, MESSAGE)
    script.refusals = [refused] * rounds if what == "acquire" else []
    log = await play(script, until=rounds + 2)
    waits = [float(line.removeprefix("sleep ")) for line in log if line.startswith("sleep")]
    assert waits == [min(LONGEST_RETRY, RETRY_SECONDS * 2**number) for number in range(rounds)]
    assert log.count("acknowledge 7") == 1


async def test_a_refusal_that_passed_is_forgotten() -> None:
    turns: list[Message | Exception | None] = [Rejected("HTML page", status=400), MESSAGE]
    script = Script(*turns * 3)
    log = await play(script, until=7)
    assert [line for line in log if line.startswith("sleep")] == [f"sleep {RETRY_SECONDS:g}"] * 3


async def test_cancelling_finishes_the_message_that_is_being_handled() -> None:
    script = Script(MESSAGE)
    task = asyncio.create_task(Listener(script, script, capacity=1).run())
    while "acquire [11, 12]" not in script.log:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert "acknowledge 7" in script.log
    assert task.cancelled()


async def test_cancelling_does_not_wait_for_the_time_that_was_named() -> None:
    """An hour's `Retry-After` on an acknowledgement held up the end for as long, until the host was killed."""
    script = Script(MESSAGE)
    script.refuse_acknowledgement = True
    asleep = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        asleep.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(Listener(script, script, capacity=1, sleep=sleep).run())
    await asleep.wait()
    task.cancel()
    await asyncio.wait({task}, timeout=5)
    assert task.cancelled()


async def test_cancelling_gives_a_message_that_hangs_up() -> None:
    """It comes again; a host that waits for it is killed, and its idle runners stay registered."""
    script = Script(MESSAGE)
    script.hang = True
    task = asyncio.create_task(Listener(script, script, capacity=1, grace=0.01).run())
    while "hang" not in script.log:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task}, timeout=5)
    assert task.cancelled()
    assert "acknowledge 7" not in script.log
