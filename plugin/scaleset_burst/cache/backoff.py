"""Failures are never remembered as answers, but the service is not hammered either: after one, its key backs off."""

import random as random_module
from collections.abc import Hashable
from dataclasses import dataclass

from cachetools import LRUCache

from scaleset_burst.cache.entries import NEVER
from scaleset_client.failures import again
from scaleset_client.retrying import doubling
from scaleset_hookspecs import NotFound, Rejected, ServiceError, Unavailable

__all__ = ["FIRST_BACKOFF", "LONGEST_BACKOFF", "NO_BACKOFF", "Backoff", "Backoffs", "backoff_seconds", "unproven"]

FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """The state of a key whose last look-up failed.

    Attributes:
        failures: How many failed in a row.
        until: No request before then, in monotonic seconds.
        error: What went wrong last; `None` if nothing did.
    """

    failures: int
    until: float
    error: ServiceError | None

    def raise_refusal(self) -> None:
        """Raise what the service refused for good, which no remembered value may hide.

        Raises:
            Rejected: It did, and is not asked again yet.
        """
        if isinstance(self.error, Rejected):
            raise again(self.error) from self.error

    def waiting(self, error: ServiceError, now: float) -> ServiceError:
        """Return the failure, with the seconds until the key is asked for again, if the service gave none."""
        if error.retry_after is not None and error is not self.error:
            return error
        wait = self.until - now
        return _like(error, f"{error.message}; not asked again yet", wait) if wait > 0 else error

    def reason(self, error: ServiceError | None, now: float) -> str:
        """Say what went wrong, and when the service is asked again."""
        if error is None:
            return "the service has not been asked"
        wait = self.until - now
        again_in = f"; it is asked again in {wait:.3g} s at the earliest" if wait > 0 else ""
        return f"the service could not be asked: {error}{again_in}"


NO_BACKOFF = Backoff(failures=0, until=NEVER, error=None)


def backoff_seconds(failures: int, retry_after: float | None, jitter: float) -> float:
    """Return how long to wait after so many failures in a row; doubling, and never less than the service said.

    Args:
        failures: At least 1.
        retry_after: Seconds the service asked for, if it did.
        jitter: From 0 to 1; up to half of the time is taken off or, of what the service asked for, added.
    """
    own = doubling(FIRST_BACKOFF, LONGEST_BACKOFF, failures) * (1.0 - 0.5 * jitter)
    return own if retry_after is None else max(own, retry_after + FIRST_BACKOFF * jitter)


def unproven(error: NotFound) -> Unavailable:
    """Return what a 404 is that does not name what is missing: a look-up that failed."""
    return _like(error, f"{error.message}; that proves nothing gone", error.retry_after)


class Backoffs:
    """The keys that back off; bounded."""

    def __init__(self, maxsize: int, random: random_module.Random) -> None:
        self._backoffs: LRUCache[Hashable, Backoff] = LRUCache(maxsize)
        self._random = random

    def of(self, key: Hashable) -> Backoff:
        """Return the key's state; `NO_BACKOFF` if its last look-up did not fail."""
        backoffs = self._backoffs
        return backoffs.get(key, NO_BACKOFF) if backoffs else NO_BACKOFF

    def failed(self, key: Hashable, error: ServiceError, now: float) -> None:
        """Note a failed look-up."""
        failures = self.of(key).failures + 1
        until = now + backoff_seconds(failures, error.retry_after, self._random.random())
        self._backoffs[key] = Backoff(failures=failures, until=until, error=error)

    def succeeded(self, key: Hashable) -> None:
        """Note a look-up that was answered, whatever the answer."""
        self._backoffs.pop(key, None)


def _like(error: ServiceError, message: str, retry_after: float | None) -> Unavailable:
    kind = type(error) if isinstance(error, Unavailable) else Unavailable
    return kind(
        message,
        status=error.status,
        type_name=error.type_name,
        activity_id=error.activity_id,
        request_id=error.request_id,
        retry_after=None if retry_after is None else max(0.0, retry_after),
    )
