"""Open names in Redis: never one that two hosts resolve, never a config of which Redis thinks that nobody has it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from scaleset_burst.journal import Change, LeftoverName, MemoryJournal, State, UnrecordedNames
from scaleset_burst.sharing.keys import Keys
from scaleset_burst.sharing.names import SharedNames
from scaleset_burst.sharing.namescripts import CLAIM, UPLOAD
from scaleset_burst.sharing.store import RedisStore, RedisUnavailable
from tests.kit.redis_server import RedisServer

pytestmark = pytest.mark.anyio

KEYS = Keys("test", "github.com/acme")


class Left(MemoryJournal):
    """A journal in which a dead process left names."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.left = names

    def adopt(self) -> tuple[LeftoverName, ...]:
        names, self.left = self.left, ()
        return tuple(LeftoverName(name=name, scale_set_id=7, runner_id=None, delivered=False) for name in names)


class Store(RedisStore):
    """Loses an answer, or holds a script back, if told so."""

    def __init__(self, url: str) -> None:
        super().__init__(url, timeout=1.0)
        self.loses: str | None = None
        self.holds: tuple[str, asyncio.Event] | None = None
        self.down = False

    async def run(self, script: str, keys: Sequence[str], arguments: Sequence[object]) -> Any:  # noqa: ANN401
        if self.down:
            raise RedisUnavailable("down")
        if self.holds is not None and self.holds[0] == script:
            await self.holds[1].wait()
        reply = await super().run(script, keys, arguments)
        if script == self.loses:
            raise RedisUnavailable("no answer")
        return reply

    async def update(self, key: str, values: dict[str, str], gone: Sequence[str], milliseconds: int) -> None:
        if self.down:
            raise RedisUnavailable("down")
        await super().update(key, values, gone, milliseconds)

    async def send_heartbeat(self, host: str) -> None:
        """Send a heartbeat for a host, as the limits know it."""
        await self._redis.hset(KEYS.ledger[-1], host, "1")


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[Store]:
    made = Store(server.url)
    yield made
    await made.aclose()


async def names_of(store: Store, host: str, *left: str) -> SharedNames:
    """Return the names of one more host, which Redis knows."""
    await store.send_heartbeat(host)
    made = SharedNames(Left(*left), store, KEYS, host)
    await made.upload()
    return made


def delivered(*names: str) -> list[Change]:
    return [Change(name=name, state=State.DELIVERED, runner_id=1) for name in names]


def found(leftovers: Sequence[LeftoverName]) -> set[str]:
    return {leftover.name for leftover in leftovers}


@pytest.mark.parametrize("heard", [False, True])
async def test_a_host_that_was_merely_paused_hands_out_nothing_that_another_one_resolves(
    store: Store, heard: bool
) -> None:
    paused, other = await names_of(store, "paused"), await names_of(store, "other")
    await paused.reserve(7, ["a", "b"])
    await paused.record(delivered("b"))
    assert found(await other.claim("paused", "1")) == {"a"}
    if heard:  # it joins anew before the answer to its mint arrives
        await paused.upload()
    with pytest.raises(UnrecordedNames) as taken:
        await paused.record(delivered("a"))
    assert taken.value.names == {"a"}
    await paused.record(delivered("b"))


async def test_what_was_marked_once_needs_no_redis_to_be_handed_out(store: Store) -> None:
    host = await names_of(store, "host")
    await host.reserve(7, ["a"])
    await host.record(delivered("a"))
    store.down = True
    await host.record(delivered("a"))


async def test_what_waits_for_the_end_of_its_call_was_never_used_if_its_host_dies(store: Store) -> None:
    host, other = await names_of(store, "host"), await names_of(store, "other")
    await host.reserve(7, ["a", "b"])
    await host.record([Change(name=name, state=State.MINTED, runner_id=1) for name in "ab"])
    await host.record(delivered("b"))
    leftovers = await other.claim("host", "1")
    assert [(leftover.name, leftover.delivered) for leftover in leftovers] == [("a", False)]
    with pytest.raises(UnrecordedNames):  # should it have been paused only
        await host.record(delivered("a"))


async def test_what_redis_calls_undelivered_is_not_handed_out_without_telling_it(store: Store) -> None:
    host = await names_of(store, "host")
    await host.reserve(7, ["a"])
    await host.record([Change(name="a", state=State.MINTED, runner_id=1)])
    store.down = True
    with pytest.raises(UnrecordedNames):
        await host.record(delivered("a"))


async def test_taken_over_twice_each_time_by_one_only(store: Store) -> None:
    first = await names_of(store, "first")
    await first.reserve(7, ["a"])
    survivor, later, third = [await names_of(store, host) for host in ("heir", "later", "third")]
    assert found(await survivor.claim("first", "1")) == {"a"}
    assert found(await later.claim("first", "1")) == set()
    assert found(await later.claim("heir", "1")) == {"a"}
    assert found(await third.claim("heir", "1")) == set()


async def test_what_a_restart_finds_on_its_disk_is_taken_over_should_it_die_as_well(store: Store) -> None:
    again, other = await names_of(store, "again", "a", "b"), await names_of(store, "other")
    assert found(await again.adopt()) == {"a", "b"}
    again.note([Change(name="b", state=State.CLOSED)])
    await again.flush()
    assert found(await other.claim("again", "1")) == {"a"}


async def test_names_taken_over_with_an_answer_that_was_lost_are_resolved_all_the_same(store: Store) -> None:
    first = await names_of(store, "first")
    await first.reserve(7, ["a"])
    survivor = await names_of(store, "heir")
    heard: list[LeftoverName] = []
    store.loses = CLAIM
    with pytest.raises(RedisUnavailable):
        await survivor.claim("first", "1")
    store.loses = None
    heard += (await survivor.flush()).taken_over
    assert found(heard) == {"a"}
    heard += (await survivor.flush()).taken_over
    survivor.note([Change(name="a", state=State.CLOSED)])
    heard += (await survivor.upload()).taken_over
    assert len(heard) == 1


async def test_what_is_delivered_while_redis_hears_of_us_anew_is_not_told_as_reserved(store: Store) -> None:
    host = await names_of(store, "host")
    host.unavailable()
    await host.reserve(7, ["a"])
    store.holds = UPLOAD, asyncio.Event()
    telling = asyncio.create_task(host.upload())
    await asyncio.sleep(0)
    recording = asyncio.create_task(host.record(delivered("a")))
    await asyncio.sleep(0.05)
    assert not recording.done()
    store.holds[1].set()
    await asyncio.gather(telling, recording)
    assert await store.all_of(KEYS.names("host")) == {"a": "d|7"}


async def test_what_turns_out_to_be_lost_just_before_its_delivery_is_not_handed_out(store: Store) -> None:
    host, other = await names_of(store, "host"), await names_of(store, "other")
    await host.reserve(7, ["a"])
    assert found(await other.claim("host", "1")) == {"a"}
    store.holds = UPLOAD, asyncio.Event()
    telling = asyncio.create_task(host.upload())
    await asyncio.sleep(0)
    recording = asyncio.create_task(host.record(delivered("a")))
    await asyncio.sleep(0.05)
    store.holds[1].set()
    with pytest.raises(UnrecordedNames):
        await recording
    await telling


async def test_what_is_settled_while_it_is_told_to_be_in_doubt_does_not_stay(store: Store) -> None:
    host = await names_of(store, "host")
    host.note([Change(name="a", state=State.AMBIGUOUS, scale_set_id=7)])
    telling = asyncio.create_task(host.flush())
    await asyncio.sleep(0)
    host.note([Change(name="a", state=State.CLOSED)])
    await telling
    await host.flush()
    assert await store.all_of(KEYS.names("host")) == {}


async def test_each_name_that_was_taken_is_forgotten_by_itself(store: Store) -> None:
    first, survivor = await names_of(store, "first"), await names_of(store, "heir")
    await first.reserve(7, ["a"])
    await survivor.claim("first", "1")
    assert 0 < await store._redis.pttl(f"{KEYS.taken}:a") <= 86_400_000
    assert not await store._redis.exists(KEYS.taken)


async def test_a_redis_that_went_away_refuses_names_once_and_then_is_not_asked(store: Store) -> None:
    """Names told to nobody were taken for told: none of their configs could be handed out until Redis came back."""
    host = await names_of(store, "host")
    store.down = True
    with pytest.raises(UnrecordedNames):
        await host.reserve(7, ["a"])
    for number in range(3):
        await host.flush()
        await host.reserve(7, [f"b{number}"])
        await host.flush()
        await host.record(delivered(f"b{number}"))
