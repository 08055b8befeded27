"""Where the CPU of a mint goes: the plugin's own burst under a profiler, summed up by room."""

import asyncio
import cProfile
import json
import pstats
import tempfile
import time
from collections import Counter
from typing import Any

from benchmarks.building import CACHE
from benchmarks.driving import Server
from benchmarks.peers.conversation import Meter
from benchmarks.peers.ours import Plugin

__all__ = ["run"]

MINTS = 1000
ROUNDS = 3
CONCURRENCY = 64

ROOMS = (
    ("scaleset_client/transport", "transport: connections, llhttp"),
    ("scaleset_client", "client: requests, tokens, decoding"),
    ("scaleset_burst/minting", "minting: queues, settlement, delivery"),
    ("scaleset_burst/metadata", "metadata: the cache hears of each runner"),
    ("scaleset_burst/journal", "journal: changes handed to its thread"),
    ("cachetools", "metadata: the cache hears of each runner"),
    ("httpx", "httpx: request and response objects"),
    ("asyncio", "asyncio: the loop, tasks, timers"),
    ("selectors", "asyncio: the loop, tasks, timers"),
    ("json", "json"),
)
SYSTEM = ("'send' of '_socket", "'recv_into' of '_socket", "'recv' of '_socket", "'poll' of 'select.poll'")
WAITING = "'poll' of 'select.epoll'"


def run(*, as_json: bool) -> int:
    """Measure, and print two tables; the last line is JSON if asked for. Return the exit status."""
    plain = asyncio.run(_measured(None))
    profiler = cProfile.Profile()
    asyncio.run(_measured(profiler))
    rooms = _by_room(profiler)
    total = sum(rooms.values())
    print("| where | CPU per mint |\n| --- | --- |")
    for name, value in plain.items():
        print(f"| {name} | {value:.0f} µs |")
    print("\n| of the loop's thread, by the profiler | share |\n| --- | --- |")
    for room, seconds in rooms.most_common():
        print(f"| {room} | {seconds / total:.0%} |")
    if as_json:
        print(json.dumps(plain | {"shares": {room: round(seconds / total, 3) for room, seconds in rooms.items()}}))
    return 0


async def _measured(profiler: cProfile.Profile | None) -> dict[str, float]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with Server() as server, tempfile.TemporaryDirectory(dir=CACHE, prefix="journal-") as journal:
        server.set_latency(50.0)
        plugin = Plugin()
        order: dict[str, Any] = {
            "config_url": f"{server.url}/acme", "token": "bench", "scale_set": "bench-a", "concurrency": CONCURRENCY,
            "ca_file": None, "journal": journal, "warm": CONCURRENCY, "queues": 1, "slice": "never",
        }  # fmt: skip
        await plugin.connect(order)
        await plugin.burst({"count": 2 * CONCURRENCY}, Meter())
        process, thread = time.process_time(), time.thread_time()
        if profiler is not None:
            profiler.enable()
        for _ in range(ROUNDS):
            await plugin.burst({"count": MINTS}, Meter())
        if profiler is not None:
            profiler.disable()
        loop = (time.thread_time() - thread) / (ROUNDS * MINTS) * 1e6
        whole = (time.process_time() - process) / (ROUNDS * MINTS) * 1e6
        await plugin.close()
    return {"the loop's thread": loop, "the journal's thread": whole - loop, "both": whole}


def _by_room(profiler: cProfile.Profile) -> Counter[str]:
    """Return each room's own seconds; a built-in counts for whoever calls it, the kernel for itself."""
    rooms: Counter[str] = Counter()
    stats: Any = pstats.Stats(profiler)
    for (path, _, function), (_, _, own, _, callers) in stats.stats.items():
        if WAITING in function:
            continue
        if any(part in function for part in SYSTEM):
            rooms["the kernel: send, recv, poll"] += own
        elif path == "~":
            for (caller, _, _), (_, _, share, _) in callers.items():
                rooms[_room(caller)] += share
        else:
            rooms[_room(path)] += own
    return rooms


def _room(path: str) -> str:
    return next((room for part, room in ROOMS if part in path), "other")
