"""The example in `examples/client.py`, as its readers run it."""

import os
import subprocess
import sys
from pathlib import Path

from scaleset_burst.simulator import SimulatorProcess

EXAMPLE = Path(__file__).parents[3] / "examples" / "client.py"


def test_the_example_mints_and_leaves_nothing_behind() -> None:
    """It ends well, says what it did, and the runner is gone."""
    with SimulatorProcess(scale_set=["linux"]) as simulator:
        done = subprocess.run(
            [sys.executable, EXAMPLE, simulator.config_url],
            env=os.environ | {"GITHUB_TOKEN": simulator.token},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "linux" in done.stdout
        assert "minted trial-" in done.stdout
        assert simulator.counters()["registrations"] == 1
        assert simulator.runners() == []
