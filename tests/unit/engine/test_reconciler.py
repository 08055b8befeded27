"""The fleet against a service whose list of runners is empty, cut or true."""

import asyncio

import pytest

from scaleset_burst.background import Background
from scaleset_burst.minting import MintQueue
from scaleset_burst.reconciler import PARALLEL, Reconciler
from scaleset_burst.settings import load_settings
from scaleset_client.types import Runner
from scaleset_hookspecs import ScaleSetRef
from scaleset_hookspecs.errors import Unavailable
from tests.kit.minting import make_minter
from tests.kit.service import ModelService
from tests.kit.virtual import VirtualClock, run_virtually


class Listing(ModelService):
    """A service whose list shows some of its runners, and whose look-ups by name fail when told so."""

    shown = 0
    down = False
    looking_up = 0

    async def list_runners(self) -> tuple[Runner, ...]:
        return (await super().list_runners())[: self.shown]

    async def find_runner(self, name: str) -> Runner | None:
        self.looking_up += 1
        assert self.looking_up <= PARALLEL
        try:
            if self.down:
                raise Unavailable("down")
            return await super().find_runner(name)
        finally:
            self.looking_up -= 1


def make_reconciler(service: Listing) -> tuple[Reconciler, MintQueue]:
    burst = {"github": {"config_url": "https://github.com/acme", "token": {"$env": "T"}}}
    settings = load_settings({"plugins": {"burst": burst}}, environ={"T": "t"}, read_file=lambda _: "")
    minter, _, _ = make_minter(service)
    reconciler = Reconciler(service, settings, minter._admission, clock=VirtualClock(), background=Background())
    return reconciler, MintQueue(ScaleSetRef(name="linux"), 42, "linux", "_work")


@pytest.mark.parametrize("shown", [0, 3, 100])
def test_only_runners_that_have_ended_leave_the_roster(shown: int) -> None:
    """Of 30 that a list shows or not, those 20 that live stay: else a demand that is met would be minted again."""

    async def main() -> None:
        service = Listing()
        service.shown = shown
        reconciler, queue = make_reconciler(service)
        for number in range(30):
            minted = service._commit(42, f"r-{number}")
            queue.fleet.add(minted.runner.name, minted.runner.id, asyncio.get_running_loop().time())
        await asyncio.sleep(3600.0)
        for number in range(20, 30):
            del service.runners[f"r-{number}"]
        for _ in range(5):
            reconciler.reconcile(queue)
            await asyncio.sleep(61.0)
        assert set(queue.fleet.names) == {f"r-{number}" for number in range(20)}

    run_virtually(main)


def test_looks_that_fail_drop_nobody() -> None:
    """The list answers, the looks by name do not: nothing is known of those it does not show."""

    async def main() -> None:
        service = Listing()
        service.down = True
        reconciler, queue = make_reconciler(service)
        queue.fleet.add("gone", 1, asyncio.get_running_loop().time())
        await asyncio.sleep(3600.0)
        for _ in range(5):
            reconciler.reconcile(queue)
            await asyncio.sleep(61.0)
        assert len(queue.fleet) == 1
        service.down = False
        for _ in range(2):
            reconciler.reconcile(queue)
            await asyncio.sleep(61.0)
        assert len(queue.fleet) == 0

    run_virtually(main)
