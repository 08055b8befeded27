"""Nothing that outlives a call grows without end: hours of virtual time."""

import asyncio
from collections import deque
from collections.abc import Sized

import pytest

from scaleset_burst.limits.admission import Admission
from scaleset_burst.limits.budget import Budget
from scaleset_burst.minting import Minter, MintQueue, waits
from scaleset_burst.minting.delivery import Deliverer
from scaleset_burst.minting.dispatcher import Dispatcher
from scaleset_burst.minting.ledger import BurstLedger
from scaleset_burst.minting.resolver import Resolver
from scaleset_burst.minting.settlement import Settlement
from scaleset_burst.minting.sweeper import Sweeper
from scaleset_burst.minting.turns import Turns
from scaleset_burst.minting.waits import Waits
from scaleset_hookspecs import JitConfig, ProvisionSettings, ScaleSetRef
from tests.kit.minting import make_minter
from tests.kit.service import ModelService
from tests.kit.virtual import run_virtually

HOUR = 3_600.0
LASTING = (
    Admission, BurstLedger, Budget, Deliverer, Dispatcher, MintQueue, Minter, Resolver, Settlement, Sweeper, Turns,
    Waits,
)  # fmt: skip


def sizes(root: object) -> dict[str, int]:
    """Return the size of every collection that the minting room keeps, by where it stands."""
    found: dict[str, int] = {}
    seen: set[int] = set()
    todo: list[tuple[str, object]] = [(type(root).__name__, root)]
    while todo:
        where, value = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, list | dict | set | deque):
            assert isinstance(value, Sized)
            found[where] = max(found.get(where, 0), len(value))
            inner = list(value.values()) if isinstance(value, dict) else list(value)
            todo += [(f"{where}[]", each) for each in inner]
        elif isinstance(value, LASTING) or type(value).__name__ == "_Account":
            names = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
            names += list(getattr(value, "__dict__", {}))
            todo += [(f"{type(value).__name__}.{name}", getattr(value, name)) for name in names]
    return found


def test_thirty_hours_of_calls_that_overlap_hold_no_more_than_six(monkeypatch: pytest.MonkeyPatch) -> None:
    """The account of a scale set whose calls overlap grew by 0.25 KB a mint, and never ended."""
    monkeypatch.setattr(waits, "TOLD", 30.0)  # nobody waits for the limits here, and looking was most of the work

    async def main() -> None:
        service = ModelService(latency=60.0, fault=lambda name: "lost" if name.endswith("7") else None)
        minter, queue, _ = make_minter(service, budget=Budget(10**6, 300.0), attempt_timeout=100.0)
        got: list[JitConfig] = []

        async def demand(count: int) -> None:
            await minter.provision(queue, count, ProvisionSettings(desired=None), got.append)

        async def thirty_hours() -> list[dict[str, int]]:
            seen = []
            for hour in range(30):
                for _ in range(40):
                    calls.append(asyncio.create_task(demand(2)))
                    await asyncio.sleep(HOUR / 40)
                for config in got:  # the host reports their ends
                    queue.fleet.drop(config.runner_name, None)
                    service.runners.pop(config.runner_name.lower(), None)
                got.clear()
                calls[:] = [call for call in calls if not call.done()]
                fresh = minter.add_queue(
                    ("default", f"new-{hour}"), MintQueue(ScaleSetRef(name=f"new-{hour}"), 1000 + hour, "x", "_work")
                )
                await minter.provision(fresh, 1, ProvisionSettings(), None)
                minter.queues._by_key.pop(("default", f"new-{hour}"))
                if hour % 6 == 5:
                    seen.append(sizes(minter))
            return seen

        calls: list[asyncio.Task[None]] = []
        forever = asyncio.create_task(keep_one_call_open(minter, queue))
        looks = await thirty_hours()
        forever.cancel()
        await asyncio.gather(forever, *calls, return_exceptions=True)
        assert any("_Account.timings" in where for where in looks[0]), "the collections that grew are looked at"
        grown = {
            where: (looks[1].get(where, 0), size)
            for where, size in looks[-1].items()
            if size > 2 * looks[1].get(where, 0) + 100 and "outcomes" not in where and "_names" not in where
        }
        assert grown == {}

    run_virtually(main)


async def keep_one_call_open(minter: Minter, queue: MintQueue) -> None:
    """Have calls overlap for ever, so that the burst never ends."""
    open_calls: list[asyncio.Task[object]] = []
    while True:
        open_calls.append(asyncio.ensure_future(minter.provision(queue, 1, ProvisionSettings(), None)))
        open_calls = [call for call in open_calls if not call.done()]
        await asyncio.sleep(30.0)


def test_scale_sets_without_end_are_forgotten_and_counted_together() -> None:
    """A host that makes a new scale set for each of its bursts."""

    async def main() -> None:
        minter, _, names = make_minter(ModelService(latency=0.001), budget=Budget(10**6, 300.0))
        for number in range(2500):
            queue = MintQueue(ScaleSetRef(name=f"set-{number}"), number, "x", "_work")
            minter.ledger.serves(f"idle-{number}")
            await minter.provision(minter.add_queue(("default", queue.ref.name), queue), 1, ProvisionSettings(), None)
        assert len(minter.queues) == 1000
        assert len(minter.ledger.outcomes) == 1001
        assert sum(minter.ledger.outcomes.values()) == 2500
        open_names = sum(states[-1] == "reserved" for states in names.states.values())
        assert open_names == 0

    run_virtually(main)
