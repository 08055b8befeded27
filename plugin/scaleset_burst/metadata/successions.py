"""Which ids of scale sets are dead, and which live id took their place under the same name."""

from cachetools import LRUCache

__all__ = ["Successions"]


class Successions:
    """Ids are never given twice, so what is dead stays dead. Bounded: the least recently used is forgotten."""

    def __init__(self, maxsize: int = 1000) -> None:
        self._heirs: LRUCache[int, int | None] = LRUCache(maxsize)

    def died(self, dead_id: int) -> None:
        """Note that the service no longer knows an id."""
        if dead_id not in self._heirs:
            self._heirs[dead_id] = None

    def replaced(self, dead_id: int, live_id: int) -> None:
        """Note the id that stands under the dead one's name."""
        if live_id != dead_id:
            self._heirs[dead_id] = live_id
            self._heirs.pop(live_id, None)  # the service just named it: it lives, whatever was thought of it

    def is_dead(self, scale_set_id: int) -> bool:
        """Return whether the service said that it does not know this id."""
        return scale_set_id in self._heirs

    def heir(self, dead_id: int) -> int | None:
        """Return the id that took its place, if that is known."""
        return self._heirs.get(dead_id)

    def living(self, scale_set_id: int) -> int:
        """Return the id to use for one that a caller may have kept too long."""
        for _ in range(len(self._heirs)):
            heir = self._heirs.get(scale_set_id)
            if heir is None:
                break
            scale_set_id = heir
        return scale_set_id
