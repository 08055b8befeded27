"""Single flight: one task for all who want the same thing at once."""

import asyncio

import pytest

from scaleset_client.singleflight import Flight, SingleFlight
from scaleset_hookspecs import Rejected, Unavailable

pytestmark = pytest.mark.anyio


class Work:
    """Something that takes as long as the test says."""

    def __init__(self) -> None:
        self.runs = 0
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, _flight: Flight[int]) -> int:
        self.runs += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.runs


class One:
    """What is wanted under one key."""

    def __init__(self, work: Work) -> None:
        self.flights: SingleFlight[int] = SingleFlight(lambda: Rejected("closed"))
        self._work = work

    def launch(self) -> Flight[int]:
        return self.flights.launch("key", self._work)

    async def join(self) -> int:
        return await self.flights.join(self.launch())


async def test_all_who_come_meanwhile_share_it_and_later_ones_do_not() -> None:
    """One run for a hundred; the next one starts a new run."""
    work = Work()
    flight = One(work)
    waiting = [asyncio.create_task(flight.join()) for _ in range(100)]
    await asyncio.sleep(0)
    work.gate.set()
    assert set(await asyncio.gather(*waiting)) == {1}
    assert await flight.join() == 2


async def test_a_failure_is_for_everyone_and_not_kept() -> None:
    """Each gets a copy, with the original as its cause."""
    work = Work()
    work.error = Unavailable("down", status=503)
    work.gate.set()
    flight = One(work)
    errors = await asyncio.gather(*(flight.join() for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in errors] == ["down (status 503)"] * 3
    assert len({id(error) for error in errors}) == 3
    assert all(isinstance(error, Unavailable) and error.__cause__ is work.error for error in errors)
    work.error = None
    assert await flight.join() == 2


async def test_a_caller_that_leaves_leaves_the_others_alone() -> None:
    """Cancellation is the caller's own; the work goes on even if nobody is left."""
    work = Work()
    flight = One(work)
    first, second = (asyncio.create_task(flight.join()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    work.gate.set()
    assert await second == 1


async def test_a_failure_nobody_waits_for_is_no_warning() -> None:
    """Background work reports its own failures; the loop must not complain on top."""
    work = Work()
    work.error = Unavailable("down")
    work.gate.set()
    flight = One(work)
    flight.launch()
    flight.launch()
    await asyncio.sleep(0.01)
    assert work.runs == 1


async def test_closing_ends_the_work_and_says_so() -> None:
    """Whoever waits was not cancelled, so gets an error and not a cancellation."""
    work = Work()
    flight = One(work)
    waiting = asyncio.create_task(flight.join())
    await asyncio.sleep(0)
    await flight.flights.aclose()
    with pytest.raises(Unavailable, match="closed"):
        await waiting
    await flight.flights.aclose()
    with pytest.raises(Rejected, match="closed"):
        await flight.join()


async def test_every_key_has_a_flight_of_its_own() -> None:
    """Numbered in the order of their start; what happened meanwhile to one key says nothing of another."""
    work = Work()
    flights: SingleFlight[int] = SingleFlight(lambda: Rejected("closed"))
    one, other = flights.launch("one", work), flights.launch("other", work)
    flights.invalidate("one", "never asked for")
    assert (one.number, other.number, one.invalidated, other.invalidated) == (1, 2, True, False)
    assert flights.keys_under_way() == ("one", "other")
    work.gate.set()
    await asyncio.gather(flights.join(one), flights.join(other))
    assert "one" not in flights
    assert work.runs == 2
