"""The command line, as a process would see it: output, problems and exit codes."""

import json
import os
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
        ("jsonschema", ["check", EXAMPLE], "cli"),
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
            [sys.executable, "-m", "scaleset_burst", *command],
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


RULES = """\
# yaml-language-server: $schema=rules.json
github: {config_url: https://github.com/acme, token: {$env: T}}
autoscaler:
  scale_set: a
  launcher: dockr
  max_runners: x
  min_idle: "5"
  max_runner: 4
  drain_timeout: -4
autoscaling: 5
plugins:
  burst: {journal: {directory: state}}
  other: 5
"""


def check_by_rules(run: Run, folder: Path, text: str, rules: str | None = None) -> Result:
    """Check a file beside the rules of the example host."""
    (folder / "rules.json").write_text(rules or (ROOT / "examples" / "config.schema.json").read_text())
    return run("check", config(folder, text), env={"T": "t"})


def test_the_hosts_own_rules_are_asked_and_each_problem_has_its_line(run: Run, tmp_path: Path) -> None:
    result = check_by_rules(run, tmp_path, RULES)
    assert result.exit_code == 2
    assert [line.removeprefix(f"{tmp_path}/host.yaml:") for line in result.stderr.splitlines()] == [
        "5: autoscaler.launcher: found `dockr`; expected one of `command`, `simulated`, `docker`",
        '6: autoscaler.max_runners: found `"x"`; expected a whole number from 1 up',
        '7: autoscaler.min_idle: found `"5"`; expected a whole number from 0 up',
        "8: autoscaler.max_runner: found an unknown key; expected a known key; did you mean `max_runners`?",
        "9: autoscaler.drain_timeout: found `-4`; expected a duration such as `5m`, `250ms` or a number of seconds",
        "10: autoscaling: found an unknown key; expected a known key; did you mean `autoscaler`?",
        "13: plugins.other: found `5`; expected a section or nothing",
    ]


@pytest.mark.parametrize("command", ["", "command: []"])
def test_rules_between_settings_have_a_line_too(run: Run, tmp_path: Path, command: str) -> None:
    text = f"# yaml-language-server: $schema=rules.json\nautoscaler:\n  scale_set: a\n  {command}\n"
    said = check_by_rules(run, tmp_path, text).stderr.splitlines()
    place, found = (4, "a list of 0") if command else (2, "nothing")
    assert {line.removeprefix(f"{tmp_path}/host.yaml:") for line in said} == {
        "2: github: found nothing; expected a section",
        f"{place}: autoscaler.command: found {found}; expected the program to run, as a list: [./run.sh]",
    }


def test_a_file_that_is_right_by_the_hosts_rules_says_so(run: Run, tmp_path: Path) -> None:
    text = RULES.replace("dockr", "docker").replace(" x\n", " 5\n").replace('"5"', "5")
    for line in ("  max_runner: 4\n", "  drain_timeout: -4\n", "autoscaling: 5\n", "  other: 5\n"):
        text = text.replace(line, "")
    result = check_by_rules(run, tmp_path, text)
    assert result.exit_code == 0, result.stderr
    assert "the host's own sections are right by the rules of rules.json" in result.stdout


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "not checked: no line `# yaml-language-server: $schema=FILE` names rules"),
        ("# yaml-language-server: $schema=nowhere.json\n", "not checked: `nowhere.json` does not open (No such file"),
        (
            "# yaml-language-server: $schema=https://h.example/x.json\n",
            "not checked: rules at an address",
        ),
    ],
)
def test_a_host_without_rules_is_said_not_to_be_checked(run: Run, tmp_path: Path, line: str, said: str) -> None:
    result = run("check", config(tmp_path, line + "autoscaler: {max_runners: x}\n"))
    assert result.exit_code == 0
    assert f"the host's own sections are {said}" in result.stdout


@pytest.mark.parametrize("rules", ["{", '{"type": 5}', '{"$ref": "https://h.example/x.json"}'])
def test_rules_that_are_none_are_a_problem_at_their_line(run: Run, tmp_path: Path, rules: str) -> None:
    result = check_by_rules(run, tmp_path, RULES, rules)
    assert result.exit_code == 2
    assert "host.yaml:1: (file): found rules that cannot be used: `rules.json`" in result.stderr


def test_a_secret_in_the_hosts_section_is_not_repeated(run: Run, tmp_path: Path) -> None:
    text = RULES.replace("{$env: T}", "hunter2").replace("{journal: {directory: state}}", "{enabled: false}")
    result = check_by_rules(run, tmp_path, text)
    assert "github.token: found a literal text of 7 characters" in result.stderr
    assert "hunter2" not in result.output


@pytest.mark.parametrize("twice", ["autoscaler: {a: 1}\nautoscaler: {b: 1}\n", "other: {a: {b: 1, b: 2}}\n"])
def test_a_key_of_the_host_that_stands_twice_is_a_problem(run: Run, tmp_path: Path, twice: str) -> None:
    result = run("check", config(tmp_path, twice))
    assert result.exit_code == 2
    assert "found the key a second time; expected each key once" in result.stderr


def test_the_file_may_come_from_standard_input(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "scaleset_burst", "check", "-"]
    text = (ROOT / "examples" / "config.yaml").read_text()
    for folder, status, where in ((ROOT / "examples", 0, "stdout"), (tmp_path, 2, "stderr")):
        done = subprocess.run(command, cwd=folder, input=text, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == status, done.stderr
        assert "(standard input)" in getattr(done, where)


@pytest.mark.parametrize(
    ("module", "setting", "extra"),
    [
        ("redis", "sharing: {url: redis://h}", "redis"),
        ("cryptography", "github: {app: {}}", "app"),
        ("opentelemetry.exporter.otlp.proto.http", "traces: true", "otel"),
    ],
)
def test_a_setting_that_needs_an_extra_says_so(tmp_path: Path, module: str, setting: str, extra: str) -> None:
    path = config(tmp_path, f"plugins:\n  burst:\n    {setting}\n")
    result = without(module, "check", path)
    assert result.returncode == 2
    assert f"a setting that needs `{module}`, which is not installed; expected pip install" in result.stderr
    assert f"'scaleset-burst[{extra}]'" in result.stderr


def test_a_folder_where_no_journal_can_be_kept_is_a_problem(run: Run, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "file").touch()
    text = "github: {config_url: https://github.com/acme, token: {$env: T}}\nplugins:\n  burst:\n    journal:\n"
    wrong = {"open": "may be written by everybody", "file/journal": "file is no folder"}
    for directory, said in (*wrong.items(), ("new/state", "")):
        result = run("check", config(tmp_path, f"{text}      directory: {directory}\n"), env={"T": "t"})
        assert result.exit_code == (2 if said else 0), result.output
        assert said in result.stderr
        if said:
            assert "host.yaml:5: plugins.burst.journal.directory: found " in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "host.yaml", "open"], "nothing was made"


def test_a_shell_completes_the_commands() -> None:
    script = Path(sys.executable).with_name("scaleset-burst")
    words = {"_SCALESET_BURST_COMPLETE": "complete_bash", "COMP_WORDS": "scaleset-burst do", "COMP_CWORD": "1"}
    done = subprocess.run([script], env={**os.environ, **words}, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["doctor"]
