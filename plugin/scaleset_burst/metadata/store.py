"""Where finished values are kept: bounded, least recently used first out, on the clock that was passed in."""

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from cachetools import TLRUCache

from scaleset_burst.metadata.entries import Entry

__all__ = ["Store"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Bounded(TLRUCache[Any, Any]):
    """Counts what is pushed out to keep the bound."""

    pushed_out = 0

    def popitem(self) -> tuple[Any, Any]:
        self.pushed_out += 1
        return super().popitem()


def _end_of_life(_key: object, entry: Entry[object], _now: float) -> float:
    return entry.drop_at


class Store(Generic[K, V]):
    """The entries of one kind, until they may not even be served as stale."""

    def __init__(self, maxsize: int, timer: Callable[[], float]) -> None:
        self._entries = _Bounded(maxsize, _end_of_life, timer)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def pushed_out(self) -> int:
        """How many entries left to keep the bound."""
        return self._entries.pushed_out

    def get(self, key: K) -> Entry[V] | None:
        """Return the entry, fresh or stale; `None` if there is none."""
        found: Entry[V] | None = self._entries.get(key)
        return found

    def put(self, key: K, entry: Entry[V]) -> None:
        """Keep an entry in place of an older one."""
        self._entries[key] = entry

    def drop(self, key: K) -> bool:
        """Forget an entry; return whether there was one."""
        return self._entries.pop(key, None) is not None

    def keys_where(self, matches: Callable[[V | None], bool]) -> list[K]:
        """Return the keys whose values match; looks at every entry, so it is for rare events only."""
        return [key for key in list(self._entries) if (entry := self.get(key)) is not None and matches(entry.value)]

    def all_keys(self) -> list[K]:
        """Return all keys."""
        return list(self._entries)
