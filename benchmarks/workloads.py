"""What is asked of the peers, and how often."""

import math
from dataclasses import dataclass

from benchmarks.building import Peer

__all__ = ["WORKLOADS", "Workload"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One kind of work.

    Attributes:
        name: Key in the results.
        group: What to name on the command line for it.
        count: Mints, for each scale set.
        latency: Milliseconds that the service takes for an answer.
        concurrency: Mints in flight at most, for each scale set.
        kinds: Kinds of peers that take part; others cannot, or would take minutes.
        shape: `burst`, `cold` (a new process each round, connecting included), `trickle`, or `pair` (two scale sets).
        tls: Whether over TLS.
        slice: Whether with slices.
        quick: Whether part of a quick run.
        quick_rounds: Rounds of a quick run at most.
        rounds: Rounds at least, where a small difference is measured; half as many in a quick run.
    """

    name: str
    group: str = "burst"
    count: int = 1000
    latency: float = 50.0
    concurrency: int = 64
    kinds: tuple[str, ...] = ("plugin", "client", "go", "rust crate", "aiohttp")
    shape: str = "burst"
    tls: bool = False
    slice: bool = False
    quick: bool = True
    quick_rounds: int = 5
    rounds: int = 0

    @property
    def limit(self) -> float:
        """Seconds that no client can beat: whole waves at the service's latency."""
        return math.ceil(self.count / self.concurrency) * self.latency / 1000

    def has(self, peer: Peer, *, quick: bool) -> bool:
        """Whether the peer takes part; a quick run leaves out those that are slow or no measure for us."""
        if quick and (peer.one or (peer.name not in QUICK_PEERS and peer.kind != "go")):
            return False
        if peer.one or peer.name in {"httpx", "plugin, uvloop"}:
            return peer.name in self.kinds or (peer.one and "go, one client" in self.kinds)
        return peer.name in self.kinds or peer.kind in self.kinds


QUICK_PEERS = ("plugin", "plugin, Redis", "client", "aiohttp")
FAST = ("plugin", "client", "go", "rust crate", "aiohttp")
WORKLOADS = (
    Workload(name="burst_100_50ms", count=100, kinds=(*FAST, "httpx", "go, one client")),
    Workload(name="burst_1000_50ms", kinds=(*FAST, "httpx", "plugin, uvloop")),
    Workload(name="burst_1000_50ms_tls", group="tls", tls=True, quick_rounds=3),
    Workload(name="burst_10000_50ms", count=10_000, concurrency=256, quick_rounds=3),
    Workload(name="burst_1000_5ms", latency=5.0, quick_rounds=3),
    Workload(name="burst_1000_300ms", latency=300.0, quick=False),
    Workload(name="first_warm_50ms", group="cold", count=1, concurrency=64),
    Workload(name="cold_64_50ms_tls", group="cold", count=64, shape="cold", tls=True, quick_rounds=3),
    Workload(name="trickle_20_a_second", group="trickle", count=40, latency=5.0, shape="trickle", quick_rounds=1),
    Workload(name="alone_500_50ms", group="pair", count=500, kinds=("plugin",), quick_rounds=3),
    Workload(name="pair_500_50ms", group="pair", count=500, shape="pair", kinds=("plugin",), quick_rounds=3),
    Workload(name="shared_1000_50ms", group="sharing", kinds=("plugin", "plugin, Redis"), rounds=15),
    Workload(name="slices_1000_50ms", group="slices", slice=True, kinds=("plugin",)),
)
