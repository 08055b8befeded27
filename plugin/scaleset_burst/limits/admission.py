"""Whether a mint may leave now: limiter, circuit, slices and budget, asked in that order."""

from __future__ import annotations

import random as random_module
from collections.abc import Sequence
from typing import Protocol

from scaleset_burst.limits.budget import Budget
from scaleset_burst.limits.circuit import Circuit
from scaleset_burst.limits.classification import ClassifiedFailure
from scaleset_burst.limits.concurrency import Limiter, Sent
from scaleset_burst.limits.slices import Slicing
from scaleset_client.types import MintedRunner
from scaleset_hookspecs.errors import Unavailable
from scaleset_hookspecs.types import ScaleSetRef

__all__ = ["CERTAIN", "FREE_FAILURES", "Admission", "Request", "Sender"]


FREE_FAILURES = 2
"""Waves in a row that may fail before a scale set waits: until then refusals are taken for a full service's."""

CERTAIN = 120.0
"""Seconds for which every look-up by name must miss a name before it counts as never registered.

It covers a commit that comes after its request was given up, and a look-up that is answered from a copy which is
behind. No bound is documented. Twice the 60 s after which gateways give a request up, and more than the longest time
that the service has been seen to hold one (88 s, protocol 6.2).
"""


class Sender(Protocol):
    """What the limits know of one scale set that mints."""

    @property
    def ref(self) -> ScaleSetRef:
        """Which it is."""

    @property
    def circuit(self) -> Circuit:
        """Stops what fails for this scale set."""

    @property
    def requests(self) -> int:
        """Its requests in flight."""

    @property
    def failures(self) -> int:
        """Waves in a row that failed."""


class Request(Protocol):
    """What the limits know of one request that was admitted."""

    @property
    def queue(self) -> Sender:
        """Whose it is."""

    @property
    def names(self) -> Sequence[str]:
        """What it asks for."""

    @property
    def sent_at(self) -> float:
        """When it left, in monotonic seconds."""

    @property
    def sent(self) -> Sent:
        """What the concurrency limit knew when it left."""

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for its answer any more."""

    @property
    def never_left(self) -> bool:
        """Whether it was given up while it still waited to be sent."""


class Admission:
    """The shared limits of one scope. Decides without I/O; learns from every answer.

    Each scale set has a circuit breaker of its own, since its failures are its own. One more counts the mints of all:
    while it is open, nothing of any scale set has worked lately. Then each scale set may only try with one request, and
    the first that fails opens its own; the first that succeeds lets every other try at once.
    """

    def __init__(
        self,
        *,
        budget: Budget,
        limiter: Limiter,
        slicing: Slicing,
        random: random_module.Random,
        circuit: Circuit | None = None,
    ) -> None:
        self.budget = budget
        self.limiter = limiter
        self.circuit = circuit or Circuit()
        self.slicing = slicing
        self._random = random
        self._most = limiter.most
        self._in_flight = 0
        self._closed_since: float | None = None
        self._closed_seconds = 0.0
        self._opened: Unavailable | None = None

    def has_room(self, requests_in_flight: int) -> bool:
        """Whether one more request may be in flight."""
        return requests_in_flight < self.limiter.limit

    def share_concurrency(self, working: int, hosts: int) -> None:
        """Share the concurrency limit among the hosts at work; one for each of the others, to begin with."""
        self.limiter.most = max(1, (self._most - (hosts - working)) // max(1, working))

    def has_plenty(self, now: float) -> bool:
        """Whether a quarter of the window's registrations is left, and no pause holds."""
        budget = self.budget
        return budget.paused_until is None and (budget.limit - budget.used_at(now)) * 4 >= budget.limit

    @property
    def in_flight(self) -> int:
        """Return how many mint requests are in flight."""
        return self._in_flight

    @property
    def carries(self) -> int:
        """How many registrations one request may carry at most."""
        return self.slicing.carries

    def queue_opens_at(self, now: float, queue: Sender) -> float:
        """Return when the circuits let a scale set send: in the past if now, never if only an answer can tell."""
        circuit = queue.circuit
        if circuit.is_open:
            circuit.retry_by(self.circuit, now)
            return circuit.opens_at(now)
        return now + 1.0 if self.circuit.is_open and queue.requests else now

    def permit(self, now: float, wanted: int, queue: Sender) -> int:
        """Return for how many registrations one request may be sent now, and count them; 0: none, whoever asks."""
        if self.circuit.is_open or queue.circuit.is_open:
            wanted = min(1, wanted)
        wanted = self.budget.allow(now, wanted)
        self._note_closed(now, closed=wanted == 0)
        count = self.slicing.take(wanted) if wanted else 0
        if count:
            self._in_flight += 1
            self.budget.reserve(now, count)
            queue.circuit.sent(now)
        return count

    def sent(self, now: float) -> Sent:
        """Return what the limiter knows of a request that was permitted and leaves now."""
        return self.limiter.sent(now, self._in_flight)

    def opens_at(self, now: float) -> float | None:
        """Return when to ask again, if time alone will open it: later than now, or whoever waits would spin."""
        return self.budget.opens_at(now)

    def eta(self, now: float, count: int) -> float:
        """Return when the last of `count` more is allowed at the earliest (monotonic seconds)."""
        return self.budget.eta(now, count)

    def closed_seconds(self, now: float) -> float:
        """Return for how many seconds in all nothing was admitted, for the account of waiting."""
        return self._closed_seconds + (now - self._closed_since if self._closed_since is not None else 0.0)

    def refusal(self, now: float, queue: Sender) -> Unavailable | None:
        """Return why a new call cannot even begin: the scale set's mints fail and the next probe is not due."""
        queue.circuit.retry_by(self.circuit, now)
        if not queue.circuit.is_open or queue.circuit.seconds_left(now) <= 0:
            return None
        return self._down(now, queue)

    def learn(
        self, attempt: Request, classes: Sequence[ClassifiedFailure | None], results: Sequence[object], now: float
    ) -> None:
        """Learn from the answer to one request."""
        if not any(classes):
            self.minted(attempt, len(classes), now)
            return
        committed = sum(1 for classified in classes if classified is None)
        unresolved = sum(1 for classified in classes if classified is not None and classified.unresolved)
        self.budget.settle(now, committed, len(classes) - committed - unresolved)
        self.budget.hold([self.held_until(now)] * unresolved)
        throttled = next((v for v in classes if v is not None and v.told_to_wait), None)
        overload = any(classified is not None and classified.overload for classified in classes)
        minted = any(isinstance(result, MintedRunner) for result in results)
        until = now
        if len(classes) > 1:
            self.slicing.accepted() if minted else self.slicing.undecided()
        if throttled is not None:
            until = self.budget.told_to_wait(now, throttled.retry_after, self._random)
        elif minted:
            self.budget.succeeded(attempt.sent_at)
        else:  # whatever it says, it may not be the service's
            self.budget.undecided(attempt.sent_at)
        self._in_flight -= 1
        if any(classified is not None and classified.refusal for classified in classes):
            self._refused(attempt, now, until)
        elif attempt.abandoned and not attempt.never_left:
            self.limiter.timed_out(attempt.sent)
        elif not overload:
            self.limiter.accepted(attempt.sent, self._in_flight)
        if overload and throttled is None and not minted:
            self.circuit.failed(now, attempt.sent_at)
            if attempt.queue.circuit.failed(now, attempt.sent_at, at_once=self.circuit.is_open):
                self._opened = self._down(now, attempt.queue)
        else:
            self._worked(attempt, now)

    def _refused(self, attempt: Request, now: float, until: float) -> None:
        if attempt.queue.failures <= FREE_FAILURES:  # else it is the scale set that fails, not the service that is full
            self.limiter.refused(attempt.sent, self._in_flight, now=now, pause=max(0.0, until - now))

    def minted(self, attempt: Request, count: int, now: float) -> None:
        """Learn from a request that was granted in full: most are, so this is the short way."""
        self.budget.settle(now, count, 0)
        self.budget.succeeded(attempt.sent_at)
        if count > 1:
            self.slicing.accepted()
        self._in_flight -= 1
        self.limiter.accepted(attempt.sent, self._in_flight)
        self._worked(attempt, now)

    def _worked(self, attempt: Request, now: float) -> None:
        self.circuit.succeeded(now)
        attempt.queue.circuit.succeeded(now)

    def slice_refused(self, attempt: Request, now: float) -> None:
        """Learn that the service does not take slices: nothing was registered."""
        self._in_flight -= 1
        self.budget.settle(now, 0, len(attempt.names))
        self.budget.succeeded(attempt.sent_at)
        self._worked(attempt, now)
        self.slicing.refused()

    @property
    def holdable(self) -> int:
        """How many places a dead process may hold: as many as it can have had in flight, and never all of them."""
        return min(self.limiter.most, self.budget.limit // 2)

    def held_until(self, now: float) -> float:
        """Return until when a mint that is given up now holds its place, if it is not resolved before."""
        return now + CERTAIN + self.budget.window

    def hold(self, until: Sequence[float]) -> None:
        """Keep places within the limit for names that a dead process may have registered in the last moments."""
        self.budget.sent += len(until)
        self.budget.hold(until)

    def circuit_opened(self) -> Unavailable | None:
        """Return the error for all of its scale set that wait, once, if the last answer opened that circuit."""
        opened, self._opened = self._opened, None
        return opened

    def _down(self, now: float, queue: Sender) -> Unavailable:
        circuit = self.circuit if self.circuit.is_open else queue.circuit
        wait = queue.circuit.seconds_left(now)
        return Unavailable(
            f"mints of {'all scale sets' if circuit is self.circuit else queue.ref.name} have been failing for "
            f"{now - (circuit.failing_since or now):.0f} s; nothing more is sent for {queue.ref.name}, one request "
            f"will try again in {wait:.0f} s",
            retry_after=wait,
        )

    def _note_closed(self, now: float, *, closed: bool) -> None:
        if closed and self._closed_since is None:
            self._closed_since = now
        elif not closed and self._closed_since is not None:
            self._closed_seconds += now - self._closed_since
            self._closed_since = None
