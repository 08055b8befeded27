"""The journal in memory: for hosts that do not want a file, or cannot have one."""

from collections.abc import Sequence

from scaleset_burst.journal.states import Change, Orphan, State

__all__ = ["MemoryJournal"]


class MemoryJournal:
    """Keeps the open names of this process only: a crash forgets them."""

    def __init__(self) -> None:
        self._open: dict[str, Change] = {}

    def write(self, changes: Sequence[Change]) -> None:
        """Note what became of names."""
        for change in changes:
            if change.state in {State.CLOSED, State.LAUNCHED}:
                self._open.pop(change.name, None)
            else:
                self._open[change.name] = change

    def open_names(self) -> int:
        """Return how many names are not closed."""
        return len(self._open)

    def registered(self, window: float) -> tuple[tuple[float, int], ...]:
        """Return nothing, for the same reason as `adopt`."""
        del window
        return ()

    def adopt(self) -> tuple[Orphan, ...]:
        """Return nothing: what a dead process knew is gone."""
        return ()

    def close(self) -> None:
        """Forget everything."""
        self._open.clear()
