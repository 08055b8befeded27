"""Dashboard and alert rules against a real Prometheus that scrapes a host at work: no query may come back empty."""

import json
import math
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from scaleset_simulator import SimulatorProcess
from tests.e2e.hosting import EXAMPLES, configuration, free_port, listening_host, wait_until, write
from tests.kit.redis_server import RedisServer

MISSING = [program for program in ("prometheus", "promtool") if shutil.which(program) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.monitoring,
    pytest.mark.skipif(
        bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (make monitoring installs them as root)"
    ),
]
MONITORING = EXAMPLES / "monitoring"
RULES = yaml.safe_load((MONITORING / "rules.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())


def queries() -> list[str]:
    """Return each query of the dashboard, and of each alert what it compares: a healthy host raises none."""
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    drawn = [each.replace("$__rate_interval", "1m").replace("$scope", ".+") for each in panels]
    return drawn + [re.sub(r" (>|==) \d+$", "", rule["expr"]) for rule in RULES]


def ask(port: int, query: str) -> list[Any]:
    """Return what Prometheus answers to a query that are numbers; nothing while it starts."""
    url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            series = json.load(answer)["data"]["result"]
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 400:
                raise AssertionError(f"{query}: {error.read().decode()}") from None
        return []  # it starts
    except OSError:
        return []
    return [each for each in series if not math.isnan(float(each["value"][1]))]


@contextmanager
def prometheus(folder: Path, port: int, target: int) -> Iterator[None]:
    """Run Prometheus with the example's rules, on a host's port, until the block ends."""
    job = {"job_name": "scaleset-autoscaler", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(MONITORING / "rules.yml")],
        "scrape_configs": [job],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    options = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    command = ["prometheus", *options, f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "prometheus.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(20)


def test_every_query_finds_something(tmp_path: Path) -> None:
    port, target = free_port(), free_port()
    with (
        RedisServer() as redis,
        SimulatorProcess(scale_set="e2e", job_seconds=0.1, poll_seconds=1) as simulator,
    ):
        host_config = configuration(simulator.config_url)
        host_config["plugins"]["burst"] |= {"metrics": True, "sharing": {"url": redis.url}}
        config = write(tmp_path, host_config, simulator.token)
        with (
            listening_host(config, "--metrics-port", str(target)) as host,
            prometheus(tmp_path, port, target),
        ):
            minted = "sum(scaleset_burst_mints_total)"
            simulator.faults(["mint:status=400:30%"])  # some fail, so that there are outcomes of both kinds
            for round_ in range(1, 4):  # a rate needs a second sample of each series
                simulator.add_jobs("e2e", 20)
                done = f"{minted} >= {20 * round_}"
                wait_until(lambda done=done: bool(ask(port, done)), done, host)  # type: ignore[misc]
            empty = set(queries())

            def all_found() -> bool:
                empty.difference_update({each for each in empty if ask(port, each)})
                return not empty

            try:
                wait_until(all_found, "every query finds something", host)
            except AssertionError:
                pytest.fail(f"these find nothing: {sorted(empty)}")


def test_a_wrong_name_finds_nothing_and_is_said(tmp_path: Path) -> None:
    """The check above can fail: what no host shows has no answer."""
    port, target = free_port(), free_port()
    with SimulatorProcess(scale_set="e2e") as simulator:
        config = write(tmp_path, configuration(simulator.config_url), simulator.token)
        with listening_host(config, "--metrics-port", str(target)) as host, prometheus(tmp_path, port, target):
            wait_until(lambda: bool(ask(port, "up == 1")), "the host is scraped", host)
            assert ask(port, "scaleset_burst_mints_total") == []  # the setting `metrics` is off


@pytest.mark.parametrize("command", [["check", "rules", "rules.yml"], ["test", "rules", "rules_test.yml"]])
def test_promtool_finds_nothing_wrong(command: list[str]) -> None:
    done = subprocess.run(
        ["promtool", *command], cwd=MONITORING, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_says_what_to_do() -> None:
    assert all(rule["annotations"]["action"].endswith(".") for rule in RULES)
