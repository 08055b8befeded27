"""No secret shows in a repr, an error, a log line, a metric, a report or what the commands print; a new one is read."""

import asyncio
import contextlib
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from autoscaler.config import load
from scaleset_burst.engine import Engine
from scaleset_burst.metrics import Metrics
from scaleset_burst.settings import load_settings
from scaleset_client import ScaleSetClient
from scaleset_client.clock import Clock
from scaleset_hookspecs import JitConfig, ProvisionSettings, RunnerRef, ScalesetError, ScaleSetRef
from scaleset_simulator import SimulatorProcess
from scaleset_simulator.clock import ScaledClock
from tests.e2e.hosting import configuration, write

TOKEN = "ghp_s3cr3tT0kenThatNobodyMaySee0123456789"
PROXY_PASSWORD = "pr0xyPassw0rdThatNobodyMaySee"
REDIS_PASSWORD = "redisPassw0rdThatNobodyMaySee"
LINUX = ScaleSetRef(name="demo-linux")
FAULTS = (
    "mint:status=401:first 1",
    "mint:status=403:first 1",
    "mint:status=404:first 1",
    "mint:status=500:first 1",
    "mint:retry=1:first 1",
    "mint:drop-after:first 1",
    "mint:conflict:first 1",
    "mint:html:first 1",
    "mint:truncate:first 1",
)


def shown(value: object, seen: set[int] | None = None) -> Iterator[str]:
    """Yield what a person could see of a value: its repr and str, and those of what it holds."""
    seen = set() if seen is None else seen
    if id(value) in seen or isinstance(value, type):
        return
    seen.add(id(value))
    yield repr(value)
    yield str(value)
    inner: list[object] = []
    if isinstance(value, BaseException):
        inner += [value.__cause__, value.__context__, *value.args]
    if isinstance(value, dict):
        inner += [*value, *value.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        inner += value
    for each in inner:
        if not isinstance(each, str | bytes | int | float | None):
            yield from shown(each, seen)


def reprs(config: JitConfig) -> Iterator[str]:
    """Yield the reprs of a config, its fields but the secret one, and what it is part of."""
    yield from shown([config])
    assert is_dataclass(config)
    yield from (repr(getattr(config, field.name)) for field in fields(config) if field.name != "encoded")


def test_an_engine_shows_no_secret(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """Through mints that succeed and fail in every way, look-ups, a proxy that is not there and a wrong Redis."""
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    secrets: list[str] = [TOKEN, PROXY_PASSWORD, REDIS_PASSWORD]

    async def live(
        section: dict[str, object], faults: tuple[str, ...], simulator: SimulatorProcess, clock: Clock | None = None
    ) -> None:
        settings = load_settings(
            {"plugins": {"burst": section}},
            environ={
                "T": TOKEN,
                "P": f"http://u:{PROXY_PASSWORD}@127.0.0.1:1",
                "R": f"redis://:{REDIS_PASSWORD}@[::1]:1",
            },
            read_file=lambda _: "",
        )
        engine = Engine(settings, clock=clock)
        said.extend(shown([settings, engine, engine.client, engine.client.counters]))
        with contextlib.suppress(ScalesetError):
            await engine.start()
        for fault in ("", *faults):
            simulator.faults([fault] if fault else [])
            try:
                outcomes = await asyncio.wait_for(engine.provision(LINUX, 3, ProvisionSettings(deadline=2.0), None), 20)
                for outcome in outcomes:
                    if isinstance(outcome, JitConfig):
                        secrets.append(outcome.encoded)
                        said.extend(reprs(outcome))
                    else:
                        said.extend(shown(outcome))
                said.extend(shown([await engine.runner_info(LINUX, RunnerRef(name="nobody"))]))
            except ScalesetError as error:
                said.extend(shown(error))
        registry = CollectorRegistry()
        Metrics(registry).add(engine.snapshot)
        said.extend([generate_latest(registry).decode(), *shown([engine.snapshot(), engine.last_report])])
        await engine.stop(2.0)

    with SimulatorProcess(token=TOKEN, latency="1ms") as simulator:
        github = {"config_url": simulator.config_url, "token": {"$env": "T"}}
        plain: dict[str, object] = {"github": github, "journal": {"directory": str(tmp_path / "j")}}
        asyncio.run(live(plain, FAULTS, simulator))
        asyncio.run(live(plain | {"sharing": {"url": {"$env": "R"}}}, (), simulator))
        far = {"config_url": "https://ghes.example/acme", "token": {"$env": "T"}}
        beyond = {"github": far, "connections": {"proxy": {"$env": "P"}}}
        asyncio.run(live(plain | beyond, (), simulator, ScaledClock(20.0)))  # nothing is there to wait for
    said += [f"{record.getMessage()} {record.exc_text} {record.args!r}" for record in caplog.records]
    assert len(secrets) > 10, "too few configs came: nothing was tried"
    assert len(said) > 50
    for secret in secrets:
        assert not [text for text in said if secret in text], f"{secret[:8]}… is shown"
    journal = b"".join(path.read_bytes() for path in (tmp_path / "j").rglob("*") if path.is_file())
    assert not [secret for secret in secrets if secret.encode() in journal]


@pytest.mark.parametrize("command", [["check"], ["doctor"], ["doctor", "--json"], ["check", "--live"]])
@pytest.mark.parametrize("spoilt", ["", "token", "variable", "proxy"])
def test_the_commands_print_no_secret(tmp_path: Path, command: list[str], spoilt: str) -> None:
    """Also when a secret stands where it should not."""
    with SimulatorProcess(token=TOKEN) as simulator:
        github: dict[str, object] = {"config_url": simulator.config_url, "token": {"$env": "T"}}
        burst: dict[str, object] = {"github": github, "journal": {"directory": ":memory:"}}
        if spoilt == "token":
            github["token"] = TOKEN
        elif spoilt == "variable":
            github["token"] = {"$env": TOKEN}
        elif spoilt == "proxy":
            burst["connections"] = {"proxy": f"http://u:{PROXY_PASSWORD}@127.0.0.1:1"}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump({"plugins": {"burst": burst}}))
        ended = subprocess.run(
            [sys.executable, "-m", "scaleset_burst", *command[:1], "config.yaml", *command[1:]],
            cwd=tmp_path,
            env={"T": TOKEN, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    printed = ended.stdout + ended.stderr
    assert printed
    assert "Traceback" not in printed
    assert [secret for secret in (TOKEN, PROXY_PASSWORD) if secret in printed] == []
    if "--json" in command and ended.stdout:
        json.loads(ended.stdout)


@pytest.mark.parametrize("who", ["host", "plugin"])
def test_a_token_rotated_in_its_file_is_taken_up(tmp_path: Path, who: str) -> None:
    """The old one is revoked while the program runs; it never read the file again, and ended."""
    with SimulatorProcess() as simulator:
        path = write(tmp_path, configuration(simulator.config_url), "ghp_revoked")
        config, host = load(path)
        settings = load_settings(config, environ={}, read_file=lambda name: Path(name).read_text())
        github = host.github if who == "host" else settings.github
        assert github is not None
        (tmp_path / "token").write_text(f"{simulator.token}\n")

        async def connect() -> int:
            async with ScaleSetClient(github.config_url, github.credentials()) as client:
                await client.connect()
                return client.token_renewals

        assert asyncio.run(connect()) == 1
