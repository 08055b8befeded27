"""How full runner groups are: a full one refuses registrations, so that jobs wait and nobody knows why."""

from collections import Counter, defaultdict

from scaleset_hookspecs import ScaleSetRef

__all__ = ["GroupFill"]

WARN_SHARE = 0.8
CALM_SHARE = 0.7
"""Below this share a group is calm again, and the next rise is said again."""


class GroupFill:
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

    def held(self, runner_group: str) -> int:
        """Return how many runners the group holds at least."""
        return sum(self._counts.get(runner_group.lower(), {}).values())

    def counted(self, scale_set: ScaleSetRef, registered: int) -> str | None:
        """Note what the service counted; return a warning once when the group becomes nearly full."""
        self._of(scale_set)[scale_set.name.lower()] = registered
        return self._judge(scale_set)

    def minted(self, scale_set: ScaleSetRef, count: int = 1) -> str | None:
        """Note registrations of ours; return a warning once when the group becomes nearly full."""
        self._of(scale_set)[scale_set.name.lower()] += count
        return self._judge(scale_set)

    def _of(self, scale_set: ScaleSetRef) -> Counter[str]:
        return self._counts[scale_set.runner_group.lower()]

    def _judge(self, scale_set: ScaleSetRef) -> str | None:
        group = scale_set.runner_group.lower()
        held = self.held(group)
        if held < self.capacity * CALM_SHARE:
            self._warned.discard(group)
            return None
        if held < self.capacity * WARN_SHARE or group in self._warned:
            return None
        self._warned.add(group)
        return (
            f"the runner group {scale_set.runner_group!r} holds at least {held} of {self.capacity} runners; when it is "
            f"full the service refuses new ones: remove offline runners, or move scale sets to another group"
        )
