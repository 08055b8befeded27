"""The host reads its own sections, and says everything that is wrong with them at once, each with its line."""

import itertools
import re
from pathlib import Path

import pytest

from autoscaler.config import AutoscalerSettings, HostSettings, load
from scaleset_client import AppCredentials, TokenCredentials
from scaleset_hookspecs import ConfigError, Label, ScaleSetRef
from scaleset_hookspecs.configuration import variables_of

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


URL = "http://localhost/acme"
KEY = "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n"
GITHUB = f"github: {{config_url: {URL}, token: {{$file: token}}}}\n"


@pytest.fixture(autouse=True)
def token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")


def read(folder: Path, text: str) -> HostSettings:
    return load(write(folder, GITHUB + text))[1]


def test_the_example_file_is_right() -> None:
    config, settings = load(EXAMPLE)
    (own,) = settings.scale_sets
    assert own.ref == ScaleSetRef(name="demo-linux")
    assert own.wanted_labels == (Label(name="demo-linux"),)
    assert own.launcher == "simulated"
    assert config["plugins"]["burst"]["enabled"] is True


def test_the_example_names_every_setting_and_its_meaning() -> None:
    text = EXAMPLE.read_text()
    prose = " ".join(text.replace("#", " ").split())
    for name, field in AutoscalerSettings.model_fields.items():
        assert re.search(rf"(?m)^  (#? *){name}:", text), name
        assert (field.description or "").rstrip(".") in prose, name


def test_the_least_there_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_FOR_TEST", "t0ken")
    text = f"""
github: {{config_url: {URL}, token: {{$env: TOKEN_FOR_TEST}}}}
autoscaler: {{scale_set: s, command: [./run.sh, --once]}}
"""
    config, settings = load(write(tmp_path, text))
    (own,) = settings.scale_sets
    assert settings.github.credentials() == TokenCredentials(token="t0ken")
    assert own.command == ("./run.sh", "--once")
    assert (own.min_idle, own.max_runners, own.create_scale_set, own.update_scale_set) == (0, 10, True, False)
    assert own.wanted_labels == (Label(name="s"),)
    assert "t0ken" not in repr(settings)
    assert variables_of(config) == {"TOKEN_FOR_TEST"}


def test_several_scale_sets_share_what_stands_beside_them(tmp_path: Path) -> None:
    text = """
autoscaler:
  launcher: docker
  image: runner:1
  max_runners: 7
  scale_sets:
    - {name: linux, labels: [linux, x64]}
    - {name: gpu, max_runners: 2, launcher: command, command: [./gpu.sh], runner_group: gpus}
"""
    linux, gpu = read(tmp_path, text).scale_sets
    assert (linux.launcher, linux.image, linux.max_runners, linux.ref.runner_group) == (
        "docker",
        "runner:1",
        7,
        "default",
    )
    assert (gpu.launcher, gpu.command, gpu.max_runners, gpu.ref.runner_group) == ("command", ("./gpu.sh",), 2, "gpus")
    assert [label.name for label in (*linux.wanted_labels, *gpu.wanted_labels)] == ["linux", "x64", "gpu"]


def test_problems_of_each_scale_set_have_their_own_line(tmp_path: Path) -> None:
    text = """\
autoscaler:
  max_runners: 3
  scale_sets:
    - name: a
      launcher: docker
    - name: a
      launcher: simulated
      min_idle: 4
      labels: [a, 5]
    - lables: [b]
      name: b
"""
    assert problems(tmp_path, GITHUB + text) == [
        "config.yaml:7: autoscaler.scale_sets.1.name: found `a` a second time; expected each scale set once",
        "config.yaml:9: autoscaler.scale_sets.1.min_idle: found `4`; expected at most `max_runners`, which is 3",
        (
            "config.yaml:10: autoscaler.scale_sets.1.labels: found a list of 2; "
            "expected a list, each a text that is not empty"
        ),
        (
            "config.yaml:11: autoscaler.scale_sets.2.lables: found an unknown key; "
            "expected a known key; did you mean `labels`?"
        ),
        (
            "config.yaml:11: autoscaler.scale_sets.2.command: found nothing; "
            "expected the program to run, as a list: [./run.sh]"
        ),
    ]


@pytest.mark.parametrize(("text", "said"), [("{}", "neither"), ("{scale_set: s, scale_sets: [{name: t}]}", "both")])
def test_there_is_one_way_to_name_scale_sets(tmp_path: Path, text: str, said: str) -> None:
    assert f"autoscaler: found {said} `scale_set` " in "\n".join(problems(tmp_path, f"{GITHUB}autoscaler: {text}\n"))


def test_times_of_the_host_are_durations(tmp_path: Path) -> None:
    own = read(tmp_path, "autoscaler: {scale_set: s, launcher: simulated, drain_timeout: 1h, start_timeout: 90}\n")
    assert (own.autoscaler.drain_timeout, own.autoscaler.start_timeout) == (3600.0, 90.0)


def test_a_github_app(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(KEY)
    text = """
github:
  config_url: http://localhost/acme
  app: {client_id: Iv1, installation_id: 7, private_key: {$file: key.pem}}
autoscaler: {scale_set: s, launcher: simulated}
"""
    _, settings = load(write(tmp_path, text))
    assert settings.github.credentials() == AppCredentials(client_id="Iv1", installation_id=7, private_key=KEY.strip())


def test_every_problem_is_said_at_once_with_its_line(tmp_path: Path) -> None:
    text = """\
github:
  config_url: http://localhost/acme
  token: ghp_literal
autoscaler:
  scale_set: ""
  max_runner: 5
  min_idle: -1
  launcher: dockr
  labels: linux
"""
    assert problems(tmp_path, text) == [
        (
            "config.yaml:3: github.token: found a literal text of 11 characters; expected a reference, `$env: NAME` or "
            "`$file: PATH`; a secret never stands in the file itself"
        ),
        (
            "config.yaml:5: autoscaler.scale_set: found the name an empty text; expected a scale set's name: one line "
            "without outer blanks"
        ),
        "config.yaml:6: autoscaler.max_runner: found an unknown key; expected a known key; did you mean `max_runners`?",
        "config.yaml:7: autoscaler.min_idle: found `-1`; expected a whole number from 0 up",
        "config.yaml:8: autoscaler.launcher: found `dockr`; expected one of `command`, `simulated`, `docker`",
        "config.yaml:9: autoscaler.labels: found `linux`; expected a list, each a text that is not empty",
    ]


@pytest.mark.parametrize(
    ("credentials", "said"),
    [
        ("token: {$env: NOT_SET_ANYWHERE}", "found `$env: NOT_SET_ANYWHERE`, which is not set"),
        ("token: {$file: nowhere}", "found a file that does not open: no such file or directory"),
        ("token: {$file: empty}", "found `$file: empty`, which is empty"),
        ('token: {$env: "a\\ud800b"}', "found an environment variable that is not set"),
        ('token: {$file: "a\\0b"}', "found a file that does not open: no path of a file"),
        ("token: {$vault: x}", "github.token: found a section with `$vault`; expected exactly one key: a reference"),
        ("", "github: found neither `token` nor `app`"),
        ("token: {$file: a}, app: {}", "found both `token` and `app`; expected exactly one of `token` and `app`"),
    ],
)
def test_credentials_are_references_that_resolve(tmp_path: Path, credentials: str, said: str) -> None:
    (tmp_path / "empty").write_text("\n")
    text = f"github: {{config_url: {URL}, {credentials}}}\nautoscaler: {{scale_set: s, launcher: simulated}}\n"
    assert said in "\n".join(problems(tmp_path, text))


def test_a_list_is_no_section(tmp_path: Path) -> None:
    text = "github: [1, 2]\nautoscaler: {scale_set: s, launcher: simulated}\n"
    assert problems(tmp_path, text) == ["config.yaml:1: github: found a list of 2; expected a section"]


def test_a_number_that_python_cannot_write_out_is_refused(tmp_path: Path) -> None:
    text = f"{GITHUB}autoscaler: {{scale_set: s, launcher: simulated, min_idle: -0x{'f' * 5000}}}\n"
    assert "config.yaml:2: autoscaler.min_idle: found a number of 20000 bits" in "\n".join(problems(tmp_path, text))


@pytest.mark.parametrize("key", ["scale_set", "labels", "command"])
@pytest.mark.parametrize("text", ['"a\\0b"', '"a\\ud800b"'])
def test_a_text_that_no_request_and_no_command_can_hold_is_refused(tmp_path: Path, key: str, text: str) -> None:
    own = {"scale_set": "s", "launcher": "simulated", key: text if key == "scale_set" else f"[{text}]"}
    (tmp_path / "token").write_text("t")
    lines = "".join(f"  {name}: {value}\n" for name, value in own.items())
    (said,) = problems(tmp_path, f"{GITHUB}autoscaler:\n{lines}")
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
    text = "github: {config_url: http://localhost/acme, token: {$file: token}}\nautoscaler: {scale_set: s}\n"
    assert "autoscaler.command: found nothing; expected the program to run" in problems(tmp_path, text)[0]


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    text = """\
github: {config_url: http://localhost/acme, token: {$file: token}}
autoscaler:
  scale_set: s
  launcher: simulated
  scale_set: t
"""
    said = "config.yaml:5: autoscaler.scale_set: found the key a second time; expected each key once"
    assert problems(tmp_path, text) == [said]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "config.yaml:1: (file): found"),
        ("- a\n- b\n", "config.yaml: (file): found a list at the top"),
        ("", "config.yaml: (file): found an empty file"),
        ("a: !!python/object/new:os.system [x]\n", "could not determine a constructor"),
        ("a:\n\tb: 1\n", "config.yaml:2: (file): found character '\\t' that cannot start any token"),
        ("a: \0\n", "found characters that YAML does not allow"),
        ("a: " + "[" * 1000 + "]" * 1000, "found values nested too deeply"),
        ("a: 2020-13-45\n", "found a value that YAML cannot read (month must be in 1..12"),
        ("a: " + "9" * 5000, "found a value that YAML cannot read"),
        ("a: &a [*a]\n", "found aliases that unfold to too much"),
        (LAUGHS, "found aliases that unfold to too much"),
        ("#" * 1024 * 1024 + "\na: 1\n", "found a file that does not open (Longer than 1024 KiB)"),
    ],
)
def test_what_is_no_yaml_mapping_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in problems(tmp_path, text)[0]


def test_a_file_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"does not open \(No such file or directory\)"):
        load(tmp_path / "nowhere.yaml")


def test_anchors_have_a_place_at_the_top(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    text = """\
x-shared: &shared {scale_set: s, launcher: simulated}
github: {config_url: http://localhost/acme, token: {$file: token}}
autoscaler: {<<: *shared, max_runners: 3}
"""
    assert load(write(tmp_path, text))[1].scale_sets[0].max_runners == 3
