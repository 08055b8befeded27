"""Every scenario for the recording server."""

from typing import Final

from tests.conformance import scenarios_calls, scenarios_errors, scenarios_sessions, scenarios_tokens
from tests.conformance.scenario import Scenario

__all__ = ["RECORDED"]

RECORDED: Final[tuple[Scenario, ...]] = (
    *scenarios_calls.SCENARIOS,
    *scenarios_tokens.SCENARIOS,
    *scenarios_errors.SCENARIOS,
    *scenarios_sessions.SCENARIOS,
)
