"""What a host may do alone, and what it does with grants: decisions over values, tried by the thousand."""

import asyncio
import random
from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from scaleset_burst.sharing.budget import NEVER, SLACK, Fallback, SharedBudget
from tests.kit.examples import examples

WINDOW = 300.0


class Asked(asyncio.Event):
    """Counts how often it is set."""

    times = 0

    def set(self) -> None:
        """Count."""
        self.times += 1
        super().set()


@settings(max_examples=examples(300), deadline=None)
@given(
    limit=st.integers(10, 200),
    parts=st.lists(st.integers(0, 100), min_size=1, max_size=5),
    noticed=st.lists(st.floats(0, SLACK), min_size=5, max_size=5),
    steps=st.lists(st.tuples(st.floats(0, 80), st.integers(0, 4), st.integers(1, 60)), max_size=60),
)
def test_hosts_that_keep_to_their_parts_keep_the_limit(
    limit: int, parts: list[int], noticed: list[float], steps: list[tuple[float, int, int]]
) -> None:
    """Whatever each host had when Redis became unavailable: no window holds more than the limit."""
    hosts = len(parts)
    whole = max(1, sum(parts))
    bases = [max(1, part * (limit - hosts) // whole) for part in parts]
    share = limit // hosts
    fallbacks = [Fallback(base, share, since, WINDOW) for base, since in zip(bases, noticed, strict=False)]
    # All that was used, granted or promised by then may have been registered a moment before.
    sent: list[deque[tuple[float, int]]] = [deque([(since, base)]) for since, base in zip(noticed, bases, strict=False)]
    now = SLACK
    for wait, who, wanted in steps:
        now += wait
        host = who % hosts
        own = sum(count for at, count in sent[host] if at > now - WINDOW)
        allowed = max(0, min(wanted, fallbacks[host].limit(now) - own))
        if allowed:
            sent[host].append((now, allowed))
        everything = sum(count for each in sent for at, count in each if at > now - WINDOW)
        assert everything <= max(limit, hosts), (now, sent)


def test_nobody_is_stuck() -> None:
    assert Fallback(0, 0, 0.0, WINDOW).limit(1.0) == 1
    assert Fallback(0, 375, 0.0, WINDOW).limit(2 * WINDOW + 2 * SLACK + 1) == 375
    assert Fallback(1400, 375, 0.0, WINDOW).limit(WINDOW + SLACK + 1) == 375


def budget(**more: object) -> SharedBudget:
    share = 375
    made = SharedBudget(limit=share, window=WINDOW, whole=1500, fallback=Fallback(share, share, NEVER, WINDOW))
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_before_redis_ever_answered_a_host_takes_an_equal_share() -> None:
    made = budget()
    assert made.allow(0.0, 1000) == 375
    made.known_hosts(10)
    assert made.allow(0.0, 1000) == 150


def test_online_only_what_was_granted_is_sent_and_more_is_asked_for_once() -> None:
    asked = Asked()
    made = budget(news=asked)
    made.came_back(10, 5)
    assert made.allow(0.0, 20) == 10
    made.reserve(0.0, 10)
    assert made.allow(0.0, 1) == 0
    assert asked.times == 1
    made.ask_at = 3.0
    assert made.allow(1.0, 1) == 0
    assert (asked.times, made.opens_at(1.0)) == (1, 3.0)
    made.settle(1.0, 8, 2)
    assert (made.tokens, made.unreported, made.sent) == (2, 8, 0)
    made.became_unavailable(2.0, 4)
    assert made.fallback == Fallback(8 + 2 + 5, 375, 2.0, WINDOW)
    assert made.allow(2.0, 100) == 7


def test_a_pause_ends_with_the_one_probe_that_redis_lets_go() -> None:
    asked = Asked()
    made = budget(news=asked)
    made.came_back(100, 0)
    made.reserve(0.0, 1)
    made.settle(0.5, 0, 1)
    until = made.told_to_wait(0.5, 9.0, random.Random(1))
    assert (until, made.told, asked.times) == (9.5, 9.5, 1)
    assert made.allow(5.0, 50) == 0
    assert made.allow(10.0, 50) == 0, "another host may be probing"
    assert asked.times == 2
    made.may_probe = True
    assert made.allow(10.0, 50) == 1
    made.reserve(10.0, 1)
    assert made.allow(10.1, 50) == 0
    made.settle(10.2, 1, 0)
    made.succeeded(10.0)
    assert made.cleared
    assert made.allow(10.3, 50) == 50
