"""Answers what a mint needs: the id of a scale set, now, or an error that says why there is none."""

from scaleset_burst.clock import Clock
from scaleset_burst.metadata.answers import raise_rest, waiting
from scaleset_burst.metadata.decisions import Decision
from scaleset_burst.metadata.scalesets import Key, ScaleSets, key_of
from scaleset_hookspecs import NotFound, ScaleSetRef, Unavailable

__all__ = ["Resolver"]

ROUNDS = 3
"""Look-ups at most for one question, when events keep overtaking them."""


class Resolver:
    """Ids of scale sets by name. A stale id is good enough for a mint: a dead one is answered with 404 and healed."""

    def __init__(self, sets: ScaleSets, clock: Clock) -> None:
        self._sets = sets
        self._clock = clock

    async def scale_set_id(self, ref: ScaleSetRef) -> int:
        """Return the id to mint with; no request if it is remembered, or if the caller has it.

        Raises:
            NotFound: The service has no such scale set, or no such runner group.
            Rejected: The credentials are refused.
            Unavailable: The service cannot be asked, and nothing is remembered.
        """
        key = self._sets.question(ref)
        if isinstance(key, int):
            return key
        names, now = self._sets.names, self._clock.monotonic()
        entry = names.get(key)
        decision = names.decide(entry, key, now)
        stale = None if entry is None else entry.value
        if decision is Decision.FETCH:
            return await self._asked(key, stale)
        if decision is Decision.BACKOFF:
            raise_rest(names.rests.of(key), now, rejected_only=stale is not None)
            names.tally.stale += 1
        else:
            names.tally.hits += 1
        if decision is Decision.SERVE_AND_REFRESH:
            self._sets.refresh_by_name(key)
        assert stale is not None  # noqa: S101  # without one, only FETCH and a raising BACKOFF are left
        return stale

    async def re_resolve(self, ref: ScaleSetRef, *, dead_id: int) -> int:
        """Return the id that stands under the name now that the service answered 404 to `dead_id`.

        Any number of callers cost one look-up for each dead id.

        Raises:
            NotFound: The name leads nowhere, or still to the dead id.
            Rejected: The credentials are refused.
            Unavailable: The service cannot be asked.
        """
        sets, key = self._sets, key_of(ref)
        heir = sets.successions.heir(dead_id)
        if heir is not None and not sets.successions.is_dead(live := sets.successions.living(heir)):
            return live
        if not sets.successions.is_dead(dead_id):
            sets.bury(dead_id)
            sets.names.flights.overtake(key)  # a look-up under way began before the 404
        known = sets.names.get(key)
        if known is not None and known.value is not None:
            found = known.value  # the name has been looked up since, and leads elsewhere
        else:
            found = await self._asked(key, None)
        if found == dead_id:
            sets.bury(dead_id)
            raise NotFound(
                f"the scale set {ref.name!r} is listed with the id {dead_id}, which the service does not know",
                status=404,
            )
        sets.successions.replaced(dead_id, found)
        return found

    async def _asked(self, key: Key, stale: int | None) -> int:
        names = self._sets.names
        asked = names.flights.number
        for _ in range(ROUNDS):
            try:
                self._rest(key)
                look = await names.flights.join(self._sets.launch_by_name(key))
            except Unavailable as error:
                if stale is None:
                    names.tally.misses += 1
                    raise self._hinted(key, error) from error
                names.tally.stale += 1
                return stale
            if not look.answers(asked):
                continue
            names.tally.misses += 1
            if look.found is None:
                raise NotFound(look.reason or f"there is no scale set {key[1]!r} in the group {key[0]!r}", status=404)
            return look.found.id
        raise Unavailable(f"the scale set {key[1]!r} changed each time it was looked up; try again")

    def _rest(self, key: Key) -> None:
        rest, now = self._sets.names.rests.of(key), self._clock.monotonic()
        if now < rest.until:
            raise_rest(rest, now, rejected_only=False)

    def _hinted(self, key: Key, error: Unavailable) -> Unavailable:
        if error.retry_after is not None:
            return error
        wait = self._sets.names.rests.of(key).until - self._clock.monotonic()
        return waiting(error, wait) if wait > 0 else error
