"""The differences that are documented, those that are allowed, and those that scenarios show are the same ones."""

import re
from collections import Counter
from pathlib import Path

from tests.conformance.differences import DIFFERENCES
from tests.conformance.scenarios import RECORDED

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "differences.md"
ROWS = re.findall(r"^\| `([a-z0-9-]+)` \|(?:[^|]+\|){3} ([^|]+) \|$", PAGE.read_text(), re.MULTILINE)

HELD = re.findall(r"^\| \*\*[a-z0-9-]+\*\* \|(?:[^|]+\|){3} `([^`]+)::([^`]+)` \|$", PAGE.read_text(), re.MULTILINE)


def test_every_difference_is_documented_allowed_and_shown() -> None:
    """One table in the documentation, one in the code, one set of scenarios: the same ids in all."""
    shown = {name for scenario in RECORDED for name in scenario.differs}
    assert {name for name, _ in ROWS} == set(DIFFERENCES) == shown
    assert len(ROWS) == len(DIFFERENCES)


def test_every_row_names_a_scenario_that_shows_it() -> None:
    """The last column is the name of a scenario that claims the difference."""
    by_name = {scenario.name: scenario for scenario in RECORDED}
    assert [row for row in ROWS if row[0] not in by_name[row[1]].differs] == []


def test_scenarios_have_names_of_their_own_and_are_many() -> None:
    """A scenario is found by its name."""
    twice = [name for name, count in Counter(one.name for one in RECORDED).items() if count > 1]
    assert (twice, len(RECORDED) >= 40) == ([], True)


def test_what_no_scenario_can_show_is_held_by_a_test_that_exists() -> None:
    """The last column names it."""
    assert HELD
    for path, name in HELD:
        assert f"def {name}(" in (PAGE.parents[2] / path).read_text(), (path, name)
