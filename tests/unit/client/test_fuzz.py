"""Whatever the service answers: a value or an error of ours, and no secret in either (10,000 in `make chaos`)."""

import asyncio

from hypothesis import HealthCheck, given, settings

from tests.kit.examples import examples
from tests.kit.fuzzing import Script, Totals, over_a_socket, over_a_transport, raw_scripts, scripts

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=examples(300), deadline=None, suppress_health_check=SLOW)
@given(scripts())
def test_any_answer_is_a_value_or_an_error_of_ours(script: Script) -> None:
    over_a_transport(script, Totals())


@settings(max_examples=examples(200), deadline=None, suppress_health_check=SLOW)
@given(raw_scripts())
def test_any_bytes_are_a_value_or_an_error_of_ours(script: Script) -> None:
    asyncio.run(over_a_socket(script, Totals()))
