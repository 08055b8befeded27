"""`bench cache` counts and measures something real."""

import pytest

from scaleset_burst.cli.bench_cache import measure

pytestmark = pytest.mark.anyio


async def test_a_thousand_cold_callers_are_one_request_and_warm_ones_none() -> None:
    figures = await measure(rounds=3, calls=5)
    assert (figures["stampede_callers"], figures["stampede_requests"]) == (1000, 1)
    assert figures["hit_calls"] == 15
    assert figures["hit_seconds_median"] > figures["raw_cachetools_seconds_median"] > 0
