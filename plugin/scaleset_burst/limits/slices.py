"""Whether several settings travel in one request (architecture section 6, level 3): pure state."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

__all__ = ["SliceState", "Slicing"]


class SliceState(Enum):
    """What is known of the service."""

    UNTRIED = auto()
    TRYING = auto()
    ACCEPTED = auto()
    REFUSED = auto()


@dataclass(slots=True)
class Slicing:
    """The scope's knowledge of slices, and the decision that follows from it."""

    mode: Literal["never", "auto", "always"]
    size: int
    state: SliceState = SliceState.UNTRIED

    def take(self, waiting: int) -> int:
        """Return how many settings the next request may carry; 0: wait for the trial's answer.

        `auto` tries once per scope, and until the answer is known nothing else is sent: one round trip buys the
        certainty that a burst of N makes ceil(N/size) requests where slices are accepted.
        """
        if self.mode == "never" or self.state is SliceState.REFUSED:
            return min(1, waiting)
        if self.mode == "always" or self.state is SliceState.ACCEPTED:
            return min(self.size, waiting)
        if self.state is SliceState.TRYING:
            return 0
        if waiting < 2:
            return min(1, waiting)
        self.state = SliceState.TRYING
        return min(self.size, waiting)

    @property
    def carries(self) -> int:
        """How many settings one request may carry at most, as far as is known."""
        return 1 if self.mode == "never" or self.state is SliceState.REFUSED else self.size

    def accepted(self) -> None:
        """Note that the service took a slice."""
        self.state = SliceState.ACCEPTED

    def refused(self) -> None:
        """Note that the service does not take slices, or no longer."""
        self.state = SliceState.REFUSED

    def undecided(self) -> None:
        """Note that the trial told nothing (lost, throttled): the next request tries again."""
        if self.state is SliceState.TRYING:
            self.state = SliceState.UNTRIED
