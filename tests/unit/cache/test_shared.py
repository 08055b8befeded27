"""What hosts share: the old value is forgotten before anybody asks for the new one."""

import asyncio

from scaleset_burst.cache.kinds import Kind
from scaleset_burst.cache.service import Shared
from scaleset_burst.cache.shared import SharedLookups
from scaleset_client.types import ScaleSet
from tests.kit.virtual import VirtualClock, run_virtually


class SlowToForget:
    """A shared cache whose forgetting takes a while."""

    def __init__(self) -> None:
        self.said: list[str] = []

    async def get(self, kind: Kind, key: str) -> Shared | None:
        self.said.append("get")
        return None

    async def put(self, kind: Kind, key: str, shared: Shared, lifetime: float) -> None:
        self.said.append("put")

    async def invalidate(self, kind: Kind, key: str) -> None:
        await asyncio.sleep(0.2)
        self.said.append("forgotten")


def test_the_next_look_up_waits_until_the_old_value_is_forgotten() -> None:
    """Its answer was asked for before that and so not believed by the others: each deletion cost another look-up."""

    async def main() -> None:
        cache = SlowToForget()
        lookups = SharedLookups(cache, VirtualClock())

        async def fetch() -> ScaleSet | None:
            cache.said.append("asked")
            return None

        lookups.forget(Kind.SCALE_SET_NAME, "default/linux")
        await lookups.scale_set(("default", "linux"), 300.0, fetch, lambda _: True)
        assert cache.said[:3] == ["forgotten", "get", "asked"]

    run_virtually(main)
