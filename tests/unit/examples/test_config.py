"""The host reads its own sections, and says everything that is wrong with them at once, each with its line."""

import itertools
from pathlib import Path

import pytest

from autoscaler.config import load
from scaleset_client import AppCredentials, TokenCredentials
from scaleset_hookspecs import ConfigError, Label, ScaleSetRef

LAUGHS = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{above}'] * 9)}]}}\n" for above, name in itertools.pairwise("abcdefgh")
)
"""Merges that would make nine to the seventh entries of one."""

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "config.yaml"


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text))
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def test_the_example_file_is_right() -> None:
    config, settings = load(EXAMPLE)
    assert settings.scale_set == ScaleSetRef(name="demo-linux")
    assert settings.labels == (Label(name="demo-linux"),)
    assert settings.launcher == "simulated"
    assert config["plugins"]["burst"]["enabled"] is True


def test_the_least_there_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_FOR_TEST", "t0ken")
    text = """
github: {config_url: http://localhost/acme, token: {$env: TOKEN_FOR_TEST}}
autoscaler: {scale_set: s, command: [./run.sh, --once]}
"""
    _, settings = load(write(tmp_path, text))
    assert settings.credentials == TokenCredentials(token="t0ken")
    assert settings.command == ("./run.sh", "--once")
    assert (settings.min_idle, settings.max_runners, settings.create_scale_set) == (0, 10, True)
    assert "t0ken" not in repr(settings)
    assert settings.secret_variables == {"TOKEN_FOR_TEST"}


def test_a_github_app(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("KEY\n")
    text = """
github:
  config_url: http://localhost/acme
  app: {client_id: Iv1, installation_id: 7, private_key: {$file: key.pem}}
autoscaler: {scale_set: s, launcher: simulated}
"""
    _, settings = load(write(tmp_path, text))
    assert settings.credentials == AppCredentials(client_id="Iv1", installation_id=7, private_key="KEY")


def test_every_problem_is_said_at_once_with_its_line(tmp_path: Path) -> None:
    text = """\
github:
  config_url: http://localhost/acme
  token: ghp_literal
autoscaler:
  scale_set: ""
  max_runner: 5
  min_idle: -1
  launcher: podman
  labels: linux
"""
    assert problems(tmp_path, text) == [
        "config.yaml:3: github.token: found a literal str; expected a reference, `$env: NAME` or `$file: PATH`",
        "config.yaml:5: autoscaler.scale_set: found ''; expected a text",
        "config.yaml:9: autoscaler.labels: found 'linux'; expected a list of texts",
        "config.yaml:7: autoscaler.min_idle: found -1; expected a whole number from 0 up",
        "config.yaml:8: autoscaler.launcher: found 'podman'; expected simulated or command or docker",
        "config.yaml:6: autoscaler.max_runner: found an unknown key; expected a known key; did you mean `max_runners`?",
    ]


@pytest.mark.parametrize(
    ("github", "said"),
    [
        ("{config_url: u, token: {$env: NOT_SET_ANYWHERE}}", "found `$env: NOT_SET_ANYWHERE`, which is not set"),
        ("{config_url: u, token: {$file: nowhere}}", "found a file that does not open: No such file or directory"),
        ("{config_url: u, token: {$file: empty}}", "found `$file: empty`, which is empty"),
        ('{config_url: u, token: {$env: "a\\ud800b"}}', "which is not set"),
        ('{config_url: u, token: {$file: "a\\0b"}}', "found a file that does not open: not text"),
        ("{config_url: u, token: {$vault: x}}", "found another kind of reference"),
        ("{config_url: u}", "github.token: found nothing"),
        ("[1, 2]", "github: found a list; expected a section"),
        ("{config_url: u, token: {$file: a}, app: {}}", "found both `token` and `app`; expected one of them"),
    ],
)
def test_credentials_are_references_that_resolve(tmp_path: Path, github: str, said: str) -> None:
    (tmp_path / "empty").write_text("\n")
    text = f"github: {github}\nautoscaler: {{scale_set: s, launcher: simulated}}\n"
    assert said in "\n".join(problems(tmp_path, text))


def test_a_number_that_python_cannot_write_out_is_refused(tmp_path: Path) -> None:
    text = f"github: {{config_url: u}}\nautoscaler: {{scale_set: s, launcher: simulated, min_idle: -0x{'f' * 5000}}}\n"
    assert "config.yaml:2: autoscaler.min_idle: found a number too long" in "\n".join(problems(tmp_path, text))


@pytest.mark.parametrize("key", ["scale_set", "labels", "command"])
@pytest.mark.parametrize("text", ['"a\\0b"', '"a\\ud800b"'])
def test_a_text_that_no_request_and_no_command_can_hold_is_refused(tmp_path: Path, key: str, text: str) -> None:
    own = {"scale_set": "s", "launcher": "simulated", key: text if key == "scale_set" else f"[{text}]"}
    (tmp_path / "token").write_text("t")
    lines = "".join(f"  {name}: {value}\n" for name, value in own.items())
    (said,) = problems(tmp_path, f"github: {{config_url: u, token: {{$file: token}}}}\nautoscaler:\n{lines}")
    assert f"autoscaler.{key}: found " in said


@pytest.mark.parametrize("url", ["https://github.com/acme", "https://ghes.example/acme"])
def test_the_simulated_launcher_is_for_this_machine_only(tmp_path: Path, url: str) -> None:
    """It posts JIT configs, which hold a private key, to where the service is."""
    path = tmp_path / "config.yaml"
    (tmp_path / "token").write_text("ghp_x")
    path.write_text(
        f"github: {{config_url: {url}, token: {{$file: token}}}}\nautoscaler: {{scale_set: s, launcher: simulated}}\n"
    )
    with pytest.raises(ConfigError, match=r"autoscaler\.launcher: found `simulated` for a service on another machine"):
        load(path)


def test_the_launcher_command_needs_a_command(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    text = "github: {config_url: u, token: {$file: token}}\nautoscaler: {scale_set: s}\n"
    assert "autoscaler.command: found nothing; expected the program to run" in problems(tmp_path, text)[0]


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    text = """\
github: {config_url: u, token: {$file: token}}
autoscaler:
  scale_set: s
  launcher: simulated
  scale_set: t
"""
    said = "config.yaml:5: autoscaler.scale_set: found the key again; expected it once"
    assert problems(tmp_path, text) == [said]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "config.yaml:1: (file): found"),
        ("- a\n- b\n", "config.yaml:1: (file): found no mapping at the top"),
        ("", "config.yaml:1: (file): found no mapping at the top"),
        ("a: !!python/object/new:os.system [x]\n", "could not determine a constructor"),
        ("a:\n\tb: 1\n", "config.yaml:2: (file): found character '\\t' that cannot start any token"),
        ("a: \0\n", "found characters that YAML does not allow"),
        ("a: " + "[" * 3000 + "]" * 3000, "found values nested too deeply"),
        ("a: 2020-13-45\n", "found a value that YAML cannot read (month must be in 1..12)"),
        ("a: " + "9" * 5000, "found a value that YAML cannot read"),
        ("a: &a [*a]\n", "found aliases that unfold to too much"),
        (LAUGHS, "found aliases that unfold to too much"),
        ("#" * 1024 * 1024 + "\na: 1\n", "found a file that is too long; expected at most 1024 KiB"),
    ],
)
def test_what_is_no_yaml_mapping_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in problems(tmp_path, text)[0]


def test_a_file_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not open: No such file or directory"):
        load(tmp_path / "nowhere.yaml")


def test_anchors_have_a_place_at_the_top(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    text = """\
x-shared: &shared {scale_set: s, launcher: simulated}
github: {config_url: u, token: {$file: token}}
autoscaler: {<<: *shared, max_runners: 3}
"""
    assert load(write(tmp_path, text))[1].max_runners == 3
