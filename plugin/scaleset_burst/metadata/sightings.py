"""What we know of our own runners that a look-up may not know yet: when they were minted, whether they were seen."""

from __future__ import annotations

from dataclasses import dataclass

from cachetools import LRUCache

from scaleset_hookspecs.types import RunnerRef

__all__ = ["Sighting", "Sightings"]


@dataclass(slots=True)
class Sighting:
    """One runner that we minted.

    Attributes:
        minted_at: Monotonic time.
        seen: A look-up has found it since.
        missed_at: When a look-up first failed to find it; one miss alone proves nothing.
    """

    name: str
    runner_id: int
    minted_at: float
    seen: bool = False
    missed_at: float | None = None


class Sightings:
    """Our mints, bounded; tells whether an absence can be believed."""

    def __init__(self, size: int, grace: float) -> None:
        self._grace = grace
        self._by_name: LRUCache[str, Sighting] = LRUCache(size)
        self._names: LRUCache[int, str] = LRUCache(size)

    def minted(self, name: str, runner_id: int, now: float) -> None:
        """Note a mint."""
        self._by_name[name.lower()] = Sighting(name, runner_id, now)
        self._names[runner_id] = name.lower()

    def seen(self, name: str) -> None:
        """Note that a look-up found a runner."""
        sighting = self._by_name.get(name.lower())
        if sighting is not None:
            sighting.seen = True
            sighting.missed_at = None

    def forget(self, runner: RunnerRef) -> None:
        """Note that a runner is gone for certain."""
        sighting = self.find(runner)
        if sighting is not None:
            self._by_name.pop(sighting.name.lower(), None)
            self._names.pop(sighting.runner_id, None)

    def find(self, runner: RunnerRef) -> Sighting | None:
        """Return what is known of a runner of ours."""
        name = runner.name.lower() if runner.name else self._names.get(runner.id) if runner.id is not None else None
        return self._by_name.get(name) if name is not None else None

    def doubt(self, runner: RunnerRef, now: float) -> str | None:
        """Return why an absence cannot be believed yet, or `None` if it can.

        1. Minted less than the grace period ago: registrations spread slowly (GARM #834 lost a busy runner so).
        2. Minted by us and never found yet: two misses, a grace period apart, are needed.
        """
        sighting = self.find(runner)
        if sighting is None:
            return None
        age = now - sighting.minted_at
        if age < self._grace:
            return f"minted {age:.0f} s ago; the service may not show it yet"
        if sighting.seen:
            return None
        if sighting.missed_at is None or now - sighting.missed_at < self._grace:
            sighting.missed_at = now if sighting.missed_at is None else sighting.missed_at
            return "minted by us and not seen yet; one miss proves nothing"
        return None
