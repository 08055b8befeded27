"""Answers that no service should give, by the thousand: values and errors of ours, never anything else, no secret."""

import asyncio
import time
import traceback
from collections.abc import Callable

from hypothesis import HealthCheck, given, seed, settings
from hypothesis.strategies import SearchStrategy

from tests.chaos.outcome import ChaosResult
from tests.kit.fuzzing import Script, Totals, over_a_socket, over_a_transport, raw_scripts, scripts

SOCKET_SHARE = 5
"""One example in so many goes over a real socket, as bytes."""


def run_fuzz(examples: int, number: int) -> ChaosResult:
    """Try so many examples; a failing one is shrunk and printed."""
    started = time.monotonic()
    on_sockets = examples // SOCKET_SHARE
    totals, broken = Totals(), []
    for count, strategy, run in (
        (examples - on_sockets, scripts(), over_a_transport),
        (on_sockets, raw_scripts(), lambda script, totals: asyncio.run(over_a_socket(script, totals))),
    ):
        try:
            _try(count, number, strategy, run, totals)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the finding
            traceback.print_exc()
            broken.append(f"{type(error).__name__}: {error}")
    return {
        "examples": totals.examples,
        "on_sockets": on_sockets,
        "outcomes": dict(totals.outcomes),
        "other_exceptions": len(broken),
        "seed": number,
        "broken_promises": broken,
        "seconds": round(time.monotonic() - started, 1),
    }


def _try(
    count: int,
    number: int,
    strategy: SearchStrategy[Script],
    run: Callable[[Script, Totals], None],
    totals: Totals,
) -> None:
    @seed(number)
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def any_answer(script: Script) -> None:
        run(script, totals)

    any_answer()
