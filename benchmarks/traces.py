"""What traces cost: CPU per mint without them, with a host's provider in memory, and over OTLP, by turns."""

import asyncio
import json
import os
import sys
from contextlib import ExitStack
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.building import Peer
from benchmarks.driving import Program, Server
from benchmarks.peers.conversation import Meter, converse
from benchmarks.peers.ours import Plugin

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

__all__ = ["run"]

MODES = ("off", "memory", "otlp")
BURST = 300
BURSTS = 10
"""Bursts of one round of one mode, so that a round is a second of CPU."""

SPANS = 16_384
SETTLE = 1.0
"""Seconds after a round in which the last of its spans leave; they count."""

CONCURRENCY = 64
LATENCY = 20.0


class Traced(Plugin):
    """The plugin with traces, or without; a round ends when its spans have been sent."""

    def __init__(self, mode: str) -> None:
        super().__init__(traces=mode != "off")
        self._kept = _kept_by_a_host() if mode == "memory" else None

    async def burst(self, order: dict[str, Any], meter: Meter) -> None:
        """Mint bursts as a host does, one after another."""
        for _ in range(order["bursts"]):
            await super().burst(order, meter)
        await asyncio.sleep(order["settle"])
        if self._kept is not None:
            spans = len(self._kept.get_finished_spans())
            self._kept.clear()
            if spans < order["count"] * order["bursts"]:
                meter.error = f"only {spans} spans"


def run(*, rounds: int, as_json: bool) -> int:
    """Measure, and print a table; the last line is JSON if asked for. Return the exit status."""
    spent: dict[str, list[float]] = {mode: [] for mode in MODES}
    with ExitStack() as stack:
        server = stack.enter_context(Server())
        server.set_latency(LATENCY)
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = server.url  # it takes whatever it does not know
        os.environ["OTEL_BSP_SCHEDULE_DELAY"] = "500"
        programs = {mode: stack.enter_context(Program(_peer(mode))) for mode in MODES}
        for program in programs.values():
            program.connect(server, concurrency=CONCURRENCY, ca_file=None)
        for number in range(rounds + 1):
            for mode, program in programs.items():
                done = program.order("burst", count=BURST, bursts=BURSTS, settle=SETTLE)
                if done["error"] or done["delivered"] != BURST * BURSTS:
                    print(f"error: {mode}: {done['error'] or done['delivered']}", file=sys.stderr)
                    return 1
                if number:  # the first one warms up
                    spent[mode].append(done["cpu"] / done["delivered"] * 1e6)
    found = {mode: _summed(each, spent["off"]) for mode, each in spent.items()}
    print("| traces | CPU per mint, least | median | times that without, least | median |")
    print("| --- | --- | --- | --- | --- |")
    for mode, each in found.items():
        times = f"{each['times_least']:.2f} | {each['times_median']:.2f}"
        print(f"| {mode} | {each['least']:.0f} µs | {each['median']:.0f} µs | {times} |")
    if as_json:
        print(json.dumps({"rounds": rounds, "mints": BURST * BURSTS, "microseconds": found}))
    return 0


def _summed(spent: list[float], off: list[float]) -> dict[str, float]:
    """Return least and median, and how many times that of the rounds without; by pairs, since the machine has moods."""
    pairs = [mine / without for mine, without in zip(spent, off, strict=True)]
    least, middle = min(spent), median(spent)
    return {"least": least, "median": middle, "times_least": least / min(off), "times_median": median(pairs)}


def _peer(mode: str) -> Peer:
    return Peer(name=mode, kind="ours", command=(sys.executable, "-m", "benchmarks.traces", mode))


def _kept_by_a_host() -> "InMemorySpanExporter":
    """Set a provider as a host does, and return what keeps its spans."""
    from opentelemetry import trace  # noqa: PLC0415  # nor is it loaded where traces are off
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: PLC0415

    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(kept, max_queue_size=SPANS))
    trace.set_tracer_provider(provider)
    return kept


if __name__ == "__main__":
    asyncio.run(converse(Traced(sys.argv[1])))
