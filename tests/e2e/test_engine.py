"""One engine as a host has it, against the simulator: what it asks, what it shows, and a scale set that moves."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from scaleset_burst.engine import Engine
from scaleset_burst.metrics import Metrics
from scaleset_burst.minting import ConfigTiming
from scaleset_burst.minting.report import PARTS
from scaleset_burst.settings import Settings, load_settings
from scaleset_hookspecs import (
    Certainty,
    FailureReason,
    JitConfig,
    MintFailure,
    NotFound,
    ProvisionSettings,
    RunnerRef,
    ScaleSetRef,
    Statistics,
)
from scaleset_simulator import SimulatorProcess

pytestmark = [pytest.mark.anyio, pytest.mark.alone]

LINUX = ScaleSetRef(name="demo-linux")
TOKENS = {"installation", "registration", "admin"}


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(group_capacity=50_000, registrations=50_000) as process:
        yield process


def settings(simulator: SimulatorProcess, **sections: dict[str, object]) -> Settings:
    burst = {
        "github": {"config_url": simulator.config_url, "token": {"$env": "TOKEN"}},
        "journal": {"directory": ":memory:"},
        **sections,
    }
    return load_settings({"plugins": {"burst": burst}}, environ={"TOKEN": simulator.token}, read_file=lambda _: "")


@asynccontextmanager
async def running(simulator: SimulatorProcess, **sections: dict[str, object]) -> AsyncIterator[Engine]:
    engine = Engine(settings(simulator, **sections))
    try:
        yield engine
    finally:
        await engine.stop()


async def burst(engine: Engine, count: int, ref: ScaleSetRef = LINUX) -> list[JitConfig]:
    outcomes = await engine.provision(ref, count, ProvisionSettings(), None)
    assert not [outcome for outcome in outcomes if isinstance(outcome, MintFailure)]
    return [outcome for outcome in outcomes if isinstance(outcome, JitConfig)]


def asked(simulator: SimulatorProcess) -> dict[str, int]:
    """Return what was asked besides tokens and mints."""
    requests = simulator.counters()["requests"]
    return {kind: count for kind, count in requests.items() if kind not in TOKENS | {"mint"}}


async def test_a_thousand_mints_ask_for_no_metadata_when_warm_and_once_when_cold(simulator: SimulatorProcess) -> None:
    async with running(simulator, budget={"registrations": 50_000}) as engine:
        simulator.reset_counters()
        assert len(await burst(engine, 1000)) == 1000
        cold = asked(simulator)
        assert 1 <= sum(cold.values()) <= 3, cold
        simulator.reset_counters()
        assert len(await burst(engine, 1000)) == 1000
        assert asked(simulator) == {}
        assert simulator.counters()["requests"] == {"mint": 1000}


async def test_a_scale_set_recreated_in_the_middle_of_a_burst_costs_one_look_up() -> None:
    # With some latency, what is in flight when the scale set goes is a wave, and never all the rest.
    with SimulatorProcess(latency="30ms") as simulator:
        async with running(simulator) as engine:
            before = (await burst(engine, 1))[0].scale_set.id
            simulator.reset_counters()
            delivered: list[JitConfig] = []

            def ready(config: JitConfig) -> None:
                delivered.append(config)
                if len(delivered) == 100:
                    simulator.recreate(LINUX.name)

            outcomes = await engine.provision(LINUX, 400, ProvisionSettings(), ready)
            assert len(delivered) == len(outcomes) == 400
            assert all(isinstance(outcome, JitConfig) for outcome in outcomes)
            assert len({config.scale_set.id for config in delivered} - {before}) == 1
            assert sum(asked(simulator).values()) == 1, asked(simulator)


async def test_what_the_engine_shows_is_what_happened(simulator: SimulatorProcess) -> None:
    async with running(simulator) as engine:
        assert engine.last_report is None
        assert engine.snapshot().mints == {}
        await burst(engine, 130)
        with pytest.raises(NotFound):
            await engine.provision(ScaleSetRef(name="no-such-set"), 2, ProvisionSettings(), None)
        shown = engine.snapshot()
        assert shown.mints == {(LINUX.name, "minted"): 130}
        assert (shown.bursts, sum(shown.mint_seconds.counts)) == (1, 130)
        assert shown.waves >= 3
        assert (shown.budget_used, shown.budget_left) == (130, 1370)
        assert shown.requests["mint"] == 130
        assert shown.token_renewals == 1
        assert shown.connections_open == shown.connections_opened <= 64
        assert shown.journal_open == 130
        for config in await burst(engine, 1):
            engine.runner_launched(LINUX, config)
        text = _scrape(engine)
        assert text["scaleset_burst_mints_total", "minted"] == 131
        assert text["scaleset_burst_cache_requests_total", "scale_set_name"] >= 1
    assert engine.snapshot().journal_open == 0


async def test_a_scale_set_is_shown_before_its_first_mint(simulator: SimulatorProcess) -> None:
    """Else the first burst of all, refused as a whole, is no increase, and no alert says so."""
    async with running(simulator) as engine:
        await engine.start()
        engine.statistics_seen(LINUX, Statistics())
        assert engine.snapshot().mints == {(LINUX.name, "minted"): 0}


async def test_what_waits_for_the_limits_is_shown_and_for_how_long(simulator: SimulatorProcess) -> None:
    async with running(simulator, budget={"registrations": 50}) as engine:
        waiting = asyncio.create_task(engine.provision(LINUX, 80, ProvisionSettings(), None))
        async with asyncio.timeout(60):
            while (shown := engine.snapshot()).waiting != 30 or not shown.eta_seconds:
                await asyncio.sleep(0.01)
        assert 0 < shown.eta_seconds <= 300
        waiting.cancel()
        await asyncio.wait([waiting])
        shown = engine.snapshot()
        assert (shown.waiting, shown.eta_seconds, shown.sharing_hosts) == (0, 0, None)


async def test_a_runner_that_we_removed_is_not_remembered_as_minted(simulator: SimulatorProcess) -> None:
    refused: list[JitConfig] = []

    def refuse(config: JitConfig) -> None:
        refused.append(config)
        raise RuntimeError("no machine for it")

    async with running(simulator, cache={"runner_grace": "0s"}) as engine:
        await engine.provision(LINUX, 1, ProvisionSettings(), refuse)
        while engine.minter.resolver.removed == 0:
            await asyncio.sleep(0.01)
        for runner in (RunnerRef(id=refused[0].runner_id), RunnerRef(name=refused[0].runner_name)):
            assert (await engine.runner_info(LINUX, runner)).certainty is Certainty.ABSENT


async def test_a_host_that_starts_again_remembers_what_the_limits_hold(
    simulator: SimulatorProcess, tmp_path: Path
) -> None:
    limits: dict[str, dict[str, object]] = {"budget": {"registrations": 50}, "journal": {"directory": str(tmp_path)}}
    async with running(simulator, **limits) as engine:
        await burst(engine, 30)
        # No stop: this one dies, and the next one begins with the same file.
        async with running(simulator, **limits) as survivor:
            assert survivor.snapshot().budget_used == 0
            outcomes = await survivor.provision(LINUX, 40, ProvisionSettings(deadline=1.0), None)
            minted = [outcome for outcome in outcomes if isinstance(outcome, JitConfig)]
            failed = {outcome.reason for outcome in outcomes if isinstance(outcome, MintFailure)}
            assert (len(minted), failed) == (20, {FailureReason.RATE_LIMITED})
            assert survivor.snapshot().budget_left == 0


async def test_the_parts_of_each_config_sum_to_its_total(simulator: SimulatorProcess) -> None:
    async with running(simulator, batch={"max_concurrency": 10}) as engine:
        await burst(engine, 60)
        report = engine.last_report
        assert report is not None
        assert (len(report.timings), report.requests) == (60, 60)
        assert report.waves >= 6
        for timing in report.timings:
            assert ConfigTiming._fields == PARTS
            parts = [getattr(timing, part) for part in PARTS]
            assert min(parts) >= 0
            assert abs(sum(parts) - timing.total) < 1e-9
            assert timing.total <= report.seconds
        shown = engine.snapshot()
        assert set(shown.mint_parts) == set(PARTS)
        assert sum(shown.mint_parts.values()) == pytest.approx(shown.mint_seconds.total)


async def test_a_group_that_is_nearly_full_is_said_once(
    simulator: SimulatorProcess, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(simulator, budget={"group_capacity": 100}) as engine:
        engine.statistics_seen(LINUX, Statistics(registered_runners=50))
        await burst(engine, 29)
        assert "the runner group" not in caplog.text
        await burst(engine, 5)
        engine.statistics_seen(LINUX, Statistics(registered_runners=90))
        assert caplog.text.count("the runner group 'default' holds at least 80 of 100 runners") == 1


def _scrape(engine: Engine) -> dict[tuple[str, str], float]:
    registry = CollectorRegistry()
    Metrics(registry).add(engine.snapshot, scale_sets=[LINUX.name])
    found: dict[tuple[str, str], float] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            label = sample.labels.get("outcome") or sample.labels.get("kind") or ""
            found[sample.name, label] = found.get((sample.name, label), 0.0) + sample.value
    return found
