"""Runs a workload on every peer by turns: A B A B, so that the machine's moods strike all alike."""

import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.building import Peer
from benchmarks.driving import PeerFailed, Program, Server
from benchmarks.workloads import Workload

__all__ = ["Result", "Sample", "measure"]

INTERVAL = 0.05
"""Seconds between two mints of a trickle."""

SLOW = 4.0
"""A peer whose round takes longer than these seconds has only SLOW_ROUNDS, for the run to end in time."""
SLOW_ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One round of one peer; seconds, but for the peak."""

    seconds: float
    cpu: float
    first: float
    size: int
    delivered: int
    peak_kib: int
    server_share: float


@dataclass(slots=True)
class Result:
    """All rounds of one peer."""

    peer: Peer
    workload: Workload
    samples: list[Sample] = field(default_factory=list)
    failure: str = ""

    def middle(self, name: str) -> float:
        """Return the median of one measure."""
        return float(median(getattr(sample, name) for sample in self.samples))

    @property
    def cpu_per_mint(self) -> float:
        """Median microseconds of the client's CPU for one mint."""
        return float(median(sample.cpu / sample.delivered for sample in self.samples)) * 1e6

    @property
    def ratio(self) -> float:
        """Median time over the limit."""
        return self.middle("seconds") / self.workload.limit

    @property
    def server_was_busy(self) -> bool:
        """Whether the stand-in used more than half a core, so that it may have been the wall."""
        return any(sample.server_share > 0.5 for sample in self.samples)


def measure(
    workload: Workload, peers: list[Peer], server: Server, ca_file: Path | None, *, rounds: int, quick: bool
) -> list[Result]:
    """Return the results of every peer that takes part."""
    results = [Result(peer, workload) for peer in peers if workload.has(peer, quick=quick)]
    least = workload.rounds // 2 if quick else workload.rounds
    rounds = max(min(rounds, workload.quick_rounds) if quick else rounds, least)
    server.set_latency(workload.latency)
    with ExitStack() as stack:
        programs: dict[str, Program] = {}
        if workload.shape != "cold":
            for result in results:
                with _noting(result):
                    program = programs[result.peer.name] = stack.enter_context(Program(result.peer))
                    _prepare(program, workload, server, ca_file)
        for number in range(rounds):
            for result in results:
                slow = bool(result.samples) and result.middle("seconds") > SLOW
                if result.failure or (slow and number >= SLOW_ROUNDS):
                    continue
                with _noting(result):
                    result.samples.append(_round(programs.get(result.peer.name), result, server, ca_file))
                print(".", end="", file=sys.stderr, flush=True)
    return results


class _noting:  # noqa: N801  # reads as a verb where it is used
    """Turns a peer's failure into a note beside its name."""

    def __init__(self, result: Result) -> None:
        self._result = result

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: object, _trace: object) -> bool:
        if isinstance(error, PeerFailed):
            self._result.failure = str(error)
            return True
        return False


def _prepare(program: Program, workload: Workload, server: Server, ca_file: Path | None) -> None:
    """Connect, and mint once over every connection, so that all begin warm."""
    program.connect(
        server,
        concurrency=workload.concurrency,
        ca_file=ca_file,
        slice="always" if workload.slice else "never",
        queues=2 if workload.group == "pair" else 1,
    )
    count = 1 if program.peer.one else 2 * workload.concurrency
    program.order("burst", count=count, sets=_sets(workload))


def _sets(workload: Workload) -> list[str]:
    return ["bench-a", "bench-b"] if workload.shape == "pair" else ["bench-a"]


def _round(program: Program | None, result: Result, server: Server, ca_file: Path | None) -> Sample:
    workload = result.workload
    before = server.control("facts")
    if program is None:
        with Program(result.peer) as fresh:
            connected = fresh.connect(server, concurrency=workload.concurrency, ca_file=ca_file, warm=0)
            took = fresh.order("burst", count=workload.count, sets=_sets(workload))
            for key in ("seconds", "cpu"):
                took[key] += connected[key]
            took["first"] += connected["seconds"]
    else:
        do = "trickle" if workload.shape == "trickle" else "burst"
        took = program.order(do, count=workload.count, sets=_sets(workload), interval=INTERVAL)
    after = server.control("facts")
    if took.get("error"):
        raise PeerFailed(took["error"])
    expected = workload.count * len(_sets(workload))
    if took["delivered"] != expected:
        raise PeerFailed(f"delivered {took['delivered']} of {expected}")
    return Sample(
        seconds=took["seconds"],
        cpu=took["cpu"],
        first=took["first"],
        size=took["bytes"],
        delivered=took["delivered"],
        peak_kib=took["peak_kib"],
        server_share=(after["cpu"] - before["cpu"]) / took["seconds"],
    )
