"""Whatever is wrong is said in a sentence, with the right exit status and no traceback, and leaves nothing behind."""

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scaleset_simulator import SimulatorProcess
from tests.e2e.hosting import configuration, run, run_host, write

SCALE_SET = "e2e"
URL = "http://localhost:1/acme"
"""An address nobody is asked at before the configuration is right."""

SECRET = "ghp_0123456789abcdefghij0123456789abcdef"

Config = dict[str, Any]


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(scale_set=SCALE_SET) as process:
        yield process


def unknown_key_at_the_top(config: Config) -> None:
    config["plugin"] = config.pop("plugins")


def unknown_key_of_the_host(config: Config) -> None:
    config["autoscaler"]["max_runner"] = 5


def unknown_key_of_the_plugin(config: Config) -> None:
    config["plugins"]["burst"]["batch"] = {"max_concurency": 5}


def literal_secret(config: Config) -> None:
    config["github"]["token"] = SECRET


def token_in_the_url(config: Config) -> None:
    config["github"]["config_url"] = f"https://me:{SECRET}@github.com/acme"


def token_as_the_url(config: Config) -> None:
    config["github"]["config_url"] = SECRET


def token_as_a_variables_name(config: Config) -> None:
    config["github"]["token"] = {"$env": SECRET}


def token_as_a_files_name(config: Config) -> None:
    config["github"]["token"] = {"$file": SECRET}


def token_as_a_key(config: Config) -> None:
    config["autoscaler"][SECRET] = True


def token_as_another_setting(config: Config) -> None:
    config["autoscaler"]["launcher"] = SECRET


def missing_secret_file(config: Config) -> None:
    config["github"]["token"] = {"$file": "nowhere"}


def unknown_plugin(config: Config) -> None:
    config["plugins"]["brust"] = {}


def bad_config_url(config: Config) -> None:
    config["github"]["config_url"] = "http://localhost:1/a/b/c"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (unknown_key_at_the_top, "plugin: found an unknown key; expected a known key; did you mean `plugins`?"),
        (unknown_key_of_the_host, "autoscaler.max_runner: found an unknown key"),
        (unknown_key_of_the_plugin, "plugins.burst.batch.max_concurency: found an unknown key"),
        (literal_secret, "github.token: found a literal"),
        (token_in_the_url, "github.config_url: found a URL with a user name or password"),
        (token_as_the_url, "github.config_url: found a text of "),
        (token_as_a_variables_name, "an environment variable that is not set"),
        (token_as_a_files_name, "no such file or directory"),
        (token_as_a_key, "found an unknown key"),
        (token_as_another_setting, "autoscaler.launcher: found a text of 40 characters that looks like a secret"),
        (missing_secret_file, "a file that does not open"),
        (unknown_plugin, "plugins.brust"),
        (bad_config_url, "config.yaml:6: github.config_url: found `http://localhost:1/a/b/c`"),
    ],
)
def test_a_wrong_configuration_is_refused_before_anything_is_sent(
    tmp_path: Path, spoil: Callable[[Config], None], said: str
) -> None:
    config = configuration(URL)
    spoil(config)
    ended = run_host(write(tmp_path, config, "t"), "--once", "1")
    ended.refused(2, said)
    assert "ghp_" not in ended.out + ended.err


def test_the_hosts_problems_and_the_plugins_are_said_together(tmp_path: Path) -> None:
    config = configuration(URL)
    for spoil in (unknown_key_of_the_host, unknown_key_of_the_plugin, literal_secret):
        spoil(config)
    ended = run_host(write(tmp_path, config, "t"))
    ended.refused(2, "3 problems", "github.token", "autoscaler.max_runner", "plugins.burst.batch.max_concurency")


def test_wrong_yaml_is_refused_with_its_line(tmp_path: Path) -> None:
    run_host(write(tmp_path, "github:\n  config_url: [\n", "t")).refused(2, "config.yaml:3", "expected YAML")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    run_host(tmp_path / "nowhere.yaml").refused(2, "nowhere.yaml", "No such file or directory")


@pytest.mark.parametrize("count", ["0", "-1", "many", "1.5", "21"])
def test_a_count_that_can_never_be_right_is_refused(tmp_path: Path, count: str) -> None:
    said = "over the maximum" if count == "21" else "expected"
    run_host(write(tmp_path, configuration(URL), "t"), f"--once={count}").refused(2, said, count)


def test_a_report_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    config = write(tmp_path, configuration(URL), "t")
    run_host(config, "--once", "1", "--report", str(tmp_path)).refused(2, "--report", "Is a directory")


@pytest.mark.parametrize("plugin", [True, False], ids=["plugin", "default"])
class TestFailures:
    """The configuration is right, and the world is not."""

    def test_a_dead_service(self, tmp_path: Path, plugin: bool) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound and not listening: every connection is refused
            port = taken.getsockname()[1]
            config = configuration(f"http://localhost:{port}/acme", plugin=plugin)
            run_host(write(tmp_path, config, "t"), "--once", "2").refused(1, "error: ", str(port))

    def test_a_wrong_token(self, tmp_path: Path, simulator: SimulatorProcess, plugin: bool) -> None:
        config = configuration(simulator.config_url, plugin=plugin)
        ended = run_host(write(tmp_path, config, "not-the-token"), "--once", "2")
        ended.refused(1, "401")
        assert "not-the-token" not in ended.out + ended.err
        assert not simulator.runners()

    def test_an_unknown_scale_set(self, tmp_path: Path, simulator: SimulatorProcess, plugin: bool) -> None:
        wanted = {"scale_set": "nobody-made-it", "create_scale_set": False}
        config = configuration(simulator.config_url, plugin=plugin, **wanted)
        ended = run_host(write(tmp_path, config, simulator.token), "--once", "2")
        ended.refused(1, "there is no scale set nobody-made-it", "create_scale_set")
        assert not simulator.runners()

    def test_a_command_that_does_not_start(self, tmp_path: Path, simulator: SimulatorProcess, plugin: bool) -> None:
        config = configuration(simulator.config_url, plugin=plugin, launcher="command", command=["/nowhere/run.sh"])
        ended = run_host(write(tmp_path, config, simulator.token), "--once", "3")
        ended.refused(1, "`/nowhere/run.sh` does not start")
        assert not simulator.runners()

    def test_a_command_that_ends_without_taking_a_job(
        self, tmp_path: Path, simulator: SimulatorProcess, plugin: bool
    ) -> None:
        config = configuration(simulator.config_url, plugin=plugin, launcher="command", command=["/bin/false"])
        ended = run_host(write(tmp_path, config, simulator.token), "--once", "3")
        assert "Traceback" not in ended.err
        assert not simulator.runners()


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "scaleset_burst", "simulate", "--port", port]
        run(command, folder=tmp_path).refused(1, port, "in use")
