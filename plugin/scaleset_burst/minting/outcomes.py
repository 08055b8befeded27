"""What follows from an answer, carried out: the one place where a mint becomes a config, a retry or a look-up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from scaleset_burst.journal import Change, State
from scaleset_burst.minting.delivery import Deliverer
from scaleset_burst.minting.names import Names
from scaleset_burst.minting.queue import Attempt, MintQueue
from scaleset_burst.minting.resolver import Cache, Resolver
from scaleset_burst.minting.settlement import REPEATED, Result, Settlement
from scaleset_burst.minting.turns import Turns
from scaleset_hookspecs.errors import ScalesetError, ServiceError, Unavailable

__all__ = ["Outcomes"]

logger = logging.getLogger(__name__)


class Outcomes:
    """Carries out what the settlement says of each answered request."""

    def __init__(
        self,
        settlement: Settlement,
        deliverer: Deliverer,
        resolver: Resolver,
        names: Names,
        cache: Cache,
        turns: Turns,
    ) -> None:
        self._settlement = settlement
        self._deliverer = deliverer
        self._resolver = resolver
        self._names = names
        self._cache = cache
        self._turns = turns
        self._healing: set[asyncio.Task[None]] = set()

    def answered(self, attempt: Attempt, results: Sequence[Result], now: float, *, more: bool) -> None:
        """Settle one request, and carry out what that leaves to be done.

        Args:
            attempt: The request.
            results: What each of its names came to.
            now: Monotonic time in seconds.
            more: Others are in flight.
        """
        settled = self._settlement.settle(attempt, results, now)
        if settled.changes:
            self._names.note(settled.changes)
        for arrival in settled.arrivals:
            self._cache.on_minted(arrival.config)
            self._deliverer.add(arrival, more=more)
        for config in settled.undeliverable:
            self._cache.on_minted(config)
            self._resolver.undo(config)
        if settled.unresolved:
            self._resolver.add(settled.unresolved)
        if settled.pause is not None:
            self._names.pause(settled.pause)
        if settled.gone is not None:
            task = asyncio.create_task(self._heal(attempt.queue, settled.gone), name="re-resolve scale set")
            self._healing.add(task)
            task.add_done_callback(self._healing.discard)

    async def _heal(self, queue: MintQueue, error: ServiceError) -> None:
        """Resolve a scale set that was deleted, and perhaps created again, under its name; once per dead id."""
        dead = queue.scale_set_id
        try:
            unused = queue.aim(await self._cache.re_resolve(queue.ref, dead_id=dead))
            self._names.note([Change(name=name, state=State.CLOSED) for name in unused])
            self._names.note([Change(name, State.RESERVED, None, queue.scale_set_id) for name in queue.given_names()])
        except ScalesetError as failure:
            queue.fail(failure)
        except Exception as failure:
            logger.exception("the scale set %s could not be resolved once more", queue.ref.name)
            queue.fail(Unavailable(f"resolving the scale set failed: {type(failure).__name__}"))
        else:
            if queue.scale_set_id != dead:
                queue.refusals = 0
            elif queue.refusals >= REPEATED:  # it is there, and yet it is not
                queue.fail(error)
        finally:
            queue.held = False
        self._turns.changed_for(queue)
