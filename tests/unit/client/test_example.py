"""The example in `examples/client.py`, and the listener of the page on the client, as their readers run them."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scaleset_simulator import SimulatorProcess

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "client.md"
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


def test_the_listener_of_the_page_hears_of_jobs(tmp_path: Path) -> None:
    """It says what needs a runner, and closes its session in the end."""
    (program,) = (one for one in re.findall("```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "Listener(" in one)
    (tmp_path / "listen.py").write_text(program)
    with SimulatorProcess(scale_set=["linux"], poll_seconds=1) as simulator:
        environment = os.environ | {"GITHUB_TOKEN": simulator.token, "CONFIG_URL": simulator.config_url}
        simulator.add_jobs("linux", 2)
        command = [sys.executable, str(tmp_path / "listen.py")]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as host:
            try:
                assert host.stdout is not None
                said = ""
                while "2 jobs need" not in said:
                    said = host.stdout.readline()
                    assert said, "it ended"
                host.send_signal(signal.SIGINT)
                host.wait(30)
            finally:
                host.kill()
        assert simulator.counters()["requests"]["close_session"] == 1
