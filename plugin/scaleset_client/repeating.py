"""Repeats carried out: what `retrying` decides, done on a clock."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from scaleset_client.clock import Clock
from scaleset_client.retrying import Backoff, next_wait
from scaleset_hookspecs.errors import ServiceError

__all__ = ["Repeater"]

T = TypeVar("T")


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
