"""Keeps labels bounded: a label that can take any value makes a time series of each."""

from collections.abc import Iterable

from scaleset_hookspecs import FailureReason

__all__ = ["MOST_SCALE_SETS", "OTHER", "OUTCOMES", "Bounded"]

MOST_SCALE_SETS = 50
MOST_REQUEST_KINDS = 40
OTHER = "other"

OUTCOMES = frozenset({"minted", *(reason.value for reason in FailureReason)})
"""What the label `outcome` may say, besides `other`."""


class Bounded:
    """Which values have a label of their own; all others share `other`."""

    def __init__(self, scale_sets: Iterable[str] = (), most: int = MOST_SCALE_SETS) -> None:
        """Start with the scale sets that are configured.

        Args:
            scale_sets: Names that have a label of their own in any case, up to `most`.
            most: Scale sets with a label of their own; names seen later fill what is left, first come first served.
        """
        self._most = most
        self._scale_sets = dict.fromkeys(list(dict.fromkeys(scale_sets))[:most])
        self._kinds: dict[str, None] = {}

    @property
    def named(self) -> tuple[str, ...]:
        """The scale sets that have a label of their own so far."""
        return tuple(self._scale_sets)

    def scale_set(self, name: str) -> str:
        """Return the label of a scale set."""
        return _label(self._scale_sets, name, self._most)

    def request_kind(self, kind: str) -> str:
        """Return the label of a kind of request."""
        return _label(self._kinds, kind, MOST_REQUEST_KINDS)


def _label(known: dict[str, None], value: str, most: int) -> str:
    if value not in known:
        if len(known) >= most:
            return OTHER
        known[value] = None
    return value
