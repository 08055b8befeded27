"""One call of `provision_runners`: N slots, each of which ends with exactly one outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from scaleset_hookspecs.errors import ServiceError
from scaleset_hookspecs.types import (
    FailureReason,
    JitConfig,
    MintAttempt,
    MintFailure,
    OnReady,
    Outcome,
    ProvisionSettings,
)

if TYPE_CHECKING:
    from scaleset_burst.minting.queue import MintQueue

__all__ = ["GIVEN", "Call", "Slot", "failure_of", "taken"]

GIVEN = ""
"""The prefix of names that hosts choose: no other has it, and none is drawn with it."""


@dataclass(slots=True, eq=False)
class Slot:
    """One of the N asked for, with the times (monotonic seconds) its report is made of.

    Attributes:
        queued: It stands in its queue's queue: never twice, or it would be minted twice.
        attempts: Requests sent for it so far, hedges included.
        refusals: Refusals so far that were not explained.
        blocked: Seconds the budget had been closed, as counted when the slot was queued.
        claimed: A config is on its way to the caller; from then on only its delivery can fail.
        name: The name that the host chose for it, if it did: it is asked for under no other.
        unanswered: A request with that name may have registered a runner, or may yet.
        resolving: The resolver has the name: nothing is sent for the slot until that is done.
        tried: The last requests sent for it and answered.
    """

    call: Call
    index: int
    queued_at: float
    queued: bool = False
    blocked: float = 0.0
    attempts: int = 0
    refusals: int = 0
    in_flight: int = 0
    first_sent_at: float | None = None
    claimed: bool = False
    name: str | None = None
    unanswered: bool = False
    resolving: bool = False
    tried: tuple[MintAttempt, ...] = ()

    @property
    def wanted(self) -> bool:
        """Whether a config minted now could still be given to somebody."""
        return self.call.outcomes[self.index] is None and not self.claimed and not self.call.over


class Call:
    """The state of one call; ends when every slot has an outcome, or with one error for all.

    Outcomes stand in request order. `ended` is set once, when the call is `over`; what arrives later has nobody to go
    to. `hedged` counts the slots asked for twice because their first answer was late; `delivering` the configs that the
    host was given and has not taken yet, if it limits them; `asked` the names that it chose and nobody else asks for.
    """

    def __init__(
        self, queue: MintQueue, count: int, settings: ProvisionSettings, on_ready: OnReady | None, now: float
    ) -> None:
        self.queue = queue
        self.settings = settings
        self.on_ready = on_ready
        self.started_at = now
        self.outcomes: list[Outcome | None] = [None] * count
        names = settings.names or (None,) * count
        self.name_prefix = GIVEN if settings.names else settings.name_prefix or queue.name_prefix
        self.remaining = count
        self.ended = asyncio.Event()
        self.over = False
        self.error: Exception | None = None
        self.abandoned = False
        self.hedged = 0
        self.delivering = 0
        self.asked: list[str] = []
        self.told_eta: float | None = None
        self.slots = [Slot(self, index, now, name=name) for index, name in enumerate(names)]

    @property
    def deadline(self) -> float | None:
        """Monotonic time after which nothing more may be delivered, if the host gave one."""
        return None if self.settings.deadline is None else self.started_at + self.settings.deadline

    def settle(self, slot: Slot, outcome: Outcome) -> bool:
        """Give a slot its outcome; `False` if it has one already or nobody waits any more."""
        if self.abandoned or self.error is not None or self.outcomes[slot.index] is not None:
            return False
        if slot.tried and isinstance(outcome, MintFailure):
            outcome = replace(outcome, attempts=slot.tried)
        self.outcomes[slot.index] = outcome
        self.remaining -= 1
        self.queue.settled(self)
        if self.remaining == 0:
            self._end()
        return True

    def fail(self, error: Exception, failure: MintFailure) -> None:
        """End the call: with the error if nothing was minted for it, else with failures for the rest."""
        if self.over:
            return
        if not any(slot.claimed for slot in self.slots):
            self.error = error
            self._end()
            return
        for slot in self.slots:
            if slot.wanted:
                self.settle(slot, failure)

    def refuse(self, slot: Slot, reason: FailureReason, message: str) -> bool:
        """Give a slot a failure that has nothing to do with an answer of the service."""
        return self.settle(slot, MintFailure(reason=reason, message=message))

    def expire(self, now: float) -> None:
        """Fail what is missing, if the deadline has passed."""
        if self.deadline is not None and now >= self.deadline:
            self._miss(FailureReason.DEADLINE, None, self.slots)

    def expire_unsent(self, retry_after: float) -> None:
        """Fail what was not sent: the limits open after the deadline only, in `retry_after` seconds."""
        self._miss(FailureReason.RATE_LIMITED, retry_after, [slot for slot in self.slots if slot.in_flight == 0])

    def _miss(self, reason: FailureReason, retry_after: float | None, slots: Sequence[Slot]) -> None:
        message = f"not minted within the {self.settings.deadline:g} s the host gave"
        for slot in slots:
            if slot.wanted:
                self.settle(slot, MintFailure(reason=reason, message=message, retry_after=retry_after))

    def open_names(self) -> tuple[list[str], list[Slot]]:
        """Return the names chosen by the host that were surely never registered, and the slots whose name may be."""
        ended = [slot for slot in self.slots if slot.name and not (slot.claimed or slot.resolving)]
        unused = [slot.name for slot in ended if slot.name and not (slot.unanswered or slot.in_flight)]
        return unused, [slot for slot in ended if slot.unanswered or slot.in_flight]

    def undelivered(self) -> tuple[JitConfig, ...]:
        """Return the configs the caller never saw: without `on_ready` only the call's end delivers."""
        if self.on_ready is not None:
            return ()
        return tuple(outcome for outcome in self.outcomes if isinstance(outcome, JitConfig))

    def abandon(self) -> None:
        """Note that the caller has gone: whatever is still under way must be undone."""
        self.abandoned = True
        self._end()

    def _end(self) -> None:
        self.over = True
        self.ended.set()

    def result(self) -> tuple[Outcome, ...]:
        """Return the outcomes in request order, or raise the error that ended the call."""
        if self.error is not None:
            raise self.error
        return tuple(outcome for outcome in self.outcomes if outcome is not None)


def taken(name: str) -> str:
    """Say that somebody else has a name that the host chose."""
    return f"another runner is called {name}, and was left alone; choose another name, or remove it if it is a ghost"


def failure_of(reason: FailureReason, error: ServiceError) -> MintFailure:
    """Return the failure of one runner that an answer of the service ended."""
    return MintFailure(
        reason=reason,
        message=str(error),
        retry_after=error.retry_after,
        status=error.status,
        request_id=error.request_id,
    )
