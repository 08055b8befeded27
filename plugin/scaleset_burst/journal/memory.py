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
        opened, delivered = self._open, self._delivered
        for name, state, *_ in changes:
            if state is State.RESERVED:  # new, as a rule
                opened.add(name)
                continue
            opened.discard(name)
            if state is State.DELIVERED:
                delivered[name] = None
                continue
            delivered.pop(name, None)
            if state is not State.CLOSED and state is not State.LAUNCHED:
                opened.add(name)
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

    def distrust(self) -> None:
        """Prove nothing: what a dead process knew is gone."""

    def close(self) -> None:
        """Forget everything."""
        self._open.clear()
        self._delivered.clear()
