"""A service of some capacity, and a client that keeps as many requests in flight as a law allows; no real time."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from benchmarks.limiter.laws import Law

__all__ = ["Result", "play", "waves_to_converge"]

BASE = 0.05
"""Seconds the service works on a mint."""

REFUSAL = 0.01
"""Seconds until a refusal is back."""


@dataclass(slots=True)
class Result:
    """What one run came to.

    Attributes:
        limits: The limit at the end of each wave (of as many answers as the limit was).
    """

    seconds: float = 0.0
    refused: int = 0
    sent: int = 0
    limits: list[tuple[int, int]] = field(default_factory=list)


def play(
    law: Law, mints: int, capacity_at: Callable[[float], int], mode: Literal["queue", "refuse"], seed: int = 0
) -> Result:
    """Mint under a law; return how long it took and what was refused.

    Args:
        law: Decides how many are in flight.
        mints: How many are wanted.
        capacity_at: Capacity when a share of the mints is done.
        mode: Beyond the capacity requests queue, or are refused.
        seed: Of the noise in latency.
    """
    chance = random.Random(seed)
    events: list[tuple[float, int, float, bool]] = []
    waiting: deque[float] = deque()
    now, done, in_flight, working, number, wave = 0.0, 0, 0, 0, 0, 0
    result = Result()

    def work(sent_at: float) -> None:
        nonlocal number
        number += 1
        heapq.heappush(events, (now + BASE * chance.uniform(0.9, 1.2), number, sent_at, True))

    while done < mints:
        capacity = capacity_at(done / mints)
        while in_flight < law.limit and done + in_flight < mints:
            in_flight += 1
            result.sent += 1
            if working < capacity:
                working += 1
                work(now)
            elif mode == "queue":
                waiting.append(now)
            else:
                number += 1
                heapq.heappush(events, (now + REFUSAL, number, now, False))
        now, _, sent_at, served = heapq.heappop(events)
        in_flight -= 1
        if not served:
            result.refused += 1
            law.refused(now, in_flight)
            continue
        working -= 1
        done += 1
        while waiting and working < capacity:
            working += 1
            work(waiting.popleft())
        law.answered(now, sent_at, now - sent_at, in_flight)
        wave += 1
        if wave >= law.limit:
            wave = 0
            result.limits.append((capacity, law.limit))
    result.seconds = now
    return result


def waves_to_converge(result: Result) -> list[int | None]:
    """Return, for the start and each step of the capacity, the waves until the limit was near it; `None`: never.

    Near is at least four fifths of the capacity and at most three times: up to there requests queue briefly, which
    costs no time, and beyond they only queue.
    """
    found: list[int | None] = []
    waves, before = 0, -1
    for capacity, limit in result.limits:
        if capacity != before:
            found.append(None)
            waves, before = 0, capacity
        waves += 1
        if found[-1] is None and capacity * 0.8 - 1 <= limit <= capacity * 3:
            found[-1] = waves
    return found
