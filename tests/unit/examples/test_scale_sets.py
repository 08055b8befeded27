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


@pytest.mark.parametrize("update", [False, True])
async def test_labels_that_differ_are_said_or_mended(update: bool, caplog: pytest.LogCaptureFixture) -> None:
    """They were changed in the file, and jobs that asked for the new one waited without a word anywhere."""
    with SimulatorProcess() as simulator:
        client = ScaleSetClient(simulator.config_url, TokenCredentials(token=simulator.token))
        try:
            await find_or_create(client, ScaleSetSettings(name="new", labels=("one",)))
            with caplog.at_level("INFO"):
                settings = ScaleSetSettings(name="new", labels=("one", "gpu"), update_scale_set=update)
                await find_or_create(client, settings)
            found = await client.get_scale_set_by_name("new")
        finally:
            await client.aclose()
    assert found is not None
    assert ("gpu" in {label.name for label in found.labels}) is update
    said = [record for record in caplog.records if "has the labels one; wanted: gpu, one" in record.getMessage()]
    assert [record.levelname for record in said] == ["INFO" if update else "WARNING"]
