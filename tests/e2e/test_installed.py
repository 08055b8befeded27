"""From an installed wheel, through the real entry point, in a clean environment: one word in YAML decides."""

import json
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from scaleset_simulator import SimulatorProcess
from tests.e2e.hosting import ROOT, configuration, run_host, write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SCALE_SET = "e2e"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of an environment that has the wheel, and nothing else of ours."""
    folder = tmp_path_factory.mktemp("installed")
    pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    (wheel,) = folder.glob("scaleset_burst-*.whl")
    venv.create(folder / "venv", with_pip=True)
    interpreter = folder / "venv" / "bin" / "python"
    pip("install", "--constraint", str(ROOT / "constraints" / "all.txt"), str(wheel), python=str(interpreter))
    return str(interpreter)


def pip(*arguments: str, python: str = sys.executable) -> None:
    command = [python, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(scale_set=SCALE_SET) as process:
        yield process


def test_the_environment_has_the_installed_package_and_not_the_sources(python: str, tmp_path: Path) -> None:
    code = "import scaleset_burst, scaleset_hookspecs; print(scaleset_burst.__file__, scaleset_hookspecs.__file__)"
    done = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.count("site-packages") == 2


def test_what_an_index_shows_has_no_link_into_the_checkout(python: str, tmp_path: Path) -> None:
    code = "from importlib.metadata import metadata; print(metadata('scaleset-burst')['Description'])"
    shown = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "# scaleset-burst" in shown
    targets = re.findall(r"\]\(([^)]+)\)", shown) + re.findall(r"(?m)^\[[^\]]+\]: (\S+)$", shown)
    assert [target for target in targets if not target.startswith("https://")] == []


@pytest.mark.parametrize("plugin", [False, True], ids=["default", "plugin"])
def test_the_same_burst_through_the_hosts_own_hooks_or_through_the_plugin(
    python: str, tmp_path: Path, simulator: SimulatorProcess, plugin: bool
) -> None:
    config = write(tmp_path, configuration(simulator.config_url, plugin=plugin), simulator.token)
    report = tmp_path / "report.jsonl"
    ended = run_host(config, "--once", "20", "--report", str(report), python=python)
    assert ended.status == 0, ended.err
    assert json.loads(report.read_text().splitlines()[-1])["runners_ready"] == 20
    assert len(simulator.runners()) == 20
    assert (tmp_path / "journal").exists() == plugin
