"""How full runner groups are: a full one refuses registrations, so that jobs wait and nobody knows why."""

from collections import Counter, defaultdict

from scaleset_hookspecs import ScaleSetRef

__all__ = ["GroupCapacity"]

WARN_SHARE = 0.8
CALM_SHARE = 0.7
"""Below this share a group is calm again, and the next rise is said again."""


class GroupCapacity:
    """Counts runners by group: what the service counted last for each scale set, and our mints since.

    What it knows is the least that a group holds: scale sets that this host does not serve are not counted.
    """

    def __init__(self, capacity: int) -> None:
        """Start with empty groups.

        Args:
            capacity: Runners that a group can hold: 10,000 at GitHub (docs.github.com, "Actions limits").
        """
        self.capacity = capacity
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._warned: set[str] = set()
        self._last: tuple[ScaleSetRef, Counter[str], str] | None = None

    def held(self, runner_group: str) -> int:
        """Return how many runners the group holds at least."""
        return sum(self._counts.get(runner_group.lower(), {}).values())

    def counted(self, scale_set: ScaleSetRef, registered: int) -> str | None:
        """Note what the service counted; return a warning once when the group becomes nearly full."""
        group, name = self._of(scale_set)
        group[name] = registered
        return self._judge(scale_set, group)

    def minted(self, scale_set: ScaleSetRef, count: int = 1) -> str | None:
        """Note registrations of ours; return a warning once when the group becomes nearly full."""
        group, name = self._of(scale_set)
        group[name] += count
        return self._judge(scale_set, group)

    def _of(self, scale_set: ScaleSetRef) -> tuple[Counter[str], str]:
        """Return the group's counts and the scale set's name among them; a burst asks a thousand times for one."""
        last = self._last
        if last is None or last[0] is not scale_set:
            counts = self._counts[scale_set.runner_group.lower()]
            last = self._last = scale_set, counts, scale_set.name.lower()
        return last[1:]

    def _judge(self, scale_set: ScaleSetRef, counts: Counter[str]) -> str | None:
        held = sum(counts.values())
        if held < self.capacity * CALM_SHARE:
            if self._warned:
                self._warned.discard(scale_set.runner_group.lower())
            return None
        group = scale_set.runner_group.lower()
        if held < self.capacity * WARN_SHARE or group in self._warned:
            return None
        self._warned.add(group)
        return (
            f"the runner group {scale_set.runner_group!r} holds at least {held} of {self.capacity} runners; when it is "
            f"full the service refuses new ones: remove offline runners, or move scale sets to another group"
        )
