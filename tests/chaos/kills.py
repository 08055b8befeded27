"""The host is killed at random points of a burst, on a disk that fails: no ghost, nobody's runner removed.

Names that its disk never took and that died with it cannot be found again: they are counted, and are no ghosts here.
Every other host has a disk that works, of which there must be none.
"""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from scaleset_simulator import SimulatorProcess
from tests.chaos.outcome import UNEVEN, ChaosResult, judge

BURST = 120


def run_kills(kills: int, seed: int) -> ChaosResult:
    """Kill the host `kills` times; the last one lives until everything is resolved."""
    chance = random.Random(seed)
    started = time.monotonic()
    options = ("--latency", UNEVEN, "--seed", str(seed), "--fault", "mint:drop-after:3%")
    with tempfile.TemporaryDirectory() as place, SimulatorProcess(*options) as simulator:
        launched: list[str] = []
        known: set[str] = set()
        killed = 0
        for turn in range(kills + 1):
            last = turn == kills
            launched += _host(simulator, Path(place), None if last else chance.uniform(0.02, 0.6), seed + turn)
            known |= _written(Path(place))
            killed += not last
        # A host that died between a launch and its note in the file launched all the same: the service knows.
        online = [str(runner["name"]) for runner in simulator.runners() if runner["status"] == "online"]
        registered = {str(runner["name"]) for runner in simulator.runners()}
        unwritten = registered - known - set(online)
        on_a_good_disk = sum(name.startswith("works-") for name in unwritten)
        outcome = judge(
            seed=seed,
            asked=len(online),
            delivered=online,
            failed=0,
            registered=registered - unwritten,
            counters=simulator.counters(),
        )
        outcome["broken_promises"] = [each for each in outcome["broken_promises"] if each != "budget"]
        lost = set(launched) - set(online)
        if on_a_good_disk:
            outcome["broken_promises"].append("never written, though the disk works")
        if lost:
            outcome["broken_promises"].append("launched runners were removed")
        return outcome | {
            "killed": killed,
            "never_written": len(unwritten),
            "never_written_though_the_disk_works": on_a_good_disk,
            "removed_in_use": len(lost),
            "seconds": round(time.monotonic() - started, 1),
        }


def _host(simulator: SimulatorProcess, place: Path, lives: float | None, seed: int) -> list[str]:
    """Run one host; kill it that long after its burst began, or let it finish."""
    environment = dict(os.environ, CHAOS_TOKEN=simulator.token)
    arguments = json.dumps(
        {
            "url": simulator.url,
            "config_url": simulator.config_url,
            "place": str(place),
            "count": BURST,
            "seed": seed,
            "disk": "works" if lives is None or seed % 2 else "fails",
        }
    )
    command = [sys.executable, "-m", "tests.chaos.host", arguments, "kill" if lives is not None else "settle"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as host:
        assert host.stdout is not None
        line = host.stdout.readline()
        assert line == "bursting\n", f"the host did not start: {line!r}"
        if lives is not None:
            time.sleep(lives)
            host.send_signal(signal.SIGKILL)
        rest = host.stdout.read()
        status = host.wait(300)
        assert lives is not None or status == 0, f"the last host failed with {status}: {rest}"
    return [name for name in rest.split() if name]


def _written(place: Path) -> set[str]:
    """Return the names that the dead host's journal holds."""
    names: set[str] = set()
    for path in place.rglob("journal.db"):
        with (
            sqlite3.connect(path) as database,
            suppress(sqlite3.OperationalError),
        ):  # a full disk may have left no table
            names.update(str(row[0]) for row in database.execute("SELECT name FROM names"))
        database.close()
    return names
