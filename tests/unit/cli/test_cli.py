"""The command line, as a process would see it: output, problems and exit codes."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner, Result

from scaleset_burst.cli.app import app

ROOT = Path(__file__).parents[3]
EXAMPLE = str(ROOT / "examples" / "config.yaml")

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    def call(*arguments: str, env: Mapping[str, str] | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), env=dict(env or {}))

    return call


def config(folder: Path, text: str) -> str:
    path = folder / "host.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_example_is_fine_without_any_environment(run: Run) -> None:
    result = run("check", EXAMPLE)
    assert result.exit_code == 0, result.stderr
    assert "*** ($file: simulator-token)" in result.stdout
    assert "batch.merge_window" in result.stdout
    assert "simulator-token\n" not in result.stdout
    assert result.stderr == ""


def test_check_gives_json(run: Run) -> None:
    result = run("check", EXAMPLE, "--json")
    report = json.loads(result.stdout)
    assert (report["ok"], report["enabled"]) == (True, True)
    rows = {row["path"]: row for row in report["settings"]}
    assert rows["cache.ttl"]["value"] == "5m"
    assert rows["cache.ttl"]["default"]


BAD = """\
github:
  config_url: https://github.com/acme
  token: ghp_0123456789
plugins:
  burst:
    batch:
      max_concurency: 3
      merge_window: 5 parsecs
    connections: {warm: 9, max: 8}
    batch: {}
"""


def test_every_problem_is_one_line_on_stderr_and_the_exit_code_is_2(run: Run, tmp_path: Path) -> None:
    path = config(tmp_path, BAD.replace("    batch: {}\n", ""))
    result = run("check", path)
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert [line.removeprefix(f"{path}:").partition(": found ")[0] for line in lines] == [
        "3: github.token",
        "7: plugins.burst.batch.max_concurency",
        "8: plugins.burst.batch.merge_window",
        "9: plugins.burst.connections.warm",
    ]
    assert all("; expected " in line for line in lines)
    assert "ghp_0123456789" not in result.stderr


def test_a_key_that_stands_twice_is_a_problem(run: Run, tmp_path: Path) -> None:
    path = config(tmp_path, BAD)
    assert f"{path}:10: plugins.burst.batch: found the key a second time" in run("check", path).stderr


def test_problems_as_json(run: Run, tmp_path: Path) -> None:
    result = run("check", config(tmp_path, "plugins: {burst: {}}\n"), "--json")
    assert result.exit_code == 2
    report = json.loads(result.stdout)
    assert not report["ok"]
    assert [problem["path"] for problem in report["problems"]] == ["plugins.burst.github"]
    assert report["problems"][0]["line"] == 1


def test_secrets_come_from_the_environment(run: Run, tmp_path: Path) -> None:
    path = config(tmp_path, "github: {config_url: https://github.com/a, token: {$env: T}}\nplugins: {burst: {}}\n")
    assert run("check", path, env={"T": "secret-value"}).exit_code == 0
    assert "secret-value" not in run("check", path, env={"T": "secret-value"}).output
    assert "`$env: T`, which is not set" in run("check", path, env={}).stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "other: 1\nplugin: {burst: {}}\n",
            ":2: plugin: found an unknown key; expected a known key; did you mean `plugins`",
        ),
        (
            "plugins:\n  brust: {}\n",
            ":2: plugins.brust: found an unknown key; expected a known key; did you mean `burst`?",
        ),
    ],
)
@pytest.mark.parametrize("command", ["check", "doctor"])
def test_a_misspelt_section_is_no_plugin_that_is_off(
    run: Run, tmp_path: Path, command: str, text: str, said: str
) -> None:
    result = run(command, config(tmp_path, text))
    assert result.exit_code == 2
    assert said.format("expected a known key") in result.stderr


@pytest.mark.parametrize("text", ["other: 1\n", "plugins: {another: {}}\n", "plugins: {burst: {enabled: false}}\n"])
def test_a_plugin_that_is_off_is_said_to_be_off(run: Run, tmp_path: Path, text: str) -> None:
    result = run("check", config(tmp_path, text))
    assert result.exit_code == 0
    assert "switched off" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [(), ("nonsense",), ("check",), ("check", EXAMPLE, "--nonsense"), ("check", "no-such-file.yaml"), ("doctor",)],
)
def test_wrong_usage_exits_with_2_and_no_traceback(run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_schema_prints_the_schema(run: Run) -> None:
    committed = (ROOT / "docs" / "reference" / "config.schema.json").read_text(encoding="utf-8")
    assert run("schema").stdout == committed


def test_version(run: Run) -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("scaleset-burst ")


def test_help_names_every_command(run: Run) -> None:
    text = run("--help").stdout
    assert all(name in text for name in ("check", "doctor", "schema", "simulate"))


def test_simulate_hands_its_options_to_the_simulator(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def fake(arguments: list[str]) -> int:
        seen.append(arguments)
        return 7

    simulator = ModuleType("scaleset_simulator")
    simulator.run = fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "scaleset_simulator", simulator)
    assert run("simulate", "--port", "0", "--help", "x").exit_code == 7
    assert seen == [["--port", "0", "--help", "x"]]


def without(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process that cannot import a module."""
    program = f"import sys; sys.modules[{module!r}] = None; from scaleset_burst.cli import main; main()"
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("module", "arguments", "extra"),
    [
        ("typer", ["--version"], "cli"),
        ("rich", ["check", EXAMPLE], "cli"),
        ("uvicorn", ["simulate"], "simulator"),
        ("uvicorn", ["bench", "cache"], "simulator"),
    ],
)
def test_without_an_extra_a_command_names_it(module: str, arguments: list[str], extra: str) -> None:
    result = without(module, *arguments)
    assert result.returncode == 1
    assert f"pip install 'scaleset-burst[{extra}]'" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("command", [["check", "examples/config.yaml"], ["schema"]])
def test_output_that_cannot_be_written_is_one_sentence(command: list[str]) -> None:
    """A full disk, as the printing or the last flush finds it."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "scaleset_burst.cli", *command],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "error: the output could not be written: No space left on device\n"


@pytest.mark.parametrize("words", [["a", "b"], ["prune", "a"], ["prune", "--older-than", "soon"]])
def test_runners_says_what_it_expects(run: Run, words: list[str]) -> None:
    result = run("runners", EXAMPLE, *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "expected" in result.stderr
