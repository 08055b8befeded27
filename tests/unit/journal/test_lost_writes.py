"""Journal and resolver where every write may fail, be lost or be undone, and every process may die at any await.

The real journal in a real file, the real minting room and resolver, on virtual time. `make test-slow` tries 2,000
histories, `BURST_MODEL_RUNS=20000 make test-slow` as many as it says.
"""

import asyncio
import os
import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaleset_burst.background import Background
from scaleset_burst.journal import Change, DatabaseJournal, JournalNames
from scaleset_burst.journal.witness import forget
from scaleset_burst.journal.writer import GroupWriter
from scaleset_burst.limits import Admission
from scaleset_burst.reconciler import Reconciler
from scaleset_burst.settings import load_settings
from scaleset_client.types import MintedRunner, Runner
from scaleset_hookspecs import JitConfig, ProvisionSettings
from scaleset_hookspecs.errors import ServiceError
from tests.kit.minting import make_minter
from tests.kit.service import ModelService
from tests.kit.virtual import VirtualClock, run_virtually

GRACE = 60.0
FEW = 60
MANY = int(os.environ.get("BURST_MODEL_RUNS", "2000"))
SETTINGS = load_settings(
    {
        "plugins": {
            "burst": {
                "github": {"config_url": "https://github.com/acme", "token": {"$env": "T"}},
                "journal": {"launch_grace": GRACE},
            }
        }
    },
    environ={"T": "x"},
    read_file=lambda _: "",
)


@dataclass
class World(ModelService):
    """The service, and the machines that were given configs: they start within the grace, work, and are gone."""

    in_use: set[str] = field(default_factory=set)
    handed_out: set[str] = field(default_factory=set)
    wrongs: list[str] = field(default_factory=list)
    machines: set[asyncio.Task[None]] = field(default_factory=set)
    owners: set[str] = field(default_factory=set)

    def given(self, config: JitConfig, started: Callable[[], None]) -> None:
        name = config.runner_name
        if name in self.handed_out:
            self.wrongs.append(f"{name} was handed out twice")
        self.handed_out.add(name)
        self.in_use.add(name)
        task = asyncio.create_task(self._machine(name, started))
        self.machines.add(task)
        task.add_done_callback(self.machines.discard)

    async def _machine(self, name: str, started: Callable[[], None]) -> None:
        if early := self.random.random() < 0.5:
            started()
        await asyncio.sleep(self.random.uniform(0.0, GRACE * 0.95))
        if name not in self.runners:
            self.wrongs.append(f"{name} was removed before its machine started")
            return
        busy = self.random.random() < 0.5
        self.runners[name] = replace(self.runners[name], status="online", busy=busy)
        if not early:
            started()
        await asyncio.sleep(self.random.uniform(1.0, 300.0))
        self.in_use.discard(name)
        self.runners.pop(name, None)

    async def remove_runner(self, runner_id: int) -> bool:
        before = set(self.runners)
        removed = await super().remove_runner(runner_id)
        self.wrongs += [f"{name} was removed in use" for name in before - set(self.runners) if name in self.in_use]
        return removed


class Died(Exception):
    """The process is gone in the middle of a write."""


class Disk(DatabaseJournal):
    """Takes a write, refuses it, says that it took it and did not, or sees its process die before or after it."""

    def __init__(self, process: "Process", place: Path, failure_classes: Iterator[str]) -> None:
        self._process, self._failure_classes, self._place = process, failure_classes, place / "journal.db"
        super().__init__(place, now=VirtualClock().time)

    def write(self, changes: Sequence[Change]) -> None:
        failure_class = next(self._failure_classes, "taken")
        if failure_class == "fails":
            self.distrust()
            raise sqlite3.OperationalError("database or disk is full")
        before = copy_of(self._place) if failure_class == "lost" else None
        if failure_class != "dies before":
            super().write(changes)
        if before is not None:
            before.backup(self._database)
            before.close()
        if failure_class.startswith("dies"):
            self._process.die()


class OnTheLoop(GroupWriter[Any]):
    """Writes at once: virtual time has no threads."""

    def __init__(self, process: "Process", write: Callable[[Sequence[Any]], None]) -> None:
        super().__init__(write)
        self._process = process

    def _hand_over(self, work: Callable[[], None]) -> None:
        if not self._process.dead:
            work()


class Mortal:
    """The service as a process sees it: once that is dead, nothing leaves and nothing arrives."""

    def __init__(self, process: "Process", world: World) -> None:
        self._process, self._world = process, world

    async def _alive(self, call: Callable[..., Any], *about: object) -> Any:  # noqa: ANN401  # as the call
        if not self._process.dead:
            try:
                result = await call(*about)
            except ServiceError:
                if not self._process.dead:
                    raise
            if not self._process.dead:
                return result
        return await asyncio.Event().wait()

    async def generate_jit_config(self, scale_set_id: int, name: str, work_folder: str = "") -> MintedRunner:
        return await self._alive(self._world.generate_jit_config, scale_set_id, name, work_folder)  # type: ignore[no-any-return]

    async def find_runner(self, name: str) -> Runner | None:
        return await self._alive(self._world.find_runner, name)  # type: ignore[no-any-return]

    async def list_runners(self) -> tuple[Runner, ...]:
        return await self._alive(self._world.list_runners)  # type: ignore[no-any-return]

    async def remove_runner(self, runner_id: int) -> bool:
        return await self._alive(self._world.remove_runner, runner_id)  # type: ignore[no-any-return]


class Process:
    """One life of a host."""

    def __init__(self, world: World, place: Path, failure_classes: Sequence[str], seed: int) -> None:
        self.dead = False
        self.world = world
        self.journal = Disk(self, place, iter(failure_classes))
        self.names = JournalNames(self.journal)
        self.names._writer = OnTheLoop(self, self.names._write_down)
        service: Any = Mortal(self, world)
        self.minter, self.queue, _ = make_minter(service, seed=seed, most=4, attempt_timeout=2.0, written_by=self.names)
        admission = self.minter._admission
        assert isinstance(admission, Admission)
        self.background = Background()
        self.reconciler = Reconciler(service, SETTINGS, admission, clock=VirtualClock(), background=self.background)

    def start(self) -> None:
        self.names.launched("launched-before", 1)  # the host is known to report launches
        self.background.spawn(self._adopt(), "adopt")

    async def _adopt(self) -> None:
        await self.reconciler.adopt(self.names, self.minter)
        await self.reconciler.keep_adopting(self.names, self.minter)

    async def burst(self, count: int, *, one_by_one: bool) -> None:
        on_ready = self._given if one_by_one else None
        try:
            outcomes = await self.minter.provision(self.queue, count, ProvisionSettings(), on_ready)
        except ServiceError:
            return
        for outcome in outcomes:
            if not one_by_one and isinstance(outcome, JitConfig):
                self._given(outcome)

    def _given(self, config: JitConfig) -> None:
        if not self.dead:
            name, number = config.runner_name, config.runner_id
            self.world.given(config, lambda: None if self.dead else self.names.launched(name, number))

    def die(self) -> None:
        self.dead = True

    async def bury(self) -> None:
        """Do what the kernel does. What the tasks of the dead still do reaches nobody."""
        self.dead = True
        for task in asyncio.all_tasks() - self.world.machines - {asyncio.current_task()}:
            task.cancel()
        self.journal._database.close()
        self.journal._witness.close()
        self.journal.owner.drop()
        self.world.owners.add(self.journal.owner.id)
        await asyncio.sleep(0)


def copy_of(path: Path) -> sqlite3.Connection:
    """Copy the file as it is now."""
    copy = sqlite3.connect(":memory:")
    with sqlite3.connect(path) as database:
        database.backup(copy)
    database.close()
    return copy


@dataclass(frozen=True)
class Life:
    """What happens to one process: what becomes of its writes, when it dies, and whether the file is an older one then.

    Attributes:
        copied_at: When a copy is made that is put back after the death; `None`: the file stays.
    """

    failure_classes: tuple[str, ...]
    count: int
    one_by_one: bool
    seconds: float
    copied_at: float | None
    down: float


failure_class = st.sampled_from(["taken", "taken", "taken", "fails", "lost", "dies before", "dies after"])
lives = st.lists(
    st.builds(
        Life,
        failure_classes=st.lists(failure_class, max_size=12).map(tuple),
        count=st.integers(1, 8),
        one_by_one=st.booleans(),
        seconds=st.one_of(st.floats(0.0, 0.5), st.floats(0.5, 200.0)),
        copied_at=st.one_of(st.none(), st.floats(0.0, 1.0)),
        down=st.floats(0.0, 30.0),
    ),
    min_size=1,
    max_size=3,
)


async def live(world: World, place: Path, life: Life, seed: int) -> None:
    """Live one life."""
    process = Process(world, place, life.failure_classes, seed)
    process.start()
    burst = asyncio.create_task(process.burst(life.count, one_by_one=life.one_by_one))
    copy, copied_after = None, min(life.seconds, life.copied_at or 0.0)
    await asyncio.sleep(copied_after)
    if life.copied_at is not None:
        copy = copy_of(place / "journal.db")
    await asyncio.sleep(life.seconds - copied_after)
    await process.bury()
    del burst
    if copy is not None:
        with sqlite3.connect(place / "journal.db") as database:
            copy.backup(database)
        database.close()
        copy.close()
    await asyncio.sleep(life.down)


async def history(place: Path, lived: Sequence[Life], faults: str, seed: int) -> None:
    """Live every life, then one on a disk that works until everything is settled."""
    chance = random.Random(seed)
    world = World(seed=seed, fault=lambda _name: chance.choice([None, None, None, "lost", "late"]) if faults else None)
    for number, life in enumerate(lived):
        await live(world, place, life, seed + number)
    before = DatabaseJournal(place, now=VirtualClock().time)
    known = {name for (name,) in before._database.execute("SELECT name FROM names")}
    before.close()
    last = Process(world, place, (), seed - 1)
    last.start()
    await last.burst(3, one_by_one=True)
    await asyncio.sleep(1800.0)
    assert world.wrongs == []
    ghosts = set(world.runners) - world.handed_out
    whole = all(set(life.failure_classes) <= {"taken", "dies after"} and life.copied_at is None for life in lived)
    assert ghosts == set() if whole else not ghosts & known
    assert len(last.minter.resolver) == 0
    await last.bury()
    for owner in world.owners:
        forget(owner)


def try_it(lived: Sequence[Life], faults: str, seed: int) -> None:
    """Try one history in a folder of its own, in the machine's memory where it has such a folder."""
    memory = Path("/dev/shm")  # the folder in it is our own
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as place:
        run_virtually(lambda: history(Path(place), lived, faults, seed))


@settings(max_examples=FEW, deadline=None, suppress_health_check=list(HealthCheck))
@given(lived=lives, faults=st.sampled_from(["", "of the network"]), seed=st.integers(1, 1_000_000))
def test_nobodys_runner_is_removed(lived: Sequence[Life], faults: str, seed: int) -> None:
    """Whatever became of the writes; and what the file knows of leaves no ghost."""
    try_it(lived, faults, seed)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(max_examples=MANY, deadline=None, suppress_health_check=list(HealthCheck))
@given(lived=lives, faults=st.sampled_from(["", "of the network"]), seed=st.integers(1, 1_000_000))
def test_nobodys_runner_is_removed_in_many_histories(lived: Sequence[Life], faults: str, seed: int) -> None:
    """The same, many times."""
    try_it(lived, faults, seed)
