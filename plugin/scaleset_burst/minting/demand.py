"""How many runners a call really needs, as plain functions of what is known."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from scaleset_hookspecs.errors import UsageError
from scaleset_hookspecs.types import ProvisionSettings, ScaleSetRef

__all__ = ["Fleet", "check_count", "needed", "surplus"]

MOST_LIVE = 10_000
"""Runners of one scale set at most: a runner group holds no more (docs.github.com, "Actions limits"). Hosts that never
report an end would else be remembered for ever."""


def check_count(scale_set: ScaleSetRef, count: int, settings: ProvisionSettings) -> None:
    """Refuse a count that can never be right, before anything is sent.

    Raises:
        UsageError: Below 1, over the host's maximum, or not that of the names; or deadline or work folder can be none.
    """
    if type(count) is not int or count < 1:  # bool is an int, and no count
        raise UsageError(f"provision_runners for {scale_set.name}: count is {count!r}; expected a whole number from 1")
    if settings.max_runners is not None and count > settings.max_runners:
        raise UsageError(
            f"provision_runners for {scale_set.name}: count is {count}; its maximum is {settings.max_runners}"
        )
    if settings.deadline is not None and settings.deadline <= 0:
        raise UsageError(
            f"provision_runners for {scale_set.name}: deadline is {settings.deadline} s; expected more than 0"
        )
    if settings.names is not None and len(settings.names) != count:
        raise UsageError(
            f"provision_runners for {scale_set.name}: count is {count}, and {len(settings.names)} names are given"
        )
    folder = settings.work_folder
    if folder is not None and not folder.isprintable():
        raise UsageError(
            f"provision_runners for {scale_set.name}: work_folder is {folder!r}; expected one line of whole characters"
        )


def needed(count: int, desired: int | None, live: int, under_way: int) -> int:
    """Return how many of `count` must be minted.

    Without `desired` the host's number stands. With it, runners already delivered (`live`) and those being minted for
    other calls (`under_way`) count: repeating a demand mints nothing new.
    """
    if desired is None:
        return count
    return max(0, min(count, desired - live - under_way))


def surplus(desired: int, live: int, under_way: int) -> int:
    """Return how many of those under way are no longer wanted when `desired` runners are wanted in all."""
    return max(0, min(under_way, live + under_way - desired))


@dataclass(slots=True)
class Fleet:
    """The runners of one scale set that were delivered and have not ended, as far as the host told us.

    Attributes:
        names: Runner name to the monotonic time of its delivery, and its id.
        ids: The other way round.
        reconciled_at: When they were last compared with the service's list.
        missed_at: When a look by name first missed a runner that no look has shown since.
    """

    names: dict[str, tuple[float, int]] = field(default_factory=dict)
    ids: dict[int, str] = field(default_factory=dict)
    reconciled_at: float | None = None
    missed_at: dict[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return how many are live."""
        return len(self.names)

    def add(self, name: str, runner_id: int, now: float) -> None:
        """Note a delivered runner; the oldest goes when there are more than can be registered."""
        if len(self.names) >= MOST_LIVE:
            self.drop(next(iter(self.names)), None)
        self.names[name] = (now, runner_id)
        self.ids[runner_id] = name

    def drop(self, name: str | None, runner_id: int | None) -> None:
        """Note that a runner has ended; unknown ones are ignored."""
        known = name or (self.ids.get(runner_id) if runner_id is not None else None)
        entry = None if known is None else self.names.pop(known, None)
        if known is not None and entry is not None:
            self.ids.pop(entry[1], None)
            self.missed_at.pop(known, None)

    def unlisted(self, listed: Iterable[str], now: float, grace: float) -> list[str]:
        """Return the runners that a list of the service does not show; those delivered a moment ago are left out.

        A list may be cut, paged or behind, so that is no proof that they have ended.
        """
        shown = {name.lower() for name in listed}
        for name in [name for name in self.missed_at if name.lower() in shown]:
            del self.missed_at[name]
        self.reconciled_at = now
        return [name for name, (since, _) in self.names.items() if name.lower() not in shown and now - since > grace]

    def looked_up(self, name: str, now: float, apart: float, *, there: bool) -> None:
        """Note a look by name; drop a runner that all looks since one `apart` seconds ago have missed.

        A host that never reports the end of its runners would otherwise be refused new ones for ever.
        """
        if there:
            self.missed_at.pop(name, None)
        elif now - self.missed_at.setdefault(name, now) >= apart:
            self.drop(name, None)
