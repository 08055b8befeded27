"""What was part of the plugin's package is still found there, with a warning."""

import importlib
import sys

import pytest


@pytest.mark.parametrize(
    ("former", "name"),
    [("clock", "scaleset_client.clock"), ("github", "scaleset_client"), ("simulator", "scaleset_simulator")],
)
def test_a_former_name_leads_to_the_package(former: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, f"scaleset_burst.{former}", raising=False)
    with pytest.warns(DeprecationWarning, match=name):
        found = importlib.import_module(f"scaleset_burst.{former}")
    assert found is importlib.import_module(name)
