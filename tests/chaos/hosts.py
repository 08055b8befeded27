"""Several hosts, one scope, one Redis: the limit is kept by all of them together, whatever dies."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from scaleset_simulator import SimulatorProcess
from tests.chaos.outcome import UNEVEN, ChaosResult
from tests.kit.redis_server import RedisServer

LIMIT, WINDOW = 1500, 300.0
LEASE = 60.0
SWEEP = 5.0
"""A sweep: seeing that a host fell silent takes up to 2 s more than its lease, and removing what it left the rest."""
FAULTS = ("mint:drop-after:2%", "mint:status-after=502:1%")


class Host:
    """One host process, and what it said."""

    def __init__(self, about: dict[str, object], token: str) -> None:
        environment = dict(os.environ, CHAOS_TOKEN=token)
        command = [sys.executable, "-m", "tests.chaos.sharer", json.dumps(about)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.got: list[tuple[str, float]] = []
        self.failed = 0
        self.said: set[str] = set()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            what, _, rest = line.strip().partition(" ")
            if what == "got":
                name, _, at = rest.partition(" ")
                self.got.append((name, float(at)))
            elif what == "ended":
                self.failed = int(json.loads(rest)["failed"])
            self.said.add(what)

    def tell(self) -> None:
        """Send a line."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def wait(self, word: str, seconds: float) -> None:
        """Wait until it said a word."""
        until = time.monotonic() + seconds
        while word not in self.said:
            if time.monotonic() > until or self.process.poll() is not None:
                raise AssertionError(f"a host never said {word!r}; its status is {self.process.poll()}")
            time.sleep(0.02)

    def end(self) -> None:
        """Stop it, unless it is dead, and read the rest."""
        if self.process.poll() is None:
            self.tell()
        self.process.wait(60)
        self._reader.join(10)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class Observer:
    """Looks at the service's count of registrations now and then."""

    def __init__(self, simulator: SimulatorProcess) -> None:
        self._simulator = simulator
        self.samples: list[tuple[float, int]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            counters = self._simulator.counters()
            self.samples.append((float(counters["time"]), int(counters["registrations"])))

    def end(self) -> None:
        """Stop looking."""
        self._ended.set()
        self._thread.join(10)

    def use(self) -> float | None:
        """Return how much of the limit the windows held on average, from the first full one to the last mint."""
        begun = next((at for at, count in self.samples if count), None)
        if begun is None:
            return None
        last = self.samples[-1][1]
        over = next(at for at, count in self.samples if count == last)
        shares = []
        for at, count in self.samples:
            if begun + WINDOW <= at < over:
                before = [number for moment, number in self.samples if moment <= at - WINDOW]
                shares.append((count - (before[-1] if before else 0)) / LIMIT)
        return round(sum(shares) / len(shares), 3) if shares else None


def run_hosts(hosts: int, mints: int, seed: int, speed: float, *, redis_kills: int, kill_host: bool) -> ChaosResult:
    """Let the hosts burst at once, and compare what they got with what the service holds."""
    started, origin = time.monotonic(), time.time()
    faults = [part for fault in FAULTS for part in ("--fault", fault)]
    options = ("--latency", UNEVEN, "--seed", str(seed), "--group-capacity", "50000")
    limits = ("--registrations", str(LIMIT + 100), "--window", f"{WINDOW:g}s")
    clocked = ("--speed", str(speed), "--origin", str(origin))
    with (
        tempfile.TemporaryDirectory() as place,
        RedisServer() as redis,
        SimulatorProcess(*options, *limits, *clocked, *faults) as simulator,
    ):
        about: dict[str, object] = {
            "url": simulator.url, "config_url": simulator.config_url, "redis": redis.url, "speed": speed,
            "origin": origin, "lease": LEASE, "connect": kill_host, "look": False, "count": mints // hosts,
        }  # fmt: skip
        running = [Host(about | {"place": str(Path(place) / str(index))}, simulator.token) for index in range(hosts)]
        observer = Observer(simulator)
        for host in running:
            host.wait("ready", 60)
        time.sleep(6 / speed)  # an empty Redis settles first
        for host in running:
            host.tell()
        chance = random.Random(seed)
        for _ in range(redis_kills):
            time.sleep(chance.uniform(60, 200) / speed)
            redis.kill()
            time.sleep(chance.uniform(5, 60) / speed)
            redis.start()
        healed = _kill_one(running, simulator, mints // hosts, speed) if kill_host else None
        alive = [host for host in running if host.process.poll() is None]
        for host in alive:
            host.wait("settled", 120 + mints / LIMIT * WINDOW * 1.5 / speed)
        observer.end()
        counters = simulator.counters()
        registered = {str(runner["name"]): str(runner["status"]) for runner in simulator.runners()}
        for host in running:
            host.end()
    names = [name for host in running for name, _ in host.got]
    kept = {name for name, status in registered.items() if status == "online"} if kill_host else set(names)
    outcome: ChaosResult = {
        "hosts": hosts,
        "asked": mints,
        "delivered": len(names),
        "failed": sum(host.failed for host in running),
        "ghosts": len(set(registered) - kept),
        "missing": len(set(names) - set(registered)),
        "duplicates": sum(count - 1 for count in Counter(names).values()),
        "max_registrations_in_5_minutes": counters["max_registrations_in_window"],
        "use_of_limit": observer.use(),
        "shares": _shares(running),
        "redis_kills": redis_kills,
        "ghosts_gone_after_seconds": healed,
        "lease_and_sweep": LEASE + SWEEP,
        "faults": counters["faults"],
        "requests": counters["requests"],
        "seed": seed,
        "seconds": round(time.monotonic() - started, 1),
    }
    promises = {
        "limit": outcome["max_registrations_in_5_minutes"] <= LIMIT,
        "ghosts": outcome["ghosts"] == 0,
        "missing": outcome["missing"] == 0,
        "duplicates": outcome["duplicates"] == 0,
        "delivered": kill_host or (len(names) == mints and outcome["failed"] == 0),
        "use": bool(redis_kills or kill_host) or (outcome["use_of_limit"] or 1.0) >= 0.95,
        "fair": bool(redis_kills or kill_host) or all(0.8 <= share <= 1.2 for share in outcome["shares"]),
        "healed": healed is None or healed <= LEASE + SWEEP,
    }
    outcome["broken_promises"] = [name for name, kept in promises.items() if not kept]
    return outcome


def _shares(running: list[Host]) -> list[float]:
    """Return how much each host got while all of them wanted more, as a multiple of an equal part."""
    until = min(max((at for _, at in host.got), default=0.0) for host in running)
    counts = [sum(1 for _, at in host.got if at <= until) for host in running]
    return [round(count * len(counts) / max(1, sum(counts)), 2) for count in counts]


def _kill_one(running: list[Host], simulator: SimulatorProcess, count: int, speed: float) -> float:
    """Kill a host in the middle of its burst; return after how many seconds nothing of it was left unused."""
    victim = running[0]
    until = time.monotonic() + 60
    while len(victim.got) < min(60, count // 4) and time.monotonic() < until:
        time.sleep(0.005)
    victim.process.send_signal(signal.SIGKILL)
    killed = float(simulator.counters()["time"])
    victim.process.wait()
    time.sleep(0.2)
    prefix = {str(runner["name"]) for runner in simulator.runners() if runner["status"] != "online"}
    gone = killed
    limit = time.monotonic() + (LEASE * 6) / speed + 10
    while time.monotonic() < limit:
        left = {str(runner["name"]) for runner in simulator.runners() if runner["status"] != "online"} & prefix
        gone = float(simulator.counters()["time"])
        if not left:
            break
        time.sleep(0.05)
    return round(gone - killed, 1)
