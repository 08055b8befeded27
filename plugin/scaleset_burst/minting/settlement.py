"""What each answer to a mint means for its slot, its name, the limits and the journal."""

from __future__ import annotations

import logging
import random as random_module
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from scaleset_burst.journal import Change, State
from scaleset_burst.limits.admission import FREE_FAILURES, Admission
from scaleset_burst.limits.classification import ClassifiedFailure, FailureClass, classify
from scaleset_burst.minting.call import Slot, failure_of
from scaleset_burst.minting.delivery import Arrival
from scaleset_burst.minting.given import Given
from scaleset_burst.minting.ledger import BurstLedger
from scaleset_burst.minting.queue import Attempt
from scaleset_burst.minting.unresolved import FIRST_LOOKUP, UnresolvedMint, unresolved
from scaleset_client.clock import Clock
from scaleset_client.failures import SliceRefused
from scaleset_client.types import MintedRunner
from scaleset_hookspecs.errors import NotFound, ServiceError, Unavailable
from scaleset_hookspecs.types import FailureReason, JitConfig, MintAttempt

__all__ = ["REPEATED", "Result", "Settled", "Settlement"]

logger = logging.getLogger(__name__)

Result = MintedRunner | ServiceError
"""What one name of an attempt came to."""

FIRST_BACKOFF = 0.2
LONGEST_BACKOFF = 5.0
MOST_TRIED = 19
"""Requests of one slot that are told, next to the last one: a limit that is closed for hours refuses many."""

REPEATED = 3
"""Refusals in a row that are believed, where the service does not name the reason."""


@dataclass(slots=True)
class Settled:
    """What one answered request leaves to be done; whoever sent it carries it out.

    Attributes:
        arrivals: Configs of runners that are registered now, each on its way to a caller.
        undeliverable: The same that nobody waits for.
        changes: What the journal is to be told.
        unresolved: Mints that may have registered a runner.
        pause: For how many seconds the service allows no registration, if it said so.
        gone: The service says that the scale set is gone: it has to be looked up again.
    """

    arrivals: Sequence[Arrival] = ()
    undeliverable: Sequence[JitConfig] = ()
    changes: Sequence[Change] = ()
    unresolved: Sequence[UnresolvedMint] = ()
    pause: float | None = None
    gone: ServiceError | None = None


@dataclass(slots=True)
class _Aftermath:
    """What the names of one answered request came to, one after another.

    Attributes:
        retried: Slots to be sent again, before all others.
        unresolved: Names that may be registered.
        backs_off: The service showed that it has too much to do.
    """

    arrivals: list[Arrival] = field(default_factory=list)
    undeliverable: list[JitConfig] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    retried: list[Slot] = field(default_factory=list)
    unresolved: list[tuple[str, Slot]] = field(default_factory=list)
    backs_off: bool = False


class Settlement:
    """Says what answers mean. Every method changes state in one step on the loop; what needs I/O it returns."""

    def __init__(
        self,
        admission: Admission,
        ledger: BurstLedger,
        given: Given,
        *,
        clock: Clock,
        random: random_module.Random,
        max_attempts: int,
    ) -> None:
        self._admission = admission
        self._ledger = ledger
        self._given = given
        self._clock = clock
        self._random = random
        self._max_attempts = max_attempts

    def settle(self, attempt: Attempt, results: Sequence[Result], now: float) -> Settled:
        """Settle one request: each of its names, and what it tells about the service."""
        first, name = results[0], attempt.names[0]
        if isinstance(first, MintedRunner) and len(results) == 1 and not self._given.has(first.runner.id, name):
            # The short way, which most go.
            self._admission.minted(attempt, 1, now)
            self._ledger.minted(attempt)
            attempt.queue.minted()
            slot = attempt.slots[0]
            config = self._config(attempt, slot, first, now)
            settled = Settled()
            if first.runner.name != name:
                settled.changes = (Change(name=name, state=State.CLOSED),)
            if slot.wanted:
                settled.arrivals = (self._claimed(attempt, slot, name, config, now),)
            else:
                settled.undeliverable = (config,)
            return settled
        if isinstance(first, SliceRefused):
            return self._slice_refused(attempt, first, now)
        results = self._believed(attempt, results)
        classes = [None if isinstance(result, MintedRunner) else classify(result) for result in results]
        self._admission.learn(attempt, classes, results, now)
        told = any(classified is not None and classified.told_to_wait for classified in classes)
        self._ledger.answered(attempt, classes)
        aftermath = _Aftermath()
        for slot, name, result, classified in zip(attempt.slots, attempt.names, results, classes, strict=True):
            if isinstance(result, MintedRunner):
                attempt.queue.minted()
                self._minted(attempt, slot, name, result, now, aftermath)
            elif classified is not None:
                self._tried(attempt, slot, classified.failure_class.value, now)
                self._failed(attempt, slot, name, classified, result, aftermath)
        gone = self._refused_for_all(attempt, classes, results, now)
        unresolved = self._unresolved(attempt, aftermath, now)
        if aftermath.backs_off:
            self._back_off(attempt, now)
        attempt.queue.push_back(aftermath.retried)
        if (error := self._admission.circuit_opened()) is not None:
            attempt.queue.fail(error)
        return Settled(
            arrivals=aftermath.arrivals,
            undeliverable=aftermath.undeliverable,
            changes=aftermath.changes,
            unresolved=unresolved,
            pause=self._admission.budget.pause_left(now) if told else None,
            gone=gone,
        )

    def _slice_refused(self, attempt: Attempt, error: SliceRefused, now: float) -> Settled:
        """Put everything back: nothing was registered, and the service does not take slices (any more)."""
        self._admission.slice_refused(attempt, now)
        for slot in attempt.slots:
            slot.attempts -= 1
        changes = _unused(attempt, attempt.slots, attempt.names)
        attempt.queue.push_back(attempt.slots)
        if self._admission.slicing.mode == "always":
            logger.warning("the service refuses slices, so each runner is asked for alone: %s", error)
        return Settled(changes=changes)

    def _believed(self, attempt: Attempt, results: Sequence[Result]) -> list[Result]:
        """Take a runner that somebody has already for no answer at all: whether another one is registered is open."""
        believed: list[Result] = []
        here: set[int] = set()
        for result, name in zip(results, attempt.names, strict=True):
            if isinstance(result, MintedRunner):
                number = result.runner.id
                if number in here or self._given.has(number, name):
                    logger.error("the answer for %s is the runner %d, which was handed out already", name, number)
                    believed.append(Unavailable("the answer is a runner that was handed out", maybe_applied=True))
                    continue
                here.add(number)
            believed.append(result)
        return believed

    def _minted(
        self, attempt: Attempt, slot: Slot, name: str, minted: MintedRunner, now: float, aftermath: _Aftermath
    ) -> None:
        if minted.runner.name != name:  # from here on the service's spelling counts, as it does for the host
            aftermath.changes.append(Change(name=name, state=State.CLOSED))
        config = self._config(attempt, slot, minted, now)
        if slot.wanted:
            aftermath.arrivals.append(self._claimed(attempt, slot, name, config, now))
        else:
            aftermath.undeliverable.append(config)

    def _config(self, attempt: Attempt, slot: Slot, minted: MintedRunner, now: float) -> JitConfig:
        self._tried(attempt, slot, "minted", now)
        return JitConfig(
            runner_id=minted.runner.id,
            runner_name=minted.runner.name,
            scale_set=attempt.queue.ref_of(attempt.scale_set_id),
            encoded=minted.encoded_jit_config,
            minted_at=self._clock.time(),
            attempts=slot.tried,
        )

    def _tried(self, attempt: Attempt, slot: Slot, result: str, now: float) -> None:
        trace, seconds = attempt.trace, now - attempt.sent_at
        one = MintAttempt(
            started_at=self._clock.time() - seconds,
            seconds=seconds,
            result=result,
            token=trace.token,
            connect=trace.connect,
            status=trace.status,
            request_id=trace.request_id,
        )
        slot.tried = (*slot.tried[-MOST_TRIED:], one) if slot.tried else (one,)

    def _claimed(self, attempt: Attempt, slot: Slot, name: str, config: JitConfig, now: float) -> Arrival:
        slot.claimed = True
        self._given.add(config.runner_id, name)
        return Arrival(slot, config, attempt, now, self._admission.closed_seconds(now) - slot.blocked)

    def _failed(
        self,
        attempt: Attempt,
        slot: Slot,
        name: str,
        classified: ClassifiedFailure,
        error: ServiceError,
        aftermath: _Aftermath,
    ) -> None:
        rejected = classified.failure_class is FailureClass.ITEM_REJECTED
        slot.unanswered |= classified.failure_class is FailureClass.AMBIGUOUS
        if classified.unresolved or (slot.name and slot.unanswered and not slot.wanted):
            aftermath.unresolved.append((name, slot))
        elif rejected and not slot.name:  # it may be for the name
            aftermath.changes.append(Change(name=name, state=State.CLOSED))
        else:
            aftermath.changes += _unused(attempt, [slot], [name])
        if not slot.wanted:
            return
        full = classified.refusal and attempt.queue.failures <= FREE_FAILURES
        explained = classified.failure_class is FailureClass.BATCH_REJECTED and classified.named
        free = classified.failure_class is FailureClass.THROTTLED or attempt.never_left or full or explained
        slot.attempts -= free  # it was too early for it, the limit was too high, or the scale set is looked up
        if slot.in_flight:
            return  # it is asked for under another name, too, whose answer decides
        slot.refusals += rejected
        final = rejected and (classified.named or slot.refusals >= REPEATED)
        if final or (slot.attempts >= self._max_attempts and not free):
            refused = rejected or classified.failure_class is FailureClass.BATCH_REJECTED
            reason = FailureReason.REJECTED if refused else FailureReason.UNAVAILABLE
            slot.call.settle(slot, failure_of(reason, error))
            return
        if slot.name and classified.unresolved:
            slot.resolving = True
        else:
            aftermath.retried.append(slot)
        aftermath.backs_off |= classified.overload and classified.failure_class is not FailureClass.THROTTLED

    def _unresolved(self, attempt: Attempt, aftermath: _Aftermath, now: float) -> list[UnresolvedMint]:
        """Note names that may be registered. One that somebody has is not among them: its runner is in use."""
        mints, held_until = list[UnresolvedMint](), self._admission.held_until(now)
        for name, slot in aftermath.unresolved:
            if self._given.has(None, name):
                continue
            mint = unresolved(slot, name, attempt.scale_set_id, now, self._clock.time())
            mints.append(replace(mint, next_at=now + FIRST_LOOKUP, held_until=held_until))
            change = Change(name=name, state=State.AMBIGUOUS, scale_set_id=attempt.scale_set_id)
            aftermath.changes.append(change)
        return mints

    def _refused_for_all(
        self, attempt: Attempt, classes: Sequence[ClassifiedFailure | None], results: Sequence[Result], now: float
    ) -> ServiceError | None:
        """Decide what refusals mean for the scale set: named ones at once, others when they are repeated.

        A 404 has the scale set looked up, and counts if it is gone; one router's would else end a burst of 300. It is
        returned, once until that is done.
        """
        queue, gone = attempt.queue, None
        for classified, error in zip(classes, results, strict=True):
            if (
                classified is None
                or classified.failure_class is not FailureClass.BATCH_REJECTED
                or not isinstance(error, ServiceError)
            ):
                continue
            repeated = queue.refused(attempt.sent_at, now) >= REPEATED
            if not repeated and not classified.named:
                continue
            if not isinstance(error, NotFound):
                queue.fail(error)
            elif attempt.scale_set_id == queue.scale_set_id and not queue.held:
                queue.held = True
                gone = error
        return gone

    def _back_off(self, attempt: Attempt, now: float) -> None:
        """Let a queue whose mints fail wait a little longer each time; one wave counts as one failure."""
        queue = attempt.queue
        if attempt.sent_at < max(queue.failed_at, queue.opens_at):
            return
        queue.failures += 1
        queue.failed_at = now
        if queue.failures > FREE_FAILURES:
            wait = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** (queue.failures - FREE_FAILURES - 1))
            queue.opens_at = now + wait * (0.5 + self._random.random())


def _unused(attempt: Attempt, slots: Sequence[Slot], names: Sequence[str]) -> list[Change]:
    """Keep names that were never registered for another try, if a call has a use for them; close the others."""
    if slots[0].name:
        left = [name for slot, name in zip(slots, names, strict=True) if slot.call.over]
    else:
        left = list(attempt.queue.keep(attempt.scale_set_id, slots[0].call.name_prefix, names))
    return [Change(name=name, state=State.CLOSED) for name in left]
