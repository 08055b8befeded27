"""How a peer talks to the harness: one JSON order a line in, one JSON answer a line out.

`connect` opens the client and resolves the scale set; `burst` and `trickle` mint; `end` ends. Standard library only.
"""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Client", "Meter", "converse", "flood", "names"]


class Client(Protocol):
    """What a peer's program is to the harness."""

    async def connect(self, order: dict[str, Any]) -> None:
        """Open the client and resolve the scale set."""

    async def burst(self, order: dict[str, Any], meter: "Meter") -> None:
        """Mint as many as the order says."""

    async def close(self) -> None:
        """Close."""


class Meter:
    """Measures one order: time, CPU, first arrival."""

    def __init__(self) -> None:
        self.delivered = 0
        self.size = 0
        self.error = ""
        self._first = 0.0
        self._cpu = _cpu()
        self._start = time.perf_counter()

    def took(self, config: str) -> None:
        """Note a config that has arrived."""
        if not self.delivered:
            self._first = time.perf_counter() - self._start
        self.delivered += 1
        self.size += len(config)

    def result(self) -> dict[str, Any]:
        """Return what was measured: seconds, CPU seconds, KiB."""
        return {
            "seconds": time.perf_counter() - self._start,
            "cpu": _cpu() - self._cpu,
            "first": self._first,
            "delivered": self.delivered,
            "bytes": self.size,
            "peak_kib": _peak(),
            "error": self.error,
        }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _peak() -> int:
    """Return the peak of this program alone; getrusage counts what the parent had when it forked."""
    with Path("/proc/self/status").open() as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))


_serial = iter(range(1, sys.maxsize))


def names() -> str:
    """Return a name that is new in this process."""
    return f"bench-{next(_serial)}"


async def flood(count: int, workers: int, mint: Callable[[str], Awaitable[str]], meter: Meter) -> None:
    """Mint that many with that many workers at most."""
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            try:
                meter.took(await mint(names()))
            except Exception as error:  # noqa: BLE001  # whatever the peer's library raises ends this worker, and is told
                meter.error = meter.error or f"{type(error).__name__}: {error}"
                return

    await asyncio.gather(*(work() for _ in range(min(count, workers))))


async def trickle(client: Client, order: dict[str, Any], meter: Meter) -> None:
    """Mint one at a time, steadily."""
    single = {**order, "count": 1}
    for _ in range(order["count"]):
        wait = asyncio.create_task(asyncio.sleep(order["interval"]))
        await client.burst(single, meter)
        await wait


async def converse(client: Client) -> None:
    """Carry out the harness's orders until it says `end`."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        if order["do"] == "end":
            break
        meter = Meter()
        if order["do"] == "connect":
            await client.connect(order)
        elif order["do"] == "trickle":
            await trickle(client, order, meter)
        else:
            await client.burst(order, meter)
        print(json.dumps(meter.result()), flush=True)
    await client.close()
