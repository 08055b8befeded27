"""A scale set's failures are its own; only what is the service's as a whole stops all."""

import asyncio
from collections import Counter

import pytest

from scaleset_burst.limits.budget import Budget
from scaleset_burst.minting import Minter, MintQueue
from scaleset_client.types import MintedRunner
from scaleset_hookspecs import JitConfig, ProvisionSettings, ScaleSetRef, Unavailable
from tests.kit.minting import make_minter
from tests.kit.service import ModelService
from tests.kit.virtual import run_virtually

ERRORS = {
    "500": Unavailable("boom", status=500, maybe_applied=True),
    "502": Unavailable("bad gateway", status=502, maybe_applied=True),
    "lost": Unavailable("reset", maybe_applied=True),
    "refused": Unavailable("connection refused"),
}


class Partly(ModelService):
    """Mints of the scale sets in `broken` fail, in the way of `error`."""

    error = "500"

    def __init__(self, *broken: int) -> None:
        super().__init__()
        self.broken = set(broken)
        self.sent: list[tuple[float, int]] = []

    async def _mint(self, scale_set_id: int, name: str) -> MintedRunner:
        self.sent.append((self._now(), scale_set_id))
        if scale_set_id not in self.broken:
            return await super()._mint(scale_set_id, name)
        await asyncio.sleep(10_000 if self.error == "hang" else 0.05)
        raise ERRORS[self.error]


def add(minter: Minter, number: int) -> MintQueue:
    """Serve one more scale set."""
    return minter.add_queue(
        ("default", f"set-{number}"), MintQueue(ScaleSetRef(name=f"set-{number}"), number, "x", "_work")
    )


async def ask(minter: Minter, queue: MintQueue, count: int) -> str:
    """Ask for runners; return what came of it."""
    try:
        outcomes = await minter.provision(queue, count, ProvisionSettings(), None)
    except Unavailable:
        return "unavailable"
    return "served" if all(isinstance(outcome, JitConfig) for outcome in outcomes) else "failed"


async def keep_asking(minter: Minter, queue: MintQueue, count: int, every: float) -> None:
    """Ask again and again, as a host does whose jobs wait."""
    while True:
        await ask(minter, queue, count)
        await asyncio.sleep(every)


@pytest.mark.parametrize("again", [0.3, 1.0, 5.0, 30.0])
@pytest.mark.parametrize("error", [*ERRORS, "hang"])
def test_a_scale_set_that_fails_shuts_out_no_other(error: str, again: float) -> None:
    """It opened the one circuit for all and took every probe: 0 of 120 calls of a healthy one served in 20 minutes."""

    async def main() -> None:
        service = Partly(42)
        service.error = error
        minter, bad, _ = make_minter(service, budget=Budget(10**9, 300.0))
        good = add(minter, 43)
        noise = asyncio.create_task(keep_asking(minter, bad, 20, again))
        await asyncio.sleep(60.0)
        for number in range(60):
            begun = asyncio.get_running_loop().time()
            assert await ask(minter, good, 2) == "served"
            assert await ask(minter, add(minter, 100 + number), 2) == "served", "one that is new, too"
            assert asyncio.get_running_loop().time() - begun < 1.0
            await asyncio.sleep(10.0)
        noise.cancel()

    run_virtually(main)


@pytest.mark.parametrize("error", [*ERRORS, "hang"])
def test_a_service_that_is_down_gets_a_probe_of_each_now_and_then(error: str) -> None:
    """Nothing works for anybody: in the second half of ten minutes each scale set sends one in about a minute."""

    async def main() -> None:
        service = Partly(*range(42, 62))
        service.error = error
        minter, first, _ = make_minter(service, budget=Budget(10**9, 300.0))
        queues = [first, *(add(minter, number) for number in range(43, 62))]
        begun = asyncio.get_running_loop().time()
        asking = [asyncio.create_task(keep_asking(minter, queue, 4, 3.0)) for queue in queues]
        await asyncio.sleep(600.0)
        late = Counter(number for at, number in service.sent if at > begun + 300.0)
        assert set(late) == set(range(42, 62)), "the probes go round"
        assert max(late.values()) <= 7
        service.broken.clear()
        await asyncio.sleep(90.0)
        assert [await ask(minter, queue, 20) for queue in queues] == ["served"] * 20, (
            "and all are served when it is back"
        )
        for task in asking:
            task.cancel()

    run_virtually(main)


def test_the_first_success_after_an_outage_lets_every_scale_set_try() -> None:
    """Whoever waits for a probe of its own that is due in a minute need not: another one found the service back."""

    async def main() -> None:
        service = Partly(42, 43)
        minter, one, _ = make_minter(service, budget=Budget(10**9, 300.0))
        other = add(minter, 43)
        asking = [asyncio.create_task(keep_asking(minter, queue, 20, 1.0)) for queue in (one, other)]
        await asyncio.sleep(600.0)
        for task in asking:
            task.cancel()
        await asyncio.sleep(0)
        await ask(minter, other, 1)
        service.broken.clear()
        assert await ask(minter, other, 1) == "unavailable"
        assert await ask(minter, add(minter, 44), 1) == "served"
        assert await ask(minter, other, 20) == "served"

    run_virtually(main)
