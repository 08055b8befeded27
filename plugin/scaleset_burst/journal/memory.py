"""The journal in memory: for hosts that do not want a file, or cannot have one."""

from collections.abc import Sequence

from scaleset_burst.journal.states import Change, LeftoverName, State

__all__ = ["MemoryJournal"]

MOST_DELIVERED = 10_000
"""Delivered names kept at most, the newest: a host may never say that they are launched."""


class MemoryJournal:
    """Keeps the open names of this process only: a crash forgets them."""

    def __init__(self) -> None:
        self._open: set[str] = set()
        self._delivered: dict[str, None] = {}

    def write(self, changes: Sequence[Change]) -> None:
        """Note what became of names."""
        for change in changes:
            self._open.discard(change.name)
            self._delivered.pop(change.name, None)
            if change.state is State.DELIVERED:
                self._delivered[change.name] = None
            elif change.state not in {State.CLOSED, State.LAUNCHED}:
                self._open.add(change.name)
        while len(self._delivered) > MOST_DELIVERED:
            del self._delivered[next(iter(self._delivered))]

    def open_names(self) -> int:
        """Return how many names are not closed."""
        return len(self._open) + len(self._delivered)

    def registered(self, window: float) -> tuple[tuple[float, int], ...]:
        """Return nothing, for the same reason as `adopt`."""
        del window
        return ()

    def adopt(self) -> tuple[LeftoverName, ...]:
        """Return nothing: what a dead process knew is gone."""
        return ()

    def pause(self, seconds: float) -> None:
        """Keep nothing: the limits know it already."""

    def pause_left(self) -> float:
        """Return 0, for the same reason as `adopt`."""
        return 0.0

    def doubt(self) -> None:
        """Prove nothing: what a dead process knew is gone."""

    def close(self) -> None:
        """Forget everything."""
        self._open.clear()
        self._delivered.clear()
