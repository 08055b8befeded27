"""A minting room over the model service."""

import random
from collections.abc import Sequence

from scaleset_burst.journal import Change, State
from scaleset_burst.limits import Admission
from scaleset_burst.limits.budget import Budget
from scaleset_burst.limits.concurrency import Limiter
from scaleset_burst.limits.slices import Slicing
from scaleset_burst.minting import Minter, MintQueue
from scaleset_burst.minting.delivery import Names
from scaleset_hookspecs import ScaleSetRef
from tests.kit.service import ModelService
from tests.kit.virtual import VirtualClock


class RecordingNames:
    """A journal that keeps every state of every name, and checks their order."""

    def __init__(self) -> None:
        self.states: dict[str, list[State]] = {}
        self.scale_sets: dict[str, int] = {}
        self.transactions = 0
        self.pauses: list[float] = []

    async def reserve(self, scale_set_id: int, names: Sequence[str]) -> None:
        """Note reserved names."""
        self.scale_sets |= dict.fromkeys(names, scale_set_id)
        self.transactions += 1
        for name in names:
            self.states[name] = [State.RESERVED]

    async def record(self, changes: Sequence[Change]) -> None:
        """Note changes in one transaction."""
        self.transactions += 1
        self.note(changes)

    def record_now(self, change: Change) -> bool:
        """Note one change in a transaction of its own."""
        self.transactions += 1
        self.note([change])
        return True

    def note(self, changes: Sequence[Change]) -> None:
        """Note changes."""
        for change in changes:
            self.states.setdefault(change.name, []).append(change.state)

    def pause(self, seconds: float) -> None:
        """Note a pause."""
        self.pauses.append(seconds)


def make_minter(
    service: ModelService,
    *,
    seed: int = 0,
    most: int = 64,
    budget: Budget | None = None,
    slicing: Slicing | None = None,
    attempt_timeout: float = 15.0,
    max_attempts: int = 8,
    hedge: bool = False,
    new_id: int = 42,
    limiter: Limiter | None = None,
    written_by: Names | None = None,
) -> tuple[Minter, MintQueue, RecordingNames]:
    """Make a minting room with one scale set of id 42."""
    chance = random.Random(seed)
    names = RecordingNames()

    async def re_resolve(queue: MintQueue) -> int:
        del queue
        service.requests["resolve"] += 1
        return new_id

    minter = Minter(
        service,
        written_by or names,
        Admission(
            budget=budget or Budget(1500, 300.0),
            limiter=limiter or Limiter(most),
            slicing=slicing or Slicing("never", 50),
            random=chance,
        ),
        clock=VirtualClock(),
        random=chance,
        random_bits=chance.getrandbits,
        attempt_timeout=attempt_timeout,
        max_attempts=max_attempts,
        hedge=hedge,
        merge_window=0.005,
        re_resolve=re_resolve,
        on_minted=lambda _config: None,
    )
    ref = ScaleSetRef(name="linux")
    queue = minter.add_queue(("default", "linux"), MintQueue(ref, 42, "linux", "_work"))
    return minter, queue, names
