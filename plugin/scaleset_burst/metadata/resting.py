"""Failures are never remembered as answers, but the service is not hammered either: each key rests after one."""

import random as random_module
from collections.abc import Hashable
from dataclasses import dataclass

from cachetools import LRUCache

from scaleset_hookspecs import ServiceError

__all__ = ["FIRST_REST", "LONGEST_REST", "NO_REST", "Rest", "Rests", "rest_seconds"]

FIRST_REST = 1.0
LONGEST_REST = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """The state of a key whose last look-up failed.

    Attributes:
        failures: How many failed in a row.
        until: No request before then, in monotonic seconds.
        error: What went wrong last; `None` if nothing did.
    """

    failures: int
    until: float
    error: ServiceError | None


NO_REST = Rest(failures=0, until=float("-inf"), error=None)


def rest_seconds(failures: int, retry_after: float | None, jitter: float) -> float:
    """Return how long to rest after so many failures in a row; doubling, and never less than the service said.

    Args:
        failures: At least 1.
        retry_after: Seconds the service asked for, if it did.
        jitter: From 0 to 1; up to half of the time is taken off or, of what the service asked for, added.
    """
    doubled = min(LONGEST_REST, FIRST_REST * 2.0 ** min(failures - 1, 30))
    own = doubled * (1.0 - 0.5 * jitter)
    return own if retry_after is None else max(own, retry_after + FIRST_REST * jitter)


class Rests:
    """The keys that rest."""

    def __init__(self, maxsize: int, random: random_module.Random) -> None:
        self._rests: LRUCache[Hashable, Rest] = LRUCache(maxsize)
        self._random = random

    def of(self, key: Hashable) -> Rest:
        """Return the key's state; `NO_REST` if its last look-up did not fail."""
        rests = self._rests
        return rests.get(key, NO_REST) if rests else NO_REST

    def failed(self, key: Hashable, error: ServiceError, now: float) -> None:
        """Note a failed look-up."""
        failures = self.of(key).failures + 1
        until = now + rest_seconds(failures, error.retry_after, self._random.random())
        self._rests[key] = Rest(failures=failures, until=until, error=error)

    def succeeded(self, key: Hashable) -> None:
        """Note a look-up that was answered, whatever the answer."""
        self._rests.pop(key, None)
