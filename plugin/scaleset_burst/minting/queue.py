"""The queue of one scale set: slots that wait, names reserved for them, mints in flight."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from scaleset_burst.limits.circuit import Circuit
from scaleset_burst.limits.concurrency import Sent
from scaleset_burst.minting.call import Call, Slot, failure_of
from scaleset_burst.minting.demand import Fleet, surplus
from scaleset_client.observing import Trace
from scaleset_hookspecs.errors import ScalesetError, ServiceError, Unavailable
from scaleset_hookspecs.types import FailureReason, MintFailure, ScaleSetRef

__all__ = ["Attempt", "MintQueue", "Queues"]

MOST_SCALE_SETS = 1000
"""Scale sets remembered at once; a host that makes new ones for ever would else fill the memory."""


@dataclass(slots=True, eq=False)
class Attempt:
    """One request: a name for each slot it carries; one unless the service takes slices.

    Attributes:
        sent: What the limiter knew when it left.
        wave: How many requests one behind the other led to this one, itself included.
        trace: Where its time went before it was sent.
        abandoned: Nobody waits for its answer any more; its names are ambiguous.
    """

    queue: MintQueue
    slots: list[Slot]
    names: list[str]
    sent_at: float
    sent: Sent
    scale_set_id: int
    wave: int = 1
    trace: Trace = field(default_factory=Trace)
    abandoned: bool = False

    @property
    def waits_since(self) -> float:
        """When it left, or else began to wait for credentials or a connection: each has the time limit to itself."""
        return self.sent_at + self.trace.token + self.trace.connect

    @property
    def never_left(self) -> bool:
        """Whether it was given up while it still waited to be sent."""
        return self.abandoned and self.trace.unsent


@dataclass(slots=True, eq=False)
class MintQueue:
    """Everything minting knows about one scale set. Changed on the loop only, in single steps.

    Attributes:
        name_prefix: Of runners whose call names none.
        work_folder: The same.
        limit: Mints in flight at most for this scale set, over the limit that all share.
        stock: Names written down already and not used yet, by the prefix that calls under way asked for.
        refilling: More names are being written down.
        opens_at: Nothing may be sent before this monotonic time.
        failures: Waves in a row that failed; what was sent before `failed_at` belongs to the last of them.
        held: Nothing may be sent: the scale set's id is being resolved once more.
        refusals: Waves in a row that were refused for the whole scale set, with no mint between them.
        refused_at: When the last of them was.
        circuit: Stops what fails for this scale set; its failures are its own.
        missing: Slots of its calls that still wait for their outcome, by the prefix that their names have.
    """

    ref: ScaleSetRef
    scale_set_id: int
    name_prefix: str
    work_folder: str
    limit: int | None = None
    waiting: deque[Slot] = field(default_factory=deque)
    stock: dict[str, deque[str]] = field(default_factory=dict)
    fleet: Fleet = field(default_factory=Fleet)
    circuit: Circuit = field(default_factory=Circuit)
    calls: set[Call] = field(default_factory=set)
    attempts: set[Attempt] = field(default_factory=set)
    requests: int = 0
    refilling: bool = False
    held: bool = False
    opens_at: float = 0.0
    failures: int = 0
    refusals: int = 0
    refused_at: float = float("-inf")
    missing: dict[str, int] = field(default_factory=dict)
    failed_at: float = float("-inf")
    _named: ScaleSetRef | None = None

    @property
    def under_way(self) -> int:
        """How many slots of its calls still wait for their outcome."""
        return sum(self.missing.values())

    def enter(self, call: Call) -> None:
        """Begin with a call."""
        self.calls.add(call)
        self.missing[call.name_prefix] = self.missing.get(call.name_prefix, 0) + call.remaining

    def settled(self, call: Call) -> None:
        """Note that a slot of a call has got its outcome."""
        if call in self.calls:
            self.missing[call.name_prefix] -= 1

    def leave(self, call: Call) -> Sequence[str]:
        """End a call, whatever is left of it; return the names in stock that no other call has a use for."""
        self.calls.discard(call)
        if left := self.needed(call.name_prefix) - call.remaining:
            self.missing[call.name_prefix] = left
            return ()
        self.missing.pop(call.name_prefix, None)
        return self.stock.pop(call.name_prefix, ())

    def aim(self, scale_set_id: int) -> Sequence[str]:
        """Mint for this id from now on; return the names in stock if they were written down for another.

        The journal knows for each name the scale set it is looked for in, if this process dies.
        """
        if scale_set_id == self.scale_set_id:
            return ()
        self.scale_set_id = scale_set_id
        return self.empty()

    def keep(self, scale_set_id: int, prefix: str, names: Sequence[str]) -> Sequence[str]:
        """Put names in stock that are written down for this id; return them if no call has a use for them."""
        if scale_set_id != self.scale_set_id or not self.needed(prefix):
            return names
        self.stock.setdefault(prefix, deque()).extend(names)
        return ()

    def empty(self) -> list[str]:
        """Return the names in stock, which then holds none."""
        names = [name for stock in self.stock.values() for name in stock]
        self.stock.clear()
        return names

    def given_names(self) -> list[str]:
        """Return the names that hosts chose and that wait to be asked for, perhaps for another id than before."""
        return [slot.name for slot in self.waiting if slot.name and slot.wanted and not slot.unanswered]

    def in_stock(self) -> int:
        """Return how many names are in stock for the first slot of the queue; one that was given its name brings it."""
        first = self.waiting[0]
        return len(self.waiting) if first.name else len(self.stock.get(first.call.name_prefix, ()))

    def needed(self, prefix: str) -> int:
        """Return how many names with a prefix the calls under way can need."""
        return self.missing.get(prefix, 0)

    def fail(self, error: ScalesetError) -> None:
        """End all its calls: with the error where nothing was minted, else with failures for the rest."""
        failure = MintFailure(reason=FailureReason.REJECTED, message=str(error))
        if isinstance(error, ServiceError):
            reason = FailureReason.UNAVAILABLE if isinstance(error, Unavailable) else FailureReason.REJECTED
            failure = failure_of(reason, error)
        for call in tuple(self.calls):
            call.fail(error, failure)

    def ref_of(self, scale_set_id: int) -> ScaleSetRef:
        """Return the scale set as its configs name it: with the id that they were minted with."""
        if self._named is None or self._named.id != scale_set_id:
            self._named = replace(self.ref, id=scale_set_id)
        return self._named

    def push(self, slots: Iterable[Slot]) -> None:
        """Queue slots behind the others."""
        for slot in slots:
            slot.queued = True
            self.waiting.append(slot)

    def push_back(self, slots: Iterable[Slot]) -> None:
        """Queue slots again before all others, after an attempt that did not serve them."""
        again = [slot for slot in slots if slot.wanted and not slot.queued]
        for slot in again:
            slot.queued = True
        self.waiting.extendleft(reversed(again))

    def refused(self, sent_at: float, now: float) -> int:
        """Note a refusal for the whole scale set; return how many in a row there were, one for each wave."""
        if sent_at >= self.refused_at:
            self.refusals += 1
            self.refused_at = now
        return self.refusals

    def minted(self) -> None:
        """Note a mint: nothing is wrong with the scale set."""
        self.failures = self.refusals = 0

    def sendable(self, now: float, carries: int = 1) -> int:
        """Return how many slots could be sent now, by one request that carries up to `carries` of them.

        Forgets those nobody waits for among the first: a slice is counted before it is filled, up to the first slot
        whose call wants another prefix.
        """
        first: list[Slot] = []
        if carries == 1:  # the short way: most services take no slices
            while self.waiting and not self.waiting[0].wanted:
                self.waiting.popleft().queued = False
        else:
            first = self._first(carries)
        if self.held or not self.waiting or now < self.opens_at:
            return 0
        if self.limit is not None and self.requests >= self.limit:
            return 0
        if self.refusals and any(attempt.sent_at >= self.refused_at for attempt in self.attempts):
            return 0  # one alone finds out whether the refusal was meant
        if not first:
            return len(self.waiting)
        prefix = first[0].call.name_prefix
        other = next((index for index, slot in enumerate(first) if slot.call.name_prefix != prefix), None)
        return len(self.waiting) if other is None else other

    def _first(self, count: int) -> list[Slot]:
        """Return the first slots that somebody waits for; forgets the others among them."""
        first: list[Slot] = []
        while self.waiting and len(first) < count:
            slot = self.waiting.popleft()
            slot.queued = slot.wanted
            if slot.queued:
                first.append(slot)
        self.waiting.extendleft(reversed(first))
        return first

    def take(self, count: int) -> tuple[list[Slot], list[str]]:
        """Take up to `count` slots that are still wanted, each with a reserved name that has its call's prefix."""
        slots: list[Slot] = []
        names: list[str] = []
        while self.waiting and len(slots) < count:
            slot = self.waiting[0]
            if slot.wanted:
                name = slot.name or self._from_stock(slot.call.name_prefix)
                if name is None:
                    break
                slots.append(slot)
                names.append(name)
            self.waiting.popleft()
            slot.queued = False
        return slots, names

    def _from_stock(self, prefix: str) -> str | None:
        stock = self.stock.get(prefix)
        if not stock:
            return None
        name = stock.popleft()
        if not stock:
            del self.stock[prefix]
        return name

    def drop_waiting(self, count: int, reason: FailureReason, message: str) -> int:
        """Cancel up to `count` slots that were not sent, newest first; return how many."""
        dropped = 0
        kept: deque[Slot] = deque()
        while self.waiting and dropped < count:
            slot = self.waiting.pop()
            if slot.wanted and slot.in_flight == 0:
                slot.queued = False
                dropped += slot.call.refuse(slot, reason, message)
            else:
                kept.appendleft(slot)
        self.waiting.extend(kept)
        return dropped

    def lower_demand(self, desired: int) -> int:
        """Cancel what is waiting beyond `desired` runners in all; return how many were cancelled."""
        message = f"the demand fell to {desired} before this one was sent"
        return self.drop_waiting(surplus(desired, len(self.fleet), self.under_way), FailureReason.DEMAND_FELL, message)


class Queues:
    """The queue of each scale set of one scope, by runner group and name in lower case."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, str], MintQueue] = {}

    def __iter__(self) -> Iterator[MintQueue]:
        """Return the queues so far; one may be added meanwhile."""
        return iter(tuple(self._by_key.values()))

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._by_key)

    def get(self, key: tuple[str, str]) -> MintQueue | None:
        """Return the queue of a scale set, if anything was minted for it."""
        return self._by_key.get(key)

    def add(self, key: tuple[str, str], queue: MintQueue) -> Sequence[str]:
        """Add a scale set; if there are too many, drop an idle one, and return its names in stock."""
        dropped: Sequence[str] = ()
        if len(self._by_key) >= MOST_SCALE_SETS:
            idle = (other for other, old in self._by_key.items() if not (old.calls or old.attempts))
            if (oldest := next(idle, None)) is not None:
                dropped = self._by_key.pop(oldest).empty()
        self._by_key[key] = queue
        return dropped

    def calls(self) -> list[Call]:
        """Return all calls under way."""
        return [call for queue in self._by_key.values() for call in queue.calls]
