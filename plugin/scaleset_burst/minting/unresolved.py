"""What to do about a name that may be registered and that nobody will use: pure decisions (protocol 8.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from scaleset_burst.journal import LeftoverName
from scaleset_burst.limits.admission import CERTAIN
from scaleset_burst.minting.names import has_drawn_form
from scaleset_client.retrying import doubling
from scaleset_client.types import Runner

if TYPE_CHECKING:
    from scaleset_burst.minting.call import Slot

__all__ = [
    "FIRST_LOOKUP",
    "LOOKUPS",
    "Answering",
    "Step",
    "UnresolvedMint",
    "adopted",
    "after_absence",
    "after_failure",
    "after_list",
    "after_lookup",
    "after_refusal",
    "due",
    "joined",
    "unresolved",
]

LOOKUPS = (5.0, 15.0, 40.0, CERTAIN)
"""Seconds after the first look that missed it at which a name is looked for again."""

FIRST_LOOKUP = 0.5
"""Seconds after a request was given up before its name is looked for."""

REFUSED = 30.0
"""Seconds before a removal that was refused is tried again (protocol 8.5); doubles, up to five minutes."""

SETTLED = 30.0
"""Seconds after a look that failed before another one can be the last: look-ups may lag for a while."""

UNAVAILABLE_AFTER = 3
"""Look-ups in a row that fail, whichever names they were for: then one at a time finds out when that ends."""

OUTAGE = 5.0
"""Seconds without an answer, though somebody asked: then what was said before proves nothing any more."""

LONGEST_WAIT = 30.0

SKEW = 30.0
"""Seconds by which our clock and the service's may differ, as far as we act on it."""


class Step(Enum):
    """What follows from a look."""

    REMOVE = auto()
    """It is ours and unused: remove it."""
    AGAIN = auto()
    """Look again at `UnresolvedMint.next_at`."""
    CLOSED = auto()
    """Settled: gone, or never there."""
    TAKEN = auto()
    """Settled: not ours to touch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnresolvedMint:
    """An unresolved mint: a name that may be registered.

    Attributes:
        runner_id: Its id, if the service told us.
        next_at: Monotonic time of the next look.
        missed_since: When the first of the looks by name was asked that have all missed it since.
        failed_at: When a look or a removal last failed.
        failures: Looks and removals that failed since the service last said that it has no such runner.
        careful: Its config may have been launched by a host that died: only a runner that the service calls offline
            is removed. Otherwise nobody but us ever knew the name.
        starts_until: Until then a machine may be starting with its config: an offline runner is left alone.
        held_until: It takes a place within the limit until it is known whether it is registered, at the latest until
            then: a registration that came as late as can be has left the window. `None`: it takes none.
        found: A look has shown it.
        since: Unix time at which our first request with a name left that the host chose: others may have it, too, and
            then it was registered before. `None`: nobody but us can have the name.
        unanswered: Such a request has had no answer. Else every answer so far was that the name is taken.
        slot: Who waits for the name, to be minted under it again.
    """

    name: str
    scale_set_id: int
    runner_id: int | None = None
    next_at: float = 0.0
    missed_since: float | None = None
    failed_at: float = float("-inf")
    failures: int = 0
    careful: bool = False
    starts_until: float = float("-inf")
    held_until: float | None = None
    found: bool = False
    since: float | None = None
    unanswered: bool = True
    slot: Slot | None = None

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for the name."""
        return self.slot is not None and self.slot.wanted


@dataclass(slots=True)
class Answering:
    """Whether the service answers the resolver at all.

    Attributes:
        failures: Look-ups and removals in a row that failed, whichever names they were for.
        failing_since: Since when nothing was answered though somebody asked.
        answered_at: When it last answered.
        since: When it began to answer again after its last outage. What it said before proves no absence after it.
        waits_until: Nothing is asked before.
    """

    failures: int = 0
    failing_since: float | None = None
    answered_at: float = float("-inf")
    since: float = float("-inf")
    waits_until: float = float("-inf")

    @property
    def unavailable(self) -> bool:
        """Whether it seems not to answer: one look-up at a time finds out."""
        return self.failures >= UNAVAILABLE_AFTER

    def answered(self, now: float) -> None:
        """Note an answer."""
        if self.failing_since is not None and now - self.failing_since >= OUTAGE:
            self.since = now
        self.failures, self.failing_since, self.answered_at = 0, None, now

    def failed(self, asked_at: float, now: float, wait: float, jitter: Callable[[], float]) -> None:
        """Note a failure: wait as long as told, and longer each time if there are several in a row."""
        self.failures += 1
        if self.failing_since is None:
            self.failing_since = max(asked_at, self.answered_at)
        if self.unavailable:
            wait = max(wait, _backoff(self.failures - UNAVAILABLE_AFTER, jitter))
        self.waits_until = max(self.waits_until, now + wait)


def due(mint: UnresolvedMint, now: float) -> bool:
    """Whether it is time to look."""
    return now >= mint.next_at


def unresolved(slot: Slot, name: str, scale_set_id: int, now: float, wall: float) -> UnresolvedMint:
    """Return the unresolved mint of a slot's name; one that the host chose may be somebody else's, and is waited for.

    Args:
        slot: Whose it is.
        name: The name.
        scale_set_id: The scale set it was asked for.
        now: Monotonic time.
        wall: Unix time.
    """
    if slot.name is None:
        return UnresolvedMint(name=name, scale_set_id=scale_set_id)
    since = wall - (now - slot.first_sent_at) if slot.first_sent_at is not None else wall
    waits = slot if slot.resolving else None
    mint = UnresolvedMint(name=name, scale_set_id=scale_set_id, since=since, unanswered=slot.unanswered, slot=waits)
    return replace(mint, next_at=now)


def after_lookup(
    mint: UnresolvedMint, found: Runner | None, asked_at: float, *, answering_since: float = float("-inf")
) -> tuple[Step, UnresolvedMint]:
    """Decide what a look-up by name means.

    1. Absent: if somebody waits for the name it may be asked for again, since no two runners can have it. Else it never
       came to be only if every look by name has missed it for `CERTAIN` seconds, with no outage among them, and none
       that failed in the last `SETTLED` of them (`after_failure`).
    2. In another scale set, or registered before we asked: somebody else's runner of the same name; leave it.
    3. Busy or online: somebody uses it; leave it. So too if we must be careful and the service does not say.
    4. Offline, but its machine may still be starting: look again when the time for that is over.
    5. Otherwise it is ours (the name's 65 random bits were drawn by us) and unused: remove it.
    """
    if found is None and mint.awaited:
        return Step.CLOSED, mint
    if found is None:
        since = mint.missed_since
        if since is None or since < answering_since:
            since = asked_at
        settled = mint.failed_at + SETTLED
        if asked_at >= max(since + CERTAIN, settled):
            return Step.CLOSED, mint
        later = _next_lookup(since, asked_at) if asked_at < since + CERTAIN else settled
        return Step.AGAIN, replace(mint, missed_since=since, failures=0, next_at=later)
    mint = replace(mint, found=True, missed_since=None)
    status = (found.status or "").lower()
    unproven = mint.careful and status != "offline"
    in_use = found.busy or status == "online" or unproven
    if found.scale_set_id != mint.scale_set_id or in_use or not _may_be_ours(mint, found):
        return Step.TAKEN, mint
    if asked_at < mint.starts_until:
        return Step.AGAIN, replace(mint, next_at=mint.starts_until)
    return Step.REMOVE, replace(mint, runner_id=found.id)


def _may_be_ours(mint: UnresolvedMint, found: Runner) -> bool:
    """Whether a runner of the name may come from a request of ours: it is registered since, if the service says when.

    Where no answer is missing, only a request that was sent twice on the way can have registered it: then our clock has
    to be right. Where one is missing it most probably did, and clocks may differ.
    """
    if mint.since is None:
        return True
    if found.created_at is None:
        return mint.unanswered
    return found.created_at > mint.since - (SKEW if mint.unanswered else 0.0)


def after_list(mint: UnresolvedMint, now: float) -> UnresolvedMint:
    """Decide about a name that a list of all runners does not show: a list may be cut, paged or behind.

    It proves nothing, but saves a look by name where none is decisive: where it is neither the first nor the last.
    """
    since = mint.missed_since
    if since is None or now >= since + CERTAIN:
        return mint
    return replace(mint, next_at=_next_lookup(since, now))


def joined(known: UnresolvedMint, mint: UnresolvedMint) -> UnresolvedMint:
    """Return a mint of a name that is being resolved already: who waits for it, and what is known of it, still hold."""
    slot = mint.slot or known.slot
    if slot is None:
        return mint
    since = None if known.since is None or mint.since is None else min(known.since, mint.since)
    starts = max(known.starts_until, mint.starts_until)
    careful, unanswered = known.careful or mint.careful, known.unanswered or mint.unanswered
    return replace(mint, slot=slot, since=since, unanswered=unanswered, careful=careful, starts_until=starts)


def after_failure(mint: UnresolvedMint, now: float, wait: float, jitter: Callable[[], float]) -> UnresolvedMint:
    """Decide when to try again after a look or a removal that failed: never sooner than we were told.

    Who must be careful looks again before the next removal: the machine may have started meanwhile.
    """
    later = now + max(wait, _backoff(mint.failures, jitter))
    runner_id = None if mint.careful else mint.runner_id
    return replace(mint, failures=mint.failures + 1, failed_at=now, runner_id=runner_id, next_at=later)


def after_refusal(mint: UnresolvedMint, now: float, jitter: Callable[[], float]) -> UnresolvedMint:
    """Decide after a refused removal: it has a job (`JobStillRunning`), or we may not; the next look shows more."""
    wait = doubling(REFUSED, 10 * REFUSED, mint.failures + 1)
    return replace(after_failure(mint, now, wait, jitter), runner_id=None)


def after_absence(mint: UnresolvedMint, now: float, jitter: Callable[[], float]) -> UnresolvedMint:
    """Decide after a removal that found nothing: it is gone, or does not show yet. That is for looks by name to say."""
    return replace(after_failure(mint, now, 0.0, jitter), runner_id=None)


def adopted(
    leftovers: Iterable[LeftoverName], now: float, launch_grace: float, *, hold: int = 0, held_until: float = 0.0
) -> list[UnresolvedMint]:
    """Return the unresolved mints a dead process left: looked for at once, and removed with care, after the grace only.

    What is proven unused needs no care. Of the others, that a config was handed out may not have reached the disk: it
    was full or locked, or the file is an older copy of itself.

    Args:
        leftovers: What it left.
        now: Monotonic time.
        launch_grace: Seconds that a config is given to be launched.
        hold: How many of the unresolved hold a place each, at most. What was delivered is counted as registered; what
            was in flight is not.
        held_until: Until when at the latest.
    """
    mints, held = [], 0
    for leftover in leftovers:
        ours = leftover.unused and has_drawn_form(leftover.name)  # one that a host chose may be somebody else's
        holds = not leftover.delivered and held < hold
        held += holds
        mints.append(
            UnresolvedMint(
                name=leftover.name,
                scale_set_id=leftover.scale_set_id or 0,
                next_at=now + (launch_grace if leftover.delivered else 0.0),
                careful=not ours,
                starts_until=float("-inf") if ours else now + launch_grace,
                held_until=held_until if holds else None,
            )
        )
    return mints


def _next_lookup(since: float, now: float) -> float:
    return next((since + wait for wait in LOOKUPS if since + wait > now), now)


def _backoff(failures: int, jitter: Callable[[], float]) -> float:
    return doubling(0.5, LONGEST_WAIT, failures + 1) * (0.5 + jitter())
