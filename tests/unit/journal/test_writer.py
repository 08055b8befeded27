"""The thread that writes: in order, in groups, and to the last item."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from scaleset_burst.journal.writer import GroupWriter
from tests.kit.virtual import run_virtually

pytestmark = pytest.mark.anyio


class Pages:
    """What was written, group by group; each write waits for leave if there is a gate."""

    def __init__(self, *, gate: threading.Event | None = None, error: Exception | None = None) -> None:
        self.groups: list[list[int]] = []
        self._gate = gate
        self._error = error

    def write(self, items: Sequence[int]) -> None:
        if self._gate is not None:
            assert self._gate.wait(10)
        if self._error is not None:
            raise self._error
        self.groups.append(list(items))


async def test_what_gathers_while_one_group_is_written_goes_next_in_order() -> None:
    """One transaction for a whole wave."""
    gate = threading.Event()
    pages = Pages(gate=gate)
    writer: GroupWriter[int] = GroupWriter(pages.write)
    first = asyncio.ensure_future(writer.put([1]))
    await asyncio.sleep(0)
    rest = [asyncio.ensure_future(writer.put([number])) for number in (2, 3)]
    await asyncio.sleep(0)
    writer.put_soon([4])
    gate.set()
    await asyncio.gather(first, *rest)
    await writer.close(lambda: None)
    assert pages.groups == [[1], [2, 3, 4]]


async def test_who_goes_away_takes_nobody_along() -> None:
    """The items of a cancelled caller are written, and the others hear of it."""
    gate = threading.Event()
    pages = Pages(gate=gate)
    writer: GroupWriter[int] = GroupWriter(pages.write)
    first, second = (asyncio.ensure_future(writer.put([number])) for number in (1, 2))
    await asyncio.sleep(0)
    first.cancel()
    second_too = asyncio.ensure_future(writer.put([3]))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(second, second_too)
    await writer.close(lambda: None)
    assert [item for group in pages.groups for item in group] == [1, 2, 3]


async def test_everybody_in_a_group_hears_of_its_failure(caplog: pytest.LogCaptureFixture) -> None:
    """And if nobody waits, it is said."""
    writer: GroupWriter[int] = GroupWriter(Pages(error=ValueError("odd")).write)
    outcomes = await asyncio.gather(writer.put([1]), writer.put([2]), return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["odd", "odd"]
    writer.put_soon([3])
    await writer.close(lambda: None)
    assert "the journal could not write: odd" in caplog.text


async def test_the_end_comes_after_the_last_item() -> None:
    """What was handed in before is written before; what comes later is refused; no thread stays."""
    pages = Pages()
    before = threading.active_count()
    writer: GroupWriter[int] = GroupWriter(pages.write)
    for number in range(100):
        writer.put_soon([number])
    ended: list[int] = []
    await writer.close(lambda: ended.append(sum(len(group) for group in pages.groups)))
    assert ended == [100]
    writer.put_soon([100])
    with pytest.raises(RuntimeError, match="closed"):
        await writer.put([100])
    with pytest.raises(RuntimeError, match="closed"):
        await writer.call(lambda: None)
    assert threading.active_count() == before


async def test_other_work_waits_for_what_is_being_written() -> None:
    """A read sees the writes before it, and its error is its caller's."""
    pages = Pages()
    writer: GroupWriter[int] = GroupWriter(pages.write)
    writer.put_soon([1])
    assert await writer.call(lambda: list(pages.groups)) == [[1]]
    with pytest.raises(ZeroDivisionError):
        await writer.call(lambda: 1 // 0)
    await writer.close(lambda: None)


async def test_nothing_is_written_for_nothing() -> None:
    """A call that minted nothing hands over nothing, and does not wait."""
    pages = Pages()
    writer: GroupWriter[int] = GroupWriter(pages.write)
    await writer.put([])
    await writer.close(lambda: None)
    assert pages.groups == []


async def test_one_item_is_written_while_the_loop_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one turn of the loop, and only where nothing has to be written before it."""
    monkeypatch.setattr("scaleset_burst.journal.writer.INSTANT", 10.0)
    pages = Pages()
    writer: GroupWriter[int] = GroupWriter(pages.write)
    assert writer.put_now(1)
    assert pages.groups == [[1]]
    assert not writer.put_now(2)  # the loop has not heard yet that the thread is free
    await writer.put([3])
    await writer.close(lambda: None)
    assert not writer.put_now(4)
    assert pages.groups == [[1], [3]]


async def test_a_slow_or_failing_write_is_not_taken_for_done() -> None:
    """The loop waits a moment only; the item is written in its turn."""
    gate = threading.Event()
    pages = Pages(gate=gate)
    writer: GroupWriter[int] = GroupWriter(pages.write)
    assert not writer.put_now(1)
    again = asyncio.ensure_future(writer.put([1]))
    gate.set()
    await again
    await writer.close(lambda: None)
    assert pages.groups == [[1], [1]]
    failing: GroupWriter[int] = GroupWriter(Pages(error=ValueError("no")).write)
    assert not failing.put_now(1)
    await failing.close(lambda: None)


class AtOnce(GroupWriter[int]):
    """Writes at once: virtual time has no threads."""

    def _hand_over(self, work: Callable[[], None]) -> None:
        work()


def test_a_disk_that_takes_nothing_for_a_moment_is_tried_again_soon() -> None:
    """What leaves in between is not written down; a disk that takes nothing for long is tried once a second."""

    async def main() -> None:
        tries: list[float] = []
        loop = asyncio.get_running_loop()

        def write(_items: Sequence[int]) -> None:
            tries.append(loop.time())
            if len(tries) <= 7:
                raise OSError("disk is full")

        writer = AtOnce(write)
        assert await writer.put([1]) is False, "nobody waits for it"
        await asyncio.sleep(60.0)
        waits = [round(after - before, 3) for before, after in pairwise(tries)]
        assert waits == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
        assert await writer.put([2]) is True

    run_virtually(main)
