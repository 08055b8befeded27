"""`bench cache` counts and measures something real."""

import functools
import json

import pytest
from typer.testing import CliRunner, Result

from scaleset_burst.cli import bench_cache
from scaleset_burst.cli.app import app
from scaleset_burst.cli.bench_cache import measure
from scaleset_burst.settings import Settings
from scaleset_simulator import SimulatorProcess


@pytest.mark.anyio
async def test_a_thousand_cold_callers_are_one_request_and_warm_ones_none() -> None:
    figures = await measure(rounds=3, calls=5)
    assert (figures["stampede_callers"], figures["stampede_requests"]) == (1000, 1)
    assert figures["hit_calls"] == 15
    assert figures["hit_seconds_median"] > figures["raw_cachetools_seconds_median"] > 0


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_cache, "measure", functools.partial(measure, callers=10, rounds=1, calls=1))


def bench() -> Result:
    return CliRunner().invoke(app, ["bench", "cache", "--json"])


@pytest.mark.usefixtures("short")
def test_the_last_line_is_the_figures() -> None:
    result = bench()
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert figures.keys() >= {"hit_seconds_median", "raw_cachetools_seconds_median"}
    assert (figures["stampede_callers"], figures["stampede_requests"]) == (10, 1)


@pytest.mark.usefixtures("short")
def test_a_service_that_refuses_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = bench_cache._settings

    def refused(simulator: SimulatorProcess) -> Settings:
        simulator.token = "wrong"
        return settings(simulator)

    monkeypatch.setattr(bench_cache, "_settings", refused)
    result = bench()
    assert result.exit_code == 1
    assert result.stderr.startswith("error: getting a registration token failed")


@pytest.mark.usefixtures("short")
def test_a_measurement_of_something_else_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(holds: bool, otherwise: str) -> None:
        check(not holds, otherwise)

    check = bench_cache._check
    monkeypatch.setattr(bench_cache, "_check", spoil)
    result = bench()
    assert result.exit_code == 1
    assert result.stderr.startswith("error: the benchmark measured something else")
