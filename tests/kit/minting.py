"""A minting room over the model service."""

import random
from collections.abc import Sequence

from scaleset_burst.journal import Change, State
from scaleset_burst.limits import Admission
from scaleset_burst.limits.budget import Budget
from scaleset_burst.limits.concurrency import Limiter
from scaleset_burst.limits.slices import Slicing
from scaleset_burst.minting import Minter, MintQueue
from scaleset_burst.minting.names import Names
from scaleset_burst.settings import BatchSettings
from scaleset_hookspecs import JitConfig, RunnerRef, ScaleSetRef
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


class ModelCache:
    """The cache as minting sees it: every deleted scale set came back with one new id, unless an error is given."""

    def __init__(self, service: ModelService, new_id: int, error: Exception | None) -> None:
        self._service = service
        self._new_id = new_id
        self._error = error

    async def re_resolve(self, scale_set: ScaleSetRef, *, dead_id: int) -> int:
        """Return the new id, or raise the error."""
        del scale_set, dead_id
        if self._error is not None:
            raise self._error
        self._service.requests["resolve"] += 1
        return self._new_id

    def on_minted(self, config: JitConfig) -> None:
        """Forget it."""

    def on_runner_gone(self, runner: RunnerRef) -> None:
        """Forget it."""


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
    unresolvable: Exception | None = None,
    limiter: Limiter | None = None,
    written_by: Names | None = None,
) -> tuple[Minter, MintQueue, RecordingNames]:
    """Make a minting room with one scale set of id 42."""
    chance = random.Random(seed)
    names = RecordingNames()

    batch = {"attempt_timeout": attempt_timeout, "max_attempts": max_attempts}
    minter = Minter(
        service,
        written_by or names,
        Admission(
            budget=budget or Budget(1500, 300.0),
            limiter=limiter or Limiter(most),
            slicing=slicing or Slicing("never", 50),
            random=chance,
        ),
        ModelCache(service, new_id, unresolvable),
        batch=BatchSettings(hedge=hedge).model_copy(update=batch),
        clock=VirtualClock(),
        random=chance,
    )
    ref = ScaleSetRef(name="linux")
    queue = minter.add_queue(("default", "linux"), MintQueue(ref, 42, "linux", "_work"))
    return minter, queue, names
