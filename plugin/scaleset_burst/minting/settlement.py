"""What each answer to a mint means for its slot, its name, the limits and the journal."""

from __future__ import annotations

import asyncio
import logging
import random as random_module
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from scaleset_burst.journal import Change, State
from scaleset_burst.limits.admission import FREE_FAILURES, Admission
from scaleset_burst.limits.classification import ClassifiedFailure, FailureClass, classify
from scaleset_burst.minting.call import Slot
from scaleset_burst.minting.delivery import Arrival, Deliverer, Names
from scaleset_burst.minting.dispatcher import Result
from scaleset_burst.minting.given import Given
from scaleset_burst.minting.ledger import BurstLedger
from scaleset_burst.minting.queue import Attempt, MintQueue
from scaleset_burst.minting.resolver import Resolver
from scaleset_burst.minting.unresolved import FIRST_LOOKUP, UnresolvedMint
from scaleset_client.clock import Clock
from scaleset_client.failures import SliceRefused
from scaleset_client.types import MintedRunner
from scaleset_hookspecs.errors import NotFound, ScalesetError, ServiceError, Unavailable
from scaleset_hookspecs.types import FailureReason, JitConfig, MintFailure

__all__ = ["Settlement"]

logger = logging.getLogger(__name__)

FIRST_BACKOFF = 0.2
LONGEST_BACKOFF = 5.0
REPEATED = 3
"""Refusals in a row that are believed, where the service does not name the reason."""


@dataclass(slots=True)
class Aftermath:
    """What one answered request leaves to be done.

    Attributes:
        retried: Slots to be sent again, before all others.
        mints: Names that may be registered.
        backs_off: The service showed that it has too much to do.
    """

    retried: list[Slot] = field(default_factory=list)
    mints: list[str] = field(default_factory=list)
    backs_off: bool = False


class Settlement:
    """Carries out the failure classes. Every method changes state in one step on the loop; I/O is left to others."""

    def __init__(
        self,
        *,
        admission: Admission,
        clock: Clock,
        random: random_module.Random,
        max_attempts: int,
        names: Names,
        resolver: Resolver,
        given: Given,
        deliverer: Deliverer,
        ledger: BurstLedger,
        re_resolve: Callable[[MintQueue], Awaitable[int]],
        on_minted: Callable[[JitConfig], None],
    ) -> None:
        self._admission = admission
        self._clock = clock
        self._random = random
        self._max_attempts = max_attempts
        self._names = names
        self._resolver = resolver
        self._given = given
        self._deliverer = deliverer
        self._ledger = ledger
        self._re_resolve = re_resolve
        self._on_minted = on_minted
        self._healing: set[asyncio.Task[None]] = set()
        self.pump: Callable[[MintQueue], None] = lambda _: None

    def settle(self, attempt: Attempt, results: Sequence[Result], now: float) -> None:
        """Settle one request: each of its names, and what it tells about the service."""
        first = results[0]
        given, name = self._given, attempt.names[0]
        if isinstance(first, MintedRunner) and len(results) == 1 and not given.has(first.runner.id, name):
            # The short way, which most go.
            self._admission.minted(attempt, 1, now)
            self._ledger.minted(attempt)
            attempt.queue.minted()
            self._minted(attempt, attempt.slots[0], name, first, now)
            return
        if isinstance(first, SliceRefused):
            self._slice_refused(attempt, first, now)
            return
        results = self._believed(attempt, results)
        classes = [None if isinstance(result, MintedRunner) else classify(result) for result in results]
        self._admission.learn(attempt, classes, results, now)
        if any(classified is not None and classified.told_to_wait for classified in classes):
            self._names.pause(self._admission.budget.pause_left(now))
        self._ledger.answered(attempt, classes)
        aftermath = Aftermath()
        for slot, name, result, classified in zip(attempt.slots, attempt.names, results, classes, strict=True):
            if isinstance(result, MintedRunner):
                attempt.queue.minted()
                self._minted(attempt, slot, name, result, now)
            elif classified is not None:
                self._failed(attempt, slot, name, classified, result, aftermath)
        self._refused_for_all(attempt, classes, results, now)
        if aftermath.mints:
            self._keep_unresolved(attempt, aftermath.mints, now)
        if aftermath.backs_off:
            self._back_off(attempt, now)
        attempt.queue.push_back(aftermath.retried)
        if (error := self._admission.circuit_opened()) is not None:
            failure = MintFailure(reason=FailureReason.UNAVAILABLE, message=str(error), retry_after=error.retry_after)
            _fail_all(attempt.queue, error, failure)

    def _slice_refused(self, attempt: Attempt, error: SliceRefused, now: float) -> None:
        """Put everything back: nothing was registered, and the service does not take slices (any more)."""
        self._admission.slice_refused(attempt, now)
        for slot in attempt.slots:
            slot.attempts -= 1
        self._unused(attempt, attempt.names)
        attempt.queue.push_back(attempt.slots)
        if self._admission.slicing.mode == "always":
            logger.warning("the service refuses slices, so each runner is asked for alone: %s", error)

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

    def _minted(self, attempt: Attempt, slot: Slot, name: str, minted: MintedRunner, now: float) -> None:
        if minted.runner.name != name:  # from here on the service's spelling counts, as it does for the host
            self._names.note([Change(name=name, state=State.CLOSED)])
        config = JitConfig(
            runner_id=minted.runner.id,
            runner_name=minted.runner.name,
            scale_set=attempt.queue.ref_of(attempt.scale_set_id),
            encoded=minted.encoded_jit_config,
            minted_at=self._clock.time(),
        )
        self._on_minted(config)
        if not slot.wanted:
            self._deliverer.reject(config)
            return
        slot.claimed = True
        self._given.add(config.runner_id, name)
        blocked = self._admission.closed_seconds(now) - slot.blocked
        self._deliverer.add(Arrival(slot, config, attempt, now, blocked))

    def _failed(
        self,
        attempt: Attempt,
        slot: Slot,
        name: str,
        classified: ClassifiedFailure,
        error: ServiceError,
        aftermath: Aftermath,
    ) -> None:
        slot.first_sent_at = slot.first_sent_at or attempt.sent_at
        rejected = classified.failure_class is FailureClass.ITEM_REJECTED
        if classified.unresolved:
            aftermath.mints.append(name)
        elif rejected:  # it may be for the name
            self._names.note([Change(name=name, state=State.CLOSED)])
        else:
            self._unused(attempt, [name])
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
            slot.call.settle(slot, _failure(reason, error))
            return
        aftermath.retried.append(slot)
        aftermath.backs_off |= classified.overload and classified.failure_class is not FailureClass.THROTTLED

    def _unused(self, attempt: Attempt, names: Sequence[str]) -> None:
        """Keep names that were never registered for another try, if a call has a use for them."""
        left = attempt.queue.keep(attempt.scale_set_id, attempt.slots[0].call.name_prefix, names)
        self._names.note([Change(name=name, state=State.CLOSED) for name in left])

    def _keep_unresolved(self, attempt: Attempt, names: Sequence[str], now: float) -> None:
        """Hand names that may be registered to the resolver; the burst goes on without waiting for it.

        A name that somebody has is not among them: its runner is in use.
        """
        names = [name for name in names if not self._given.has(None, name)]
        self._names.note(
            [Change(name=name, state=State.AMBIGUOUS, scale_set_id=attempt.scale_set_id) for name in names]
        )
        mint = UnresolvedMint(
            name="",
            scale_set_id=attempt.scale_set_id,
            next_at=now + FIRST_LOOKUP,
            held_until=self._admission.held_until(now),
        )
        self._resolver.add(replace(mint, name=name) for name in names)

    def _refused_for_all(
        self, attempt: Attempt, classes: Sequence[ClassifiedFailure | None], results: Sequence[Result], now: float
    ) -> None:
        """Decide what refusals mean for the scale set: named ones at once, others when they are repeated.

        A 404 has the scale set looked up, and counts if it is gone; one router's would else end a burst of 300.
        """
        queue = attempt.queue
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
                self._reject_queue(queue, error)
            elif attempt.scale_set_id == queue.scale_set_id and not queue.held:
                queue.held = True
                task = asyncio.create_task(self._heal(queue, error), name="re-resolve scale set")
                self._healing.add(task)
                task.add_done_callback(self._healing.discard)

    def _reject_queue(self, queue: MintQueue, error: ScalesetError) -> None:
        failure = MintFailure(reason=FailureReason.REJECTED, message=str(error))
        if isinstance(error, ServiceError):
            reason = FailureReason.UNAVAILABLE if isinstance(error, Unavailable) else FailureReason.REJECTED
            failure = _failure(reason, error)
        _fail_all(queue, error, failure)

    async def _heal(self, queue: MintQueue, error: ServiceError) -> None:
        """Resolve a scale set that was deleted, and perhaps created again, under its name; once per dead id."""
        dead = queue.scale_set_id
        try:
            stale = queue.aim(await self._re_resolve(queue))
            self._names.note([Change(name=name, state=State.CLOSED) for name in stale])
        except ScalesetError as failure:
            self._reject_queue(queue, failure)
        except Exception as failure:
            logger.exception("the scale set %s could not be resolved once more", queue.ref.name)
            self._reject_queue(queue, Unavailable(f"resolving the scale set failed: {type(failure).__name__}"))
        else:
            if queue.scale_set_id != dead:
                queue.refusals = 0
            elif queue.refusals >= REPEATED:  # it is there, and yet it is not
                self._reject_queue(queue, error)
        finally:
            queue.held = False
        self.pump(queue)

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


def _fail_all(queue: MintQueue, error: Exception, failure: MintFailure) -> None:
    for call in tuple(queue.calls):
        call.fail(error, failure)


def _failure(reason: FailureReason, error: ServiceError) -> MintFailure:
    return MintFailure(
        reason=reason,
        message=str(error),
        retry_after=error.retry_after,
        status=error.status,
        request_id=error.request_id,
    )
