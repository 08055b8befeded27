"""The example in `examples/client.py`, as its readers run it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scaleset_simulator import SimulatorProcess

EXAMPLE = Path(__file__).parents[3] / "examples" / "client.py"


def run(*arguments: str, token: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLE, *arguments],
        env=os.environ | {"GITHUB_TOKEN": token},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_example_mints_and_leaves_nothing_behind() -> None:
    """It ends well, says what it did, and the runner is gone."""
    with SimulatorProcess(scale_set=["linux"]) as simulator:
        done = run(simulator.config_url, token=simulator.token)
        assert done.returncode == 0, done.stderr
        assert "linux" in done.stdout
        assert "minted trial-" in done.stdout
        assert simulator.counters()["registrations"] == 1
        assert simulator.runners() == []


@pytest.mark.parametrize(
    ("arguments", "token", "said"),
    [
        ((), "x", "usage: "),
        (("https://github.com/acme",), "", "usage: "),
        (("http://github.com/acme",), "x", "error: plain http is for this machine only"),
    ],
)
def test_a_wrong_call_is_answered_in_one_line(arguments: tuple[str, ...], token: str, said: str) -> None:
    """No traceback for a slip."""
    done = run(*arguments, token=token)
    assert done.returncode == 1
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == 1
