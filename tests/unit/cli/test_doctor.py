"""The doctor asks a service on a real socket, and changes nothing there."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from scaleset_burst.cli.app import app
from scaleset_simulator.clock import ScaledClock

from .conftest import Service


def examine(service: Service, folder: Path, *arguments: str, token: str = "good", more: str = "") -> Result:
    path = folder / "host.yaml"
    path.write_text(
        f"github: {{config_url: '{service.url}/acme', token: {{$env: T}}}}\n"
        f"plugins: {{burst: {{connections: {{warm: 2}}{more}}}}}\n",
        encoding="utf-8",
    )
    return CliRunner().invoke(app, ["doctor", str(path), *arguments], env={"T": token})


def findings(result: Result) -> dict[str, tuple[str, str]]:
    return {one["name"]: (one["level"], one["text"]) for one in json.loads(result.stdout)["findings"]}


def test_all_is_well(service: Service, tmp_path: Path) -> None:
    result = examine(service, tmp_path, "--scale-set", "linux", "--json")
    assert result.exit_code == 0, result.output
    found = findings(result)
    assert {severity for severity, _ in found.values()} == {"ok"}
    assert found["scale set"][1] == "`linux` has the id 3"
    assert found["connections"][1] == "2 open ahead, and used again"
    assert found["runner group"][1].endswith("2 runners of its scope are listed")
    assert found["clock"][1] == "agrees with the service's"


def test_nothing_is_changed_and_five_round_trips_are_measured(service: Service, tmp_path: Path) -> None:
    examine(service, tmp_path, "--scale-set", "linux")
    looked_up = [line for line in service.requests if line.startswith("GET ")]
    assert [line for line in looked_up if line.endswith("/runnerscalesets")] == looked_up[:5]
    posts = [line for line in service.requests if not line.startswith("GET ")]
    assert [line.rpartition("/")[2] for line in posts] == ["registration-token", "runner-registration"]


def test_text_has_a_line_for_each_finding(service: Service, tmp_path: Path) -> None:
    result = examine(service, tmp_path)
    assert result.exit_code == 0
    assert any(line.startswith("ok") and "token chain" in line for line in result.stdout.splitlines())
    assert "none named" in result.stdout


def test_a_scale_set_that_does_not_exist_is_a_failure(service: Service, tmp_path: Path) -> None:
    result = examine(service, tmp_path, "--scale-set", "mac")
    assert result.exit_code == 1
    assert "`mac` does not exist" in result.stdout


def test_the_scale_set_of_the_file_is_asked_for(service: Service, tmp_path: Path) -> None:
    result = examine(service, tmp_path, "--json", more=", scale_sets: {linux: {}}")
    assert findings(result)["scale set"][1] == "`linux` has the id 3"


def test_refused_credentials_are_one_sentence(service: Service, tmp_path: Path) -> None:
    result = examine(service, tmp_path, token="wrong-secret")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert "401" in result.stderr
    assert "wrong-secret" not in result.output
    assert "Traceback" not in result.output


def test_a_file_without_a_certificate_is_a_wrong_option_and_no_failed_output(service: Service, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n")
    config = tmp_path / "host.yaml"
    config.write_text(
        f"github: {{config_url: '{service.url}/acme', token: {{$env: T}}}}\n"
        "plugins: {burst: {connections: {ca_file: key.pem}}}\n",
        encoding="utf-8",
    )
    result = CliRunner().invoke(app, ["doctor", str(config)], env={"T": "good"})
    assert result.exit_code == 1
    assert result.stderr.startswith("error: the connection options cannot be used: ")


@pytest.mark.parametrize(("command", "module"), [(("check", "--live"), "live"), (("doctor",), "doctor")])
def test_an_unreachable_service_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], module: str
) -> None:
    monkeypatch.setattr(f"scaleset_burst.cli.{module}.SystemClock", lambda: ScaledClock(speed=100))
    path = tmp_path / "host.yaml"
    path.write_text(
        "github: {config_url: 'http://127.0.0.1:1/acme', token: {$env: T}}\nplugins: {burst: {}}\n", encoding="utf-8"
    )
    result = CliRunner().invoke(app, [*command, str(path)], env={"T": "x"})
    assert result.exit_code == 1
    said = result.stderr.splitlines()
    assert all(re.fullmatch(r"no usable answer yet; asking again in \d+\.\d s", line) for line in said[:-1])
    assert len(said) > 1
    assert said[-1].startswith("error: ")
    assert result.stdout.count("live") == 0
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", [("check", "--live"), ("doctor",)])
def test_a_failure_is_in_the_one_json_document(service: Service, tmp_path: Path, command: tuple[str, ...]) -> None:
    path = tmp_path / "host.yaml"
    path.write_text(f"github: {{config_url: '{service.url}/acme', token: {{$env: T}}}}\nplugins: {{burst: {{}}}}\n")
    result = CliRunner().invoke(app, [*command, str(path), "--json"], env={"T": "wrong-secret"})
    report = json.loads(result.stdout)
    assert (result.exit_code, report["ok"], result.stderr) == (1, False, "")
    assert "401" in report["error"]
    assert report["settings" if command[0] == "check" else "findings"] is not None


def test_a_plugin_that_is_off_is_in_the_json_document(tmp_path: Path) -> None:
    (tmp_path / "host.yaml").write_text("plugins: {}\n")
    result = CliRunner().invoke(app, ["doctor", str(tmp_path / "host.yaml"), "--json"])
    assert (result.exit_code, json.loads(result.stdout)["ok"]) == (1, False)
