"""Several hosts, one scope, a real Redis: one budget, one pause, one look-up; and what happens when Redis fails."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import yaml

from scaleset_hookspecs import JitConfig, ProvisionSettings
from scaleset_simulator import SimulatorProcess
from tests.chaos.hosts import Host
from tests.e2e.sharing_hosts import LINUX, SPEED, fleet, until
from tests.kit.redis_server import RedisServer, find_server

pytestmark = [
    pytest.mark.alone,
    pytest.mark.anyio,
    pytest.mark.skipif(find_server() is None, reason="needs redis-server or valkey-server"),
]

ORIGIN = time.time()
TOKENS = {"installation", "registration", "admin"}


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(latency="100ms", group_capacity=50_000, window="100s", speed=SPEED, origin=ORIGIN) as running:
        yield running


async def test_together_they_keep_one_limit_and_use_it(server: RedisServer, simulator: SimulatorProcess) -> None:
    async with fleet(simulator, server.url, ORIGIN) as hosts:
        budget = {"registrations": 200, "window": "100s"}
        first, second = await hosts.engine(budget=budget), await hosts.engine(budget=budget)
        await hosts.settled()
        assert sum(await asyncio.gather(hosts.burst(first, 180), hosts.burst(second, 180))) == 360
        assert simulator.counters()["max_registrations_in_window"] <= 200
        assert simulator.counters()["max_registrations_in_window"] >= 190
        assert hosts.ghosts() == set()


async def test_what_was_registered_without_redis_is_told_by_the_next_start(
    server: RedisServer, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    """A host registered 100 of 100 alone and began again; Redis granted 100 more in the same window."""
    async with fleet(simulator, server.url, ORIGIN) as hosts:
        about = {"budget": {"registrations": 100, "window": "100s"}, "journal": {"directory": str(tmp_path)}}
        server.kill()
        alone = await hosts.engine(**about, sharing={"hosts": 1})
        assert await hosts.burst(alone, 100) == 100
        await alone.stop()
        hosts.engines.remove(alone)
        server.start()
        other = await hosts.engine(budget=about["budget"])
        await hosts.settled()
        again = await hosts.engine(**about)
        assert sum(await asyncio.gather(hosts.burst(again, 20), hosts.burst(other, 20))) == 40
        assert simulator.counters()["max_registrations_in_window"] <= 100


async def test_a_pause_told_to_one_is_kept_by_all_and_ends_with_one_probe(
    server: RedisServer, simulator: SimulatorProcess
) -> None:
    async with fleet(simulator, server.url, ORIGIN) as hosts:
        engines = [await hosts.engine() for _ in range(3)]
        await hosts.settled()
        simulator.faults(["mint:retry=40:first 1"])
        lone = asyncio.create_task(hosts.burst(engines[0], 1))
        await until(lambda: simulator.counters()["refused"] == 1, "the service said to wait")
        await until(lambda: all(engine.admission.budget.paused_until is not None for engine in engines), "all know")
        assert await asyncio.gather(*(hosts.burst(engine, 20) for engine in engines)) == [20, 20, 20]
        assert await lone == 1
        assert simulator.counters()["requests_while_told_to_wait"] == 0


async def test_what_may_be_in_flight_is_shared_by_those_at_work(
    server: RedisServer, simulator: SimulatorProcess
) -> None:
    async with fleet(simulator, server.url, ORIGIN) as hosts:
        engines = [
            await hosts.engine(batch={"max_concurrency": 40}, budget={"registrations": 50_000}) for _ in range(4)
        ]
        await hosts.settled()
        simulator.reset_counters()
        lone = asyncio.create_task(hosts.burst(engines[0], 400))
        await until(lambda: engines[0].admission.limiter.most >= 36, "a lone busy host gets nearly all")
        await lone
        assert simulator.counters()["most_mints_in_flight"] > 20, "and uses more than two parts of four"
        bursts = [asyncio.create_task(hosts.burst(engine, 400)) for engine in engines]
        await until(lambda: all(engine.admission.limiter.most == 10 for engine in engines), "each has its part")
        await asyncio.gather(*bursts)


async def test_ten_cold_hosts_ask_the_service_once_between_them(
    server: RedisServer, simulator: SimulatorProcess
) -> None:
    async with fleet(simulator, server.url, ORIGIN) as hosts:
        engines = await asyncio.gather(*(hosts.engine(sharing={"timeout": 5}) for _ in range(10)))
        await asyncio.gather(*(hosts.burst(engine, 1) for engine in engines))
        requests = simulator.counters()["requests"]
        assert sum(count for kind, count in requests.items() if kind not in TOKENS | {"mint"}) <= 3, requests
        assert (requests["registration"], requests["admin"], requests["mint"]) == (10, 10, 10)


async def test_a_deletion_seen_by_one_is_known_to_all(server: RedisServer, simulator: SimulatorProcess) -> None:
    async with fleet(simulator, server.url, ORIGIN) as hosts:
        engines = [await hosts.engine() for _ in range(3)]
        for engine in engines:
            await engine.metadata.scale_set_settings(LINUX)
            assert engine.metadata.peek_settings(LINUX) is not None
        await asyncio.sleep(0.1)
        simulator.recreate(LINUX.name)
        simulator.reset_counters()
        assert await hosts.burst(engines[0], 3) == 3
        await until(lambda: all(e.metadata.peek_settings(LINUX) is None for e in engines[1:]), "all know")
        new = {await engine.metadata.scale_set_id(LINUX) for engine in engines}
        assert len(new) == 1
        assert simulator.counters()["requests"]["find_scale_set"] == 1


async def test_by_hand_forgotten_is_forgotten_everywhere(server: RedisServer, simulator: SimulatorProcess) -> None:
    async with fleet(simulator, server.url, ORIGIN) as hosts:
        one, other = await hosts.engine(), await hosts.engine()
        for engine in (one, other):
            await engine.metadata.scale_set_id(LINUX)
        await asyncio.sleep(0.1)
        one.metadata.invalidate()
        await until(lambda: other.metadata.peek_settings(LINUX) is None, "the other one has forgotten, too", 2.0)


async def test_what_was_said_while_nobody_could_hear_is_asked_for_again(
    server: RedisServer, simulator: SimulatorProcess
) -> None:
    async with fleet(simulator, server.url, ORIGIN) as hosts:
        one, other = await hosts.engine(), await hosts.engine()
        for engine in (one, other):
            await engine.metadata.scale_set_id(LINUX)
        await asyncio.sleep(0.1)
        with redis.Redis.from_url(server.url) as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        one.metadata.invalidate()
        await until(lambda: other.metadata.peek_settings(LINUX) is None, "the other one doubts what it knows", 2.0)
        await other.metadata.scale_set_id(LINUX)
        assert other.metadata.peek_settings(LINUX) is not None


async def test_a_start_that_is_cancelled_leaves_a_host_that_shares(
    server: RedisServer, simulator: SimulatorProcess
) -> None:
    async with fleet(simulator, server.url, ORIGIN) as hosts:
        server.signal(signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(hosts.engine(), 0.05)
        server.signal(signal.SIGCONT)
        await hosts.settled()
        assert await hosts.burst(hosts.engines[0], 5) == 5


async def test_a_host_that_ends_well_leaves_no_names_to_take_over(
    server: RedisServer, simulator: SimulatorProcess
) -> None:
    async with fleet(simulator, server.url, ORIGIN) as hosts:
        engine = await hosts.engine(budget={"registrations": 20, "window": "100s"})
        await hosts.settled()
        bursting = asyncio.create_task(hosts.burst(engine, 60))
        await until(lambda: len(hosts.got) >= 15, "some are minted, and more names are written down")
        bursting.cancel()
        await asyncio.wait({bursting})
        await engine.stop()
        with redis.Redis.from_url(server.url, decode_responses=True) as client:
            assert [client.hgetall(key) for key in client.keys("*:names:*")] == []


@pytest.mark.parametrize("trouble", ["down at start", "gone in the middle", "hangs", "empty again", "wrong password"])
async def test_without_redis_every_burst_ends_and_it_is_said_once(
    simulator: SimulatorProcess, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "scaleset_burst.sharing")
    options = ("--requirepass", "right") if trouble == "wrong password" else ()
    with RedisServer(*options) as server:
        if trouble == "down at start":
            server.kill()
        async with fleet(simulator, server.url, ORIGIN) as hosts:
            # An answer that comes, however busy the machine is, says more than none in time.
            about = {"sharing": {"timeout": 5}} if trouble == "wrong password" else {}
            engines = [await hosts.engine(**about), await hosts.engine(**about)]
            if trouble not in {"down at start", "wrong password"}:
                await hosts.settled()
            bursts = [asyncio.create_task(hosts.burst(engine, 150)) for engine in engines]
            await asyncio.sleep(0.03)
            if trouble == "hangs":
                server.signal(signal.SIGSTOP)
            elif trouble in {"gone in the middle", "empty again"}:
                server.kill()
            if trouble == "empty again":
                await asyncio.sleep(0.05)
                server.start()
            assert await asyncio.gather(*bursts) == [150, 150]
            assert await hosts.burst(engines[0], 20) == 20
            if trouble == "hangs":
                server.signal(signal.SIGCONT)
            if trouble == "down at start":
                server.start()
            if trouble in {"down at start", "hangs", "empty again"}:
                await hosts.settled()
                assert await hosts.burst(engines[1], 10) == 10
            shared_by = 0 if trouble in {"gone in the middle", "wrong password"} else 2
            await until(
                lambda: [engine.snapshot().sharing_hosts for engine in engines] == [shared_by] * 2, "it is shown"
            )
            await until(lambda: not any(len(engine.minter.resolver) for engine in engines), "all is resolved")
            assert hosts.ghosts() == set()
            assert len(hosts.got) == len(set(hosts.got))
    said = [record.getMessage() for record in caplog.records if "goes on alone" in record.getMessage()]
    assert 1 <= len(said) <= 2 * len(engines), said
    if trouble == "wrong password":
        assert all("password" in text for text in said)
    assert server.url not in caplog.text


@pytest.mark.parametrize("trouble", ["down", "empty"])
async def test_a_host_that_starts_again_without_redis_remembers_what_it_used(
    server: RedisServer, simulator: SimulatorProcess, tmp_path: Path, trouble: str
) -> None:
    server.kill()
    about = {"budget": {"registrations": 20, "window": "100s"}, "journal": {"directory": str(tmp_path)}}
    async with fleet(simulator, server.url, ORIGIN) as hosts:
        engine = await hosts.engine(sharing={"hosts": 1}, **about)
        assert await hosts.burst(engine, 20) == 20
        await engine.stop()
        if trouble == "empty":
            server.start()
        again = await hosts.engine(sharing={"hosts": 1}, **about)
        assert await hosts.burst(again, 20, deadline=10.0) == 0
    assert simulator.counters()["max_registrations_in_window"] <= 20


async def test_a_burst_without_a_callback_ends_well_when_redis_goes_away(
    server: RedisServer, simulator: SimulatorProcess
) -> None:
    async with fleet(simulator, server.url, ORIGIN) as hosts:
        engine = await hosts.engine()
        await hosts.settled()
        bursting = asyncio.create_task(engine.provision(LINUX, 200, ProvisionSettings(), None))
        await until(lambda: len(simulator.runners()) >= 100, "half of it is minted")
        server.kill()
        configs = [outcome for outcome in await bursting if isinstance(outcome, JitConfig)]
        assert len({config.runner_name for config in configs}) == 200
        hosts.got.extend(config.runner_name for config in configs)
        await until(lambda: not len(engine.minter.resolver), "all is resolved")
        assert hosts.ghosts() == set()


async def test_a_read_only_replica_is_named_as_such(
    server: RedisServer, simulator: SimulatorProcess, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "scaleset_burst")
    with RedisServer("--replicaof", "127.0.0.1", str(server.port)) as replica:
        async with fleet(simulator, replica.url, ORIGIN) as hosts:
            engine = await hosts.engine()
            assert await hosts.burst(engine, 10) == 10
            await asyncio.sleep(0.5)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1, said
    assert "read-only replica" in said[0]


async def test_what_a_killed_host_left_is_resolved_once_by_another(
    server: RedisServer, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    about: dict[str, object] = {
        "url": simulator.url, "config_url": simulator.config_url, "redis": server.url, "speed": SPEED,
        "origin": ORIGIN, "lease": 20, "connect": False, "look": False, "count": 10, "place": str(tmp_path),
    }  # fmt: skip
    async with fleet(simulator, server.url, ORIGIN) as hosts:
        for _ in range(2):
            await hosts.engine()
        dying = Host(about, simulator.token)
        await until(lambda: "ready" in dying.said, "the third host is ready")
        await hosts.settled()
        simulator.faults(["mint:hang-after"])
        dying.tell()
        await until(lambda: len(simulator.runners()) == 10, "ten ghosts are registered")
        dying.process.kill()
        dying.process.wait()
        dying.end()
        simulator.faults([])
        simulator.reset_counters()
        await until(lambda: simulator.runners() == [], "nothing is left", 30.0)
        assert simulator.counters()["requests"]["remove_runner"] == 10


async def test_a_host_that_was_only_paused_hands_out_nothing_that_another_one_removed(
    server: RedisServer, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    about: dict[str, object] = {
        "url": simulator.url, "config_url": simulator.config_url, "redis": server.url, "speed": SPEED,
        "origin": ORIGIN, "lease": 5, "connect": False, "look": False, "count": 10, "place": str(tmp_path),
    }  # fmt: skip
    async with fleet(simulator, server.url, ORIGIN) as hosts:
        await hosts.engine(sharing={"lease": 5})
        paused = Host(about, simulator.token)
        await until(lambda: "ready" in paused.said, "the second host is ready")
        await hosts.settled()
        simulator.reset_counters()
        simulator.faults(["mint:slow=10:first 10"])
        paused.tell()
        await until(lambda: simulator.counters()["faults"].get("slow", 0) == 10, "ten mints are under way")
        paused.process.send_signal(signal.SIGSTOP)
        await until(
            lambda: simulator.counters()["requests"].get("remove_runner", 0) == 10, "they were taken for ghosts"
        )
        paused.process.send_signal(signal.SIGCONT)
        await until(lambda: "settled" in paused.said, "the second host has what it asked for")
        names = [name for name, _ in paused.got]
        assert len(names) == 10
        assert {str(runner["name"]) for runner in simulator.runners()} == set(names)
        paused.end()


async def test_nothing_secret_is_written_and_everything_expires(
    server: RedisServer, simulator: SimulatorProcess
) -> None:
    async with fleet(simulator, server.url, ORIGIN) as hosts:
        engine = await hosts.engine()
        await hosts.settled()
        configs: list[str] = []
        outcomes = await engine.provision(LINUX, 30, ProvisionSettings(), lambda config: configs.append(config.encoded))
        assert len(outcomes) == 30
        await asyncio.sleep(0.3)
        with redis.Redis.from_url(server.url, decode_responses=True) as client:
            keys = client.keys()
            assert keys
            assert all(key.startswith("scaleset-burst:{") for key in keys)
            assert all(client.pttl(key) > 0 for key in keys), {key: client.pttl(key) for key in keys}
            hashes = [client.hgetall(key) for key in keys if client.type(key) == "hash"]
            texts = [client.get(key) for key in keys if client.type(key) == "string"]
            dump = f"{keys} {hashes} {texts}"
        assert simulator.token not in dump
        assert not any(config in dump or config[:40] in dump for config in configs)


@pytest.mark.parametrize("running", [True, False])
async def test_the_doctor_says_whether_redis_answers(
    simulator: SimulatorProcess, tmp_path: Path, running: bool
) -> None:
    with RedisServer() as server:
        if not running:
            server.kill()
        burst = {"sharing": {"url": server.url}}
        github = {"config_url": simulator.config_url, "token": {"$env": "DOCTOR_TOKEN"}}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump({"github": github, "plugins": {"burst": burst}}))
        command = [sys.executable, "-m", "scaleset_burst", "doctor", "config.yaml", "--json"]
        environment = {**os.environ, "DOCTOR_TOKEN": simulator.token}
        done = await asyncio.to_thread(
            subprocess.run, command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
    report = json.loads(done.stdout)
    level = next(finding["level"] for finding in report["findings"] if finding["name"] == "redis")
    assert (done.returncode, level) == ((0, "ok") if running else (1, "failure")), report
    assert done.stderr == ""
