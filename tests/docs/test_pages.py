"""The pages say what the code does: hooks and their arguments, the foreign host, links, public names."""

import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scaleset_hookspecs import specs
from scaleset_simulator import SimulatorProcess

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
HOST = DOCS / "tutorial" / "foreign_host.py"
THREADED_HOST = DOCS / "tutorial" / "threaded_host.py"


def hooks() -> dict[str, list[str]]:
    """Return every hook with its arguments, from the specifications themselves."""
    functions = inspect.getmembers(specs, inspect.isfunction)
    return {
        name: list(inspect.signature(hook).parameters) for name, hook in functions if hook.__module__ == specs.__name__
    }


def test_every_hook_is_a_heading_with_its_arguments() -> None:
    """No hook without a page, no page without a hook, and the same arguments in the same order."""
    headings = re.findall(r"^## (\w+)\((.*)\)$", (DOCS / "reference" / "hooks.md").read_text(), re.MULTILINE)
    assert {name: [each.strip() for each in text.split(",") if each] for name, text in headings} == hooks()
    assert len(hooks()) == 12


def run_host(
    config: str, count: int, folder: Path, token: str = "", program: Path = HOST
) -> subprocess.CompletedProcess[str]:
    """Run a host of the tutorial as its reader would."""
    (folder / "host.yaml").write_text(config)
    return subprocess.run(
        [sys.executable, str(program), "host.yaml", str(count)],
        cwd=folder,
        env={**os.environ, "GITHUB_TOKEN": token, "XDG_STATE_HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_foreign_host_is_short_and_stands_in_the_page() -> None:
    """Fewer than 30 lines, shown as they are."""
    program = HOST.read_text().strip()
    assert len(program.splitlines()) < 30
    assert program in (DOCS / "tutorial" / "adopting.md").read_text()


def test_the_adapter_is_short_and_stands_in_the_page() -> None:
    """The same for a host that others wrote."""
    program = (ROOT / "benchmarks" / "hosts" / "adapter.py").read_text().strip()
    assert len(program.splitlines()) < 30
    assert program in (DOCS / "how-to" / "adopt-nested-runner.md").read_text()


def test_the_foreign_host_answers_by_itself(tmp_path: Path) -> None:
    """Without a plugin its own default answers."""
    done = run_host("plugins: {}\n", 0, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "settings: unknown" in done.stdout


def test_the_threaded_host_launches_in_threads_and_stands_in_the_page(tmp_path: Path) -> None:
    """Every runner once, both ways, and it says what that saves; the secret is not printed."""
    program = THREADED_HOST.read_text().strip()
    assert program in (DOCS / "tutorial" / "adopting.md").read_text()
    with SimulatorProcess() as simulator:
        github = f"github: {{config_url: {simulator.config_url}, token: {{$env: GITHUB_TOKEN}}}}"
        done = run_host(f"{github}\nplugins: {{burst: {{}}}}\n", 20, tmp_path, simulator.token, THREADED_HOST)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("20 of 20 launched in ") == 2
        assert "launching in threads as configs arrive saves " in done.stdout
        assert len(simulator.runners()) == 40


def test_the_foreign_host_bursts_with_the_plugin(tmp_path: Path) -> None:
    """With two lines of YAML the plugin answers, and no secret is printed."""
    with SimulatorProcess() as simulator:
        config = (
            f"github: {{config_url: {simulator.config_url}, token: {{$env: GITHUB_TOKEN}}}}\nplugins: {{burst: {{}}}}\n"
        )
        done = run_host(config, 3, tmp_path, simulator.token)
        assert done.returncode == 0, done.stderr
        assert "settings: fresh" in done.stdout
        assert done.stdout.count("JitConfig(") == 3
        assert "encoded" not in done.stdout
        assert len(simulator.runners()) == 3


def test_the_program_of_the_page_on_the_client_runs(tmp_path: Path) -> None:
    """As it is printed, but for whom it asks; and it leaves nothing behind."""
    program = (DOCS / "how-to" / "client.md").read_text().split("```python\n")[1].split("```\n")[0]
    with SimulatorProcess(scale_set=["linux"]) as simulator:
        command = [sys.executable, "-c", program.replace("https://github.com/acme", simulator.config_url)]
        environment = {**os.environ, "GITHUB_TOKEN": simulator.token}
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "1 linux\n"), done.stderr
        assert simulator.counters()["registrations"] == 1
        assert simulator.runners() == []


def test_the_settings_of_a_host_read_as_the_page_shows(tmp_path: Path) -> None:
    """The program in the page runs, and says what the page says of the mistakes."""
    text = (DOCS / "tutorial" / "adopting.md").read_text()
    program = text.split("```python\n")[2].split("```\n")[0]
    github = "github: {config_url: https://github.com/acme, token: {$env: GITHUB_TOKEN}}\n"

    def run(pools: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "host.yaml").write_text(f"{github}pools: {pools}\n")
        environment = {**os.environ, "GITHUB_TOKEN": "hunter2"}
        command = [sys.executable, "-c", program]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    done = run("{large: {idle: 5m}}")
    assert done.stdout.startswith("300.0 TokenCredentials()\n{"), done.stderr
    failed = run("{large: {size: 0, idel: 5m}}").stderr
    for said in re.findall(r"found .*", failed):
        assert said in " ".join(text.split())
    assert failed.count("host.yaml:2: pools.large.") == 2
    assert "hunter2" not in done.stdout + failed


def pages() -> list[Path]:
    """Return every page of the project."""
    return [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page is a file of the project."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) + re.findall(r"^\[[^\]]+\]: (\S+)$", text, re.MULTILINE)
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert not missing


def packages() -> list[str]:
    """Return the names of all our packages but the commands, and that of the plugin, which the host loads by name."""
    return [
        ".".join(start.parent.relative_to(root).parts)
        for root in (ROOT / "hookspecs", ROOT / "plugin")
        for start in sorted(root.rglob("__init__.py"))
        if "cli" not in start.parts and start.parent.name != "scaleset_burst"
    ]


@pytest.mark.parametrize("name", packages())
def test_every_package_says_what_is_public(name: str) -> None:
    """`__all__` is there, sorted by nothing but taste, and every name in it exists."""
    package = importlib.import_module(name)
    assert package.__all__
    assert all(hasattr(package, each) for each in package.__all__)


def test_no_module_is_too_long() -> None:
    """A module holds one idea: none over 400 lines."""
    long = {
        str(path.relative_to(ROOT)): lines
        for folder in ("hookspecs", "plugin", "examples")
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert not long
