"""The reference page and the how-to name what there is, and what they show works."""

import re
from pathlib import Path

import pytest

from scaleset_simulator import SimulatorProcess
from scaleset_simulator.commandline import parser
from scaleset_simulator.control import CHANGEABLE
from scaleset_simulator.faults import ACTIONS, parse_fault
from scaleset_simulator.routes import _ROUTES
from tests.unit.simulator.wire import Wire

DOCS = Path(__file__).resolve().parents[3] / "docs"
REFERENCE = (DOCS / "reference" / "simulator.md").read_text(encoding="utf-8")
HOW_TO = (DOCS / "how-to" / "simulate.md").read_text(encoding="utf-8")


def words(text: str) -> set[str]:
    """Return everything written as code, without a value."""
    return {re.split(r"[ =]", each)[0] for each in re.findall(r"`([^`\n]+)`", text)}


def test_every_option_is_in_the_table_and_no_other() -> None:
    options = {flag for action in parser()._actions for flag in action.option_strings if flag.startswith("--")}
    assert {each for each in words(REFERENCE) if each.startswith("--")} == options - {"--help"}


def test_every_kind_and_action_is_named() -> None:
    kinds = {kind for _, _, kind, _ in _ROUTES} | {"slice", "find_scale_set", "find_runner"}
    assert kinds | ACTIONS <= words(REFERENCE)


def test_every_changeable_setting_is_named() -> None:
    assert set(CHANGEABLE) <= words(REFERENCE)


def test_every_fault_shown_can_be_read() -> None:
    shown = re.findall(r"--fault \"?([^\"`]+)\"?`", HOW_TO) + re.findall(r"`([a-z*]+:[a-z-]+[^`]*[%0-9])`", REFERENCE)
    assert len(shown) >= 7
    for text in shown:
        parse_fault(text)


def test_every_counter_is_named() -> None:
    with SimulatorProcess() as simulator:
        assert set(simulator.counters()) <= words(REFERENCE)


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", HOW_TO, re.DOTALL))
def test_the_python_shown_runs(block: str) -> None:
    exec(compile(block, "docs/how-to/simulate.md", "exec"), {})


def test_every_control_named_exists() -> None:
    with SimulatorProcess() as simulator:
        wire = Wire(simulator)
        found = re.findall(r"`(GET|POST) (/_sim/[a-z/-]+)`", REFERENCE)
        assert len(found) == 12
        for method, path in found:
            reply = wire.send(method, path, {} if method == "POST" else None)
            assert b"no such control" not in reply.body, path
