"""Which runners were given to somebody: none of them is handed out again, or removed in another one's name."""

from collections.abc import Iterable

__all__ = ["Given"]

MOST = 20_000
"""Runners remembered at most, the newest: more than an hour of what the limits of one scope allow (protocol 10)."""


class Given:
    """Ids and names of the configs on their way to a caller, or with one.

    Attributes:
        asked: Names chosen by hosts that calls under way ask for, in lower case.
    """

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._ids: dict[str, int] = {}
        self.asked: set[str] = set()

    def __len__(self) -> int:
        return len(self._names)

    def has(self, runner_id: int | None, name: str | None) -> bool:
        """Whether a runner of this id, or of this name, was given to somebody."""
        return runner_id in self._names or name in self._ids

    def add(self, runner_id: int, name: str) -> None:
        """Note that a runner is handed out."""
        self._names[runner_id] = name
        self._ids[name] = runner_id
        if len(self._names) > MOST:
            self.drop(next(iter(self._names)))

    def drop(self, runner_id: int) -> None:
        """Note that nobody has it: its config was undone."""
        name = self._names.pop(runner_id, None)
        if name is not None and self._ids.get(name) == runner_id:
            del self._ids[name]

    def ask(self, names: Iterable[str]) -> list[str]:
        """Note names that a call asks for, unless another one does; return those. They may have been had before."""
        free = [name for name in names if name.lower() not in self.asked]
        self.asked.update(name.lower() for name in free)
        for name in free:
            self._ids.pop(name, None)
        return free

    def is_asked(self, name: str) -> bool:
        """Whether a call under way asks for a name."""
        return name.lower() in self.asked
