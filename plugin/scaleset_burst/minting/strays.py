"""What to do about a name that may be registered and that nobody will use: pure decisions (protocol 8.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto

from scaleset_burst.github.types import Runner
from scaleset_burst.journal import Orphan

__all__ = ["LOOKS", "Step", "Stray", "adopted", "after_conflict", "after_failure", "after_look", "due"]

LOOKS = (1.0, 5.0, 15.0, 40.0)
"""Seconds after the name went astray at which to look for it; a commit may be under way until the last one."""

BUSY_RETRY = 30.0
"""Seconds before a runner with a job is looked at again (protocol 8.5)."""

BUSY_TRIES = 10


class Step(Enum):
    """What follows from a look."""

    REMOVE = auto()
    """It is ours and unused: remove it."""
    AGAIN = auto()
    """Look again at `Stray.next_at`."""
    CLOSED = auto()
    """Settled: gone, never there, or not ours to touch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stray:
    """A name that went astray.

    Attributes:
        since: Monotonic time when it did.
        runner_id: Its id, if the service told us before it went astray.
        looks: How often it was looked for.
        next_at: Monotonic time of the next look.
        careful: Its config may have been launched by a host that died: only a runner that the service calls offline
            is removed. Otherwise nobody but us ever knew the name.
        held: It takes a place within the limit until it is known whether the dead process registered it.
        found: A look has shown it.
    """

    name: str
    scale_set_id: int
    since: float
    runner_id: int | None = None
    looks: int = 0
    next_at: float = 0.0
    careful: bool = False
    held: bool = False
    found: bool = False


def due(stray: Stray, now: float) -> bool:
    """Whether it is time to look."""
    return now >= stray.next_at


def after_look(stray: Stray, found: Runner | None, now: float) -> tuple[Step, Stray]:
    """Decide what a look-up by name means.

    1. Absent: a commit may still be under way, so look again until the last of `LOOKS`; then it never came to be.
    2. In another scale set: somebody else's runner of the same name; leave it.
    3. Busy or online: somebody uses it; leave it. So too if we must be careful and the service does not say.
    4. Otherwise it is ours (the name's 65 random bits were drawn by us) and unused: remove it.
    """
    if found is None:
        looks = stray.looks + 1
        later = [stray.since + wait for wait in LOOKS if stray.since + wait > now]
        if not later:
            return Step.CLOSED, stray
        return Step.AGAIN, replace(stray, looks=looks, next_at=later[0])
    stray = replace(stray, found=True)
    status = (found.status or "").lower()
    unproven = stray.careful and status != "offline"
    if found.scale_set_id != stray.scale_set_id or found.busy or status == "online" or unproven:
        return Step.CLOSED, stray
    return Step.REMOVE, replace(stray, runner_id=found.id)


def after_conflict(stray: Stray, now: float) -> tuple[Step, Stray]:
    """Decide after `JobStillRunning`: it has a job, so it is in use; look again a few times, then leave it."""
    if stray.looks >= BUSY_TRIES:
        return Step.CLOSED, stray
    return Step.AGAIN, replace(stray, looks=stray.looks + 1, next_at=now + BUSY_RETRY)


def after_failure(stray: Stray, now: float, retry_after: float | None, jitter: Callable[[], float]) -> Stray:
    """Decide when to try again after a look or a removal that failed: never sooner than we were told."""
    wait = max(retry_after or 0.0, min(30.0, 0.5 * 2 ** min(stray.looks, 6)) * (0.5 + jitter()))
    return replace(stray, looks=stray.looks + 1, next_at=now + wait)


def adopted(orphans: Iterable[Orphan], now: float, launch_grace: float, *, hold: int = 0) -> list[Stray]:
    """Return the strays a dead process left: names in doubt at once, delivered configs carefully, after the grace.

    Args:
        orphans: What it left.
        now: Monotonic time.
        launch_grace: Seconds that a delivered config is given to be launched.
        hold: How many names in doubt hold a place each, at most. What was delivered is counted as registered; what was
            in flight is not.
    """
    strays, held = [], 0
    for orphan in orphans:
        holds = not orphan.delivered and held < hold
        held += holds
        strays.append(
            Stray(
                name=orphan.name,
                scale_set_id=orphan.scale_set_id or 0,
                since=now,
                next_at=now + (launch_grace if orphan.delivered else 0.0),
                careful=orphan.delivered,
                held=holds,
            )
        )
    return strays
