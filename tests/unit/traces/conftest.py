"""A provider as a host has one, and engines that use it."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from scaleset_burst.engine import Engine
from scaleset_burst.settings import load_settings
from scaleset_burst.traces import provider as provider_module
from scaleset_simulator import SimulatorProcess

TOKEN = "ghp_s3cr3tT0kenThatNobodyMaySee0123456789"

Running = Callable[..., AbstractAsyncContextManager[Engine]]


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(token=TOKEN, latency="1ms", registrations=50_000) as process:
        yield process


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> TracerProvider:
    """The one that the process has set, for this test."""
    made = TracerProvider(shutdown_on_exit=False)
    monkeypatch.setattr(provider_module, "get_tracer_provider", lambda: made)
    return made


@pytest.fixture
def spans(provider: TracerProvider) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter


@pytest.fixture
def running(simulator: SimulatorProcess) -> Iterator[Running]:
    @asynccontextmanager
    async def run(**sections: object) -> AsyncIterator[Engine]:
        burst = {
            "github": {"config_url": simulator.config_url, "token": {"$env": "T"}},
            "journal": {"directory": ":memory:"},
            "traces": True,
            **sections,
        }
        engine = Engine(
            load_settings({"plugins": {"burst": burst}}, environ={"T": simulator.token}, read_file=lambda _: "")
        )
        await engine.start()
        try:
            yield engine
        finally:
            await engine.stop(0.2)

    yield run
    simulator.faults([])
