"""`check --live` asks a service on a real socket what a host would ask."""

import json
from pathlib import Path

from typer.testing import CliRunner, Result

from scaleset_burst.cli.app import app

from .conftest import Service


def check(service: Service, folder: Path, *arguments: str) -> Result:
    path = folder / "host.yaml"
    path.write_text(
        f"github: {{config_url: '{service.url}/acme', token: {{$env: T}}}}\n"
        "autoscaler: {scale_set: linux}\n"
        f"plugins: {{burst: {{journal: {{directory: {folder / 'state'}}}}}}}\n",
        encoding="utf-8",
    )
    return CliRunner().invoke(app, ["check", str(path), "--live", *arguments], env={"T": "good"})


def test_shows_the_scale_set_the_host_names_and_that_the_cache_answers(service: Service, tmp_path: Path) -> None:
    result = check(service, tmp_path)
    assert result.exit_code == 0, result.output
    assert "scale set `linux` has the id 3" in result.stdout
    assert "asked again, the cache knew" in result.stdout
    assert "cache of scale_set: hits 1, misses 1" in result.stdout


def test_changes_nothing(service: Service, tmp_path: Path) -> None:
    report = json.loads(check(service, tmp_path, "--json").stdout)
    assert report["live"]["scale_set"] == {"name": "linux", "id": 3}
    assert report["live"]["requests"]["registration_token"] == 1
    assert [line.rpartition("/")[2] for line in service.requests if line.startswith("POST")] == [
        "registration-token",
        "runner-registration",
    ]
    assert not (tmp_path / "state").exists()


def test_a_scale_set_that_does_not_exist_is_one_sentence(service: Service, tmp_path: Path) -> None:
    result = check(service, tmp_path, "--scale-set", "mac")
    assert result.exit_code == 1
    assert "error: the service has no scale set 'mac' in the runner group 'default'" in result.stderr


def test_a_runner_group_that_does_not_exist_is_named(service: Service, tmp_path: Path) -> None:
    result = check(service, tmp_path, "--scale-set", "linux", "--runner-group", "builders")
    assert result.exit_code == 1
    assert "there is no runner group called 'builders'" in result.stderr
