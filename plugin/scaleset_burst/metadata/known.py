"""What is remembered for one question about a scale set, and until when all that is asked for is fresh."""

from scaleset_burst.metadata.entries import Entry
from scaleset_burst.metadata.memory import NEVER
from scaleset_burst.metadata.scalesets import Key, ScaleSets
from scaleset_hookspecs import ScaleSetRef, ScaleSetSettings, Statistics

__all__ = ["Known"]


class Known:
    """The entries behind one answer. An answer is no fresher than the name that led to it.

    Attributes:
        key: What to ask the service for: a name, or an id that the caller has and that is not known to be dead.
        entry: The settings.
        statistics: The counters, if they are kept.
        fresh_until: End of the settings' life.
        wanted_until: The same for everything asked for, statistics included.
        refresh_at: Start of the last part of that.
    """

    __slots__ = ("entry", "fresh_until", "key", "refresh_at", "statistics", "wanted_until")

    def __init__(self, sets: ScaleSets, ref: ScaleSetRef) -> None:
        self.key: Key | int = sets.question(ref)
        self.entry: Entry[ScaleSetSettings] | None = None
        self.statistics: Entry[Statistics] | None = None
        self.fresh_until = self.refresh_at = self.wanted_until = NEVER
        scale_set_id, until, refresh_at = self.key, float("inf"), float("inf")
        if not isinstance(scale_set_id, int):
            name = sets.names.get(scale_set_id)
            if name is None or name.value is None:
                return
            scale_set_id, until, refresh_at = name.value, name.fresh_until, name.refresh_at
        entry = self.entry = sets.settings.get(scale_set_id)
        if entry is None:
            return
        self.fresh_until = self.wanted_until = min(until, entry.fresh_until)
        self.refresh_at = min(refresh_at, entry.refresh_at)
        if sets.statistics is not None:
            counted = self.statistics = sets.statistics.get(scale_set_id)
            self.wanted_until = NEVER if counted is None else min(self.fresh_until, counted.fresh_until)
            self.refresh_at = self.refresh_at if counted is None else min(self.refresh_at, counted.refresh_at)
