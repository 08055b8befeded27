"""When a request is sent again, and when none is sent at all: one backoff, repeats, and pauses the service asked for.

`Backoff` and `next_wait` decide over values; `Repeater` and `Pause` do on a clock what they say.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from scaleset_client.clock import Clock
from scaleset_hookspecs.errors import RateLimited, ServiceError, Unavailable

__all__ = ["Backoff", "Pause", "Repeater", "doubling", "least_pause", "next_wait"]

T = TypeVar("T")


def doubling(first: float, longest: float, failures: int) -> float:
    """Return the seconds to wait after so many failures in a row: `first`, and twice as long each time, to `longest`.

    The one exponential backoff of client and plugin; jitter is the caller's.
    """
    return min(longest, first * 2.0 ** min(max(failures, 1) - 1, 30))


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How to repeat; all times in seconds.

    Attributes:
        attempts: Requests at most, the first included.
        first: The first wait, before jitter.
        longest: A wait at most, unless the service asks for a longer one.
        limit: Waits of one call at most, all together: beyond it the caller is told instead of kept.
    """

    attempts: int = 5
    first: float = 0.5
    longest: float = 20.0
    limit: float = 60.0

    def wait(self, attempt: int, chance: random.Random) -> float:
        """Return the wait after that attempt (1 is the first), from half to one and a half of what doubles."""
        return doubling(self.first, self.longest, attempt) * chance.uniform(0.5, 1.5)


def least_pause(refusals: int) -> float:
    """Return the least seconds to wait after so many refusals in a row, whatever the service said: 1, 2, 4, … 64.

    A wait of nothing, or a date in the past, would else have one request follow the other.
    """
    return doubling(1.0, 64.0, refusals)


def next_wait(
    attempt: int,
    error: ServiceError,
    *,
    repeatable: bool,
    waited: float,
    chance: random.Random,
    backoff: Backoff,
) -> float | None:
    """Return how long to wait before the request goes out again, or `None` to give up.

    Args:
        attempt: How many requests were sent, at least 1.
        error: What became of the last one.
        repeatable: Whether a repeat has the effect of one; if not, only what surely changed nothing is repeated.
        waited: Seconds waited so far for this call.
        chance: Where jitter comes from.
        backoff: How to repeat.
    """
    if not isinstance(error, Unavailable) or attempt >= backoff.attempts:
        return None
    if error.maybe_applied and not repeatable:
        return None
    wait = backoff.wait(attempt, chance)
    if error.retry_after is not None:
        # Never before the time asked for, and not all at the same moment.
        wait = error.retry_after + chance.uniform(0.0, min(1.0, 0.1 * error.retry_after))
    return None if waited + wait > backoff.limit else wait


@dataclass(frozen=True, slots=True)
class Repeater:
    """Runs something until it succeeds, fails for good, or has waited enough."""

    clock: Clock
    chance: random.Random
    backoff: Backoff

    async def run(self, once: Callable[[], Awaitable[T]], *, repeatable: bool) -> T:
        """Return what `once` returns; the error raised is that of the last try.

        Args:
            once: One try.
            repeatable: Whether two requests have the effect of one.
        """
        attempt, waited = 1, 0.0
        while True:
            try:
                return await once()
            except ServiceError as error:
                wait = next_wait(
                    attempt,
                    error,
                    repeatable=repeatable,
                    waited=waited,
                    chance=self.chance,
                    backoff=self.backoff,
                )
                if wait is None:
                    raise
            await self.clock.sleep(wait)
            attempt, waited = attempt + 1, waited + wait


class Pause:
    """Until when nothing may be sent. Mints and message sessions do not wait here: their own admission does."""

    def __init__(self, repeater: Repeater) -> None:
        self._repeater = repeater
        self._until = 0.0
        self._refusals = 0

    def asked(self, error: RateLimited) -> None:
        """Hear that the service asked for a pause, perhaps for none in seconds: then it grows with each refusal."""
        now = self._repeater.clock.monotonic()
        if now >= self._until:
            self._refusals += 1
        self._until = max(self._until, now + max(error.retry_after or 0.0, least_pause(self._refusals)))

    def answered(self) -> None:
        """Hear that the service let a request through after the pause."""
        if self._refusals and self._repeater.clock.monotonic() >= self._until:
            self._refusals = 0

    async def over(self) -> None:
        """Wait for the end of the pause, with jitter.

        Raises:
            RateLimited: It is longer than a call may wait; nothing was sent.
        """
        left = self._until - self._repeater.clock.monotonic()
        if left <= 0:
            return
        if left > self._repeater.backoff.limit:
            raise RateLimited("nothing was sent: the service asked for a pause that is not over", retry_after=left)
        await self._repeater.clock.sleep(left + self._repeater.chance.uniform(0.0, min(1.0, 0.1 * left)))
