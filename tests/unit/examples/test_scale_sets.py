"""The host's scale set: found, or made by whichever host is the first."""

import asyncio

import pytest

from autoscaler.config import ScaleSetSettings
from autoscaler.scale_sets import find_or_create
from scaleset_client import ScaleSetClient, TokenCredentials
from scaleset_simulator import SimulatorProcess

pytestmark = pytest.mark.anyio


async def test_hosts_that_start_at_once_share_the_scale_set_that_one_of_them_makes() -> None:
    with SimulatorProcess("--latency", "50ms") as simulator:
        credentials = TokenCredentials(token=simulator.token)
        settings = ScaleSetSettings(name="new")
        client = ScaleSetClient(simulator.config_url, credentials)
        try:
            found = await asyncio.gather(*(find_or_create(client, settings) for _ in range(5)))
        finally:
            await client.aclose()
        requests = simulator.counters()["requests"]
    assert len({scale_set.id for scale_set in found}) == 1
    assert requests["create_scale_set"] > 1, "they met"
