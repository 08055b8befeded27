"""The loopback service, and a client of it."""

from collections.abc import AsyncIterator

import pytest

from scaleset_client import ScaleSetClient
from tests.unit.client.scripted import ScriptedService, SteppedClock, client_of, minted_answer, scripted_service


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
async def service(clock: SteppedClock, anyio_backend: str) -> AsyncIterator[ScriptedService]:
    async with scripted_service(clock) as running:
        running.on_service("POST", "runtime/runnerscalesets/42/generatejitconfig", minted_answer)
        yield running


@pytest.fixture
async def client(service: ScriptedService) -> AsyncIterator[ScaleSetClient]:
    async with client_of(service) as made:
        yield made
