"""Bursts under real conditions: our limit against the best fixed one, and every peer where answers are lost or refused.

The service is the simulator, a process of its own for each run, with the same seed for each burst: its n-th mint takes
the same time for everybody, however many were asked for twice in the bursts before. The limits of a model run side by
side, burst by burst, so that stalls and the machine's moods meet all.
"""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from threading import Barrier
from typing import Any

from benchmarks.building import ROOT, Peer
from benchmarks.driving import PeerFailed, Program
from scaleset_simulator import SimulatorProcess

__all__ = ["CONDITIONS", "MODELS", "as_table", "measure_peer", "run", "summary"]

MOST = 64
UNEVEN = "lognormal:250ms,0.8"
CAPACITY = 24
SETTLE = 4.0
"""Seconds that a peer is left alone after its burst, where answers are lost, to look for them before it is closed."""

LIMITS = (32, 48, MOST)
BURST_SECONDS = 300.0
"""A burst that takes longer breaks the barrier of its model: something hangs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A service: its latency, its capacity, and the fixed limits worth trying on it."""

    latency: str
    capacity: int = 0
    overload: str = "queue"
    limits: tuple[int, ...] = LIMITS


MODELS = {
    "constant": Model(latency="200ms"),
    "uniform": Model(latency="uniform:40ms-360ms"),
    "lognormal 0.8": Model(latency=UNEVEN),
    "lognormal 1.2": Model(latency="lognormal:100ms,1.2"),
    "two humps": Model(latency="mix:90%*100ms+10%*1s"),
    "stalls": Model(latency="uniform:40ms-360ms;stall=2s/20s"),
    "drift": Model(latency="uniform:20ms-180ms;drift=5/1m"),
    "grows with load": Model(latency="uniform:40ms-360ms", capacity=CAPACITY, limits=(CAPACITY, 32, MOST)),
    # More than a service bears that refuses is only refused: no fixed limit above is worth trying.
    "refuses": Model(latency=UNEVEN, capacity=CAPACITY, overload="refuse", limits=(20, CAPACITY)),
}

CONDITIONS: dict[str, tuple[Model, tuple[str, ...]]] = {
    "a: uneven": (Model(latency=UNEVEN), ()),
    "b: uneven, 1 % lost, 1 % 503": (Model(latency=UNEVEN), ("mint:drop-after:every 100", "mint:status=503:every 100")),
    "c: uneven, refuses beyond 24": (Model(latency=UNEVEN, capacity=CAPACITY, overload="refuse"), ()),
}


def run(peers: list[Peer], skipped: dict[str, str], *, quick: bool, rounds: int) -> dict[str, Any]:
    """Measure everything; return it with the date, the commit and the machine."""
    about, (size, bursts) = _about(), (100, 3) if quick else (300, 10)
    ours = peers[0]
    kinds = ("plugin", "aiohttp", "httpx", "rust crate")
    taking_part = [peer for peer in peers if peer.name in kinds or peer.kind == "go"]
    if quick:
        taking_part = [peer for peer in taking_part if not peer.one and peer.kind != "rust"]
    rounds = 1 if quick else min(rounds, 2)
    one = [peer for peer in taking_part if peer.one]
    with ThreadPoolExecutor() as pool:
        # Those that keep to one client take minutes and hardly work at all: they run beside everything else.
        slow = {
            (name, peer.name): pool.submit(measure_peer, name, peer, size, 0) for name in CONDITIONS for peer in one
        }
        models = {name: _model(ours, model, size, bursts, name) for name, model in MODELS.items()}
        conditions = {
            name: _condition(name, [peer for peer in taking_part if not peer.one], size, rounds) for name in CONDITIONS
        }
        for (name, peer_name), found in slow.items():
            conditions[name][peer_name] = summary([found.result()])
    print(file=sys.stderr)
    about |= {"burst": size, "bursts": bursts, "rounds": rounds}
    return {"about": about, "models": models, "conditions": conditions, "skipped": skipped}


def _about() -> dict[str, Any]:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": commit.stdout.strip() or "unknown",
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "python": platform.python_version(),
    }


@contextmanager
def _service(
    model: Model, faults: tuple[str, ...] = (), seed: int = 0, query: str = "ring=1"
) -> Iterator[SimulatorProcess]:
    with SimulatorProcess(
        latency=model.latency, capacity=model.capacity, overload=model.overload, fault=faults, seed=seed,
        token="bench", scale_set=["bench-a", "bench-b"], group_capacity=100_000, tenant_query=query,
    ) as simulator:  # fmt: skip
        yield simulator


def _model(ours: Peer, model: Model, size: int, bursts: int, name: str) -> dict[str, Any]:
    """Run `auto` and each fixed limit side by side; return the ratios of the bursts to the best fixed limit's."""
    print(f"{name} ", end="", file=sys.stderr, flush=True)
    limits: tuple[int | None, ...] = (None, *model.limits)
    start = Barrier(len(limits), timeout=BURST_SECONDS)
    with ThreadPoolExecutor(len(limits)) as pool:
        # A list: all are begun before the first is waited for.
        runs = list(pool.map(lambda limit: _bursts(ours, model, limit, size, bursts, start), limits))
    seconds = dict(zip(limits, runs, strict=True))
    best = min(model.limits, key=lambda limit: sum(seconds[limit]))
    ratios = [mine / other for mine, other in zip(seconds[None], seconds[best], strict=True)]
    return {
        "latency": model.latency,
        "median_ratio": round(median(ratios), 3),
        "worst_ratio": round(max(ratios), 3),
        "best_fixed": best,
        "median_seconds": round(median(seconds[None]), 3),
        "median_seconds_fixed": {limit: round(median(seconds[limit]), 3) for limit in model.limits},
    }


def _bursts(ours: Peer, model: Model, limit: int | None, size: int, bursts: int, start: Barrier) -> list[float]:
    seconds = []
    try:
        with _service(model) as service, Program(ours) as program:
            program.connect(service, concurrency=limit or MOST, ca_file=None, auto=limit is None)
            for burst in range(bursts):
                service.configure(seed=burst)
                start.wait()
                took = program.order("burst", count=size)
                seconds.append(took["seconds"])
    except BaseException:
        start.abort()  # nobody waits for one that is gone
        raise
    return seconds


def _condition(name: str, peers: list[Peer], size: int, rounds: int) -> dict[str, Any]:
    """Run every peer by turns."""
    print(f"{name} ", end="", file=sys.stderr, flush=True)
    samples: dict[str, list[dict[str, Any]]] = {peer.name: [] for peer in peers}
    for number in range(rounds):
        for peer in peers:
            samples[peer.name].append(measure_peer(name, peer, size, number))
            print(".", end="", file=sys.stderr, flush=True)
    return {peer: summary(rows) for peer, rows in samples.items()}


def measure_peer(condition: str, peer: Peer, size: int, seed: int) -> dict[str, Any]:
    """Let one peer mint one burst on a service of its own; return what it measured and what it left there."""
    model, faults = CONDITIONS[condition]
    query = "" if peer.kind == "rust" else "ring=1"  # the crate appends its paths behind a query
    with _service(model, faults, seed, query) as service:
        took: dict[str, Any] = {"delivered": 0}
        failure = ""
        try:
            with Program(peer) as program:
                program.connect(service, concurrency=MOST, ca_file=None, auto=True)
                took = program.order("burst", count=size)
                time.sleep(SETTLE if faults else 0.0)
            failure = took.get("error") or ""
        except PeerFailed as error:
            failure = str(error)
        counted = service.counters()
    if not failure and took["delivered"] != size:
        failure = f"delivered {took['delivered']} of {size}"
    return {
        **took,
        "failure": failure,
        "ghosts": counted["runners"] - took["delivered"],
        "registrations": counted["registrations"],
        "names_taken": counted["statuses"].get("409", 0),
        "refused": counted["statuses"].get("503", 0),
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return medians; counts of what went wrong are sums, so that no round hides one."""
    failures = [row["failure"] for row in rows if row["failure"]]
    found: dict[str, Any] = {
        "rounds": len(rows),
        "delivered": sum(row["delivered"] for row in rows),
        "ghosts": sum(row["ghosts"] for row in rows),
        "names_taken": sum(row["names_taken"] for row in rows),
        "refused": sum(row["refused"] for row in rows),
    }
    if found["delivered"]:
        found["registrations_per_config"] = round(sum(row["registrations"] for row in rows) / found["delivered"], 3)
    if failures:
        return found | {"failed": len(failures), "failure": failures[0][:200]}
    return found | {name: round(median(row[name] for row in rows), 3) for name in ("seconds", "cpu", "first")}


def as_table(found: dict[str, Any]) -> str:
    """Return both tables, and what they were measured on."""
    about = found["about"]
    lines = [
        f"{about['date']}, commit {about['commit']}, {about['machine']}, Python {about['python']}.",
        f"{about['bursts']} bursts of {about['burst']}, {MOST} connections; peers: {about['rounds']} bursts each.",
        "",
        "| latency of the service | `auto`: seconds | best fixed limit | its seconds | median ratio | worst ratio |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, model in found["models"].items():
        best = model["best_fixed"]
        lines.append(
            f"| {name}: `{model['latency']}` | {model['median_seconds']:.2f} | {best} "
            f"| {model['median_seconds_fixed'][best]:.2f} | {model['median_ratio']:.2f} | {model['worst_ratio']:.2f} |"
        )
    lines += [
        "",
        "| condition | client | seconds | CPU s | delivered | ghosts | registered each | names taken | refused |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for condition, peers in found["conditions"].items():
        for peer, row in peers.items():
            how = (
                f"{row['seconds']:.2f} | {row['cpu']:.2f}" if "seconds" in row else f"failed: {_cell(row['failure'])} |"
            )
            lines.append(
                f"| {condition} | {peer} | {how} | {row['delivered']} | {row['ghosts']} "
                f"| {row.get('registrations_per_config', '-')} | {row['names_taken']} | {row['refused']} |"
            )
    return "\n".join([*lines, "", *(f"skipped: {name}: {why}" for name, why in found["skipped"].items())])


def _cell(text: str) -> str:
    return text.replace("|", "/")[:120]
