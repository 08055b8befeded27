"""What an engine shows of itself at one moment: plain values, for metrics and reports. No secrets pass through here."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scaleset_burst.cache import KindCounters, Metadata
from scaleset_burst.journal import JournalNames
from scaleset_burst.limits import Admission
from scaleset_burst.minting import Minter
from scaleset_burst.minting.histogram import HistogramValues
from scaleset_client import ScaleSetClient

__all__ = ["EngineSnapshot", "observe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSnapshot:
    """One engine at one moment; counts are since its start, times in seconds.

    Attributes:
        scope: Host and path of the enterprise, organisation or repository.
        mints: Outcomes by scale set name and outcome (`minted`, or the value of a `FailureReason`).
        mint_seconds: From the demand of each delivered config to its delivery.
        mint_parts: Seconds of all delivered configs of bursts that ended, by part (`queue`, `server`, …).
        bursts: Bursts that ended.
        waves: Waves of mint requests of these bursts, one behind the other.
        waiting: Mints asked for and not sent yet.
        eta_seconds: How long the limits let the last of them wait, as the hosts were told; 0 if they need not wait.
        in_flight: Mint requests under way now.
        concurrency_limit: How many there may be now.
        budget_used: Registrations in the window that ends now.
        budget_left: Registrations that the window still allows.
        pause_seconds: How long the limits keep mints back from now on; 0 if they do not.
        connections_open: Connections for short calls open now.
        connections_opened: Connections opened.
        requests: Requests sent, by kind, repeats included.
        token_renewals: Token chains completed.
        cache: What happened in the cache, by kind.
        ghosts_removed: Registrations that nobody would use, found and removed.
        unresolved_mints: Names that may be registered and are not resolved yet.
        journal_open: Names in the journal whose end is not known yet.
        sharing_hosts: Hosts that share the limits, this one too; 0 while Redis is unavailable, `None` without Redis.
    """

    scope: str
    mints: Mapping[tuple[str, str], int] = field(default_factory=dict)
    mint_seconds: HistogramValues = field(default_factory=HistogramValues)
    mint_parts: Mapping[str, float] = field(default_factory=dict)
    bursts: int = 0
    waves: int = 0
    waiting: int = 0
    eta_seconds: float = 0.0
    in_flight: int = 0
    concurrency_limit: int = 0
    budget_used: int = 0
    budget_left: int = 0
    pause_seconds: float = 0.0
    connections_open: int = 0
    connections_opened: int = 0
    requests: Mapping[str, int] = field(default_factory=dict)
    token_renewals: int = 0
    cache: Mapping[str, KindCounters] = field(default_factory=dict)
    ghosts_removed: int = 0
    unresolved_mints: int = 0
    journal_open: int = 0
    sharing_hosts: int | None = None


def observe(
    client: ScaleSetClient,
    metadata: Metadata,
    admission: Admission,
    minting: tuple[Minter, JournalNames] | None,
    sharing_hosts: int | None,
    now: float,
) -> EngineSnapshot:
    """Return what the rooms show at one moment; changes nothing, so that any thread may look at any time.

    Args:
        client: The connection to the service.
        metadata: The cache.
        admission: The limits.
        minting: The minting room and its journal, once they are open.
        sharing_hosts: See `EngineSnapshot`.
        now: Monotonic time in seconds.
    """
    counters = client.counters
    used = admission.budget.used_at(now)
    minter, names = minting if minting is not None else (None, None)
    ledger = None if minter is None else minter.ledger
    queues = () if minter is None else tuple(minter.queues)
    waiting = [slot.call.told_eta for queue in queues for slot in tuple(queue.waiting) if slot.wanted]
    return EngineSnapshot(
        scope=client.scope,
        mints={} if ledger is None else dict(ledger.outcomes),
        mint_seconds=HistogramValues() if ledger is None else ledger.seconds.values(),
        mint_parts={} if ledger is None else ledger.parts._asdict(),
        bursts=0 if ledger is None else ledger.bursts,
        waves=0 if ledger is None else ledger.waves,
        waiting=len(waiting),
        eta_seconds=max((0.0, *(told - now for told in waiting if told is not None))),
        in_flight=admission.in_flight,
        concurrency_limit=admission.limiter.limit,
        budget_used=used,
        budget_left=max(0, admission.budget.limit - used),
        pause_seconds=admission.budget.pause_left(now),
        connections_open=client.connections_open,
        connections_opened=counters.connections_opened,
        requests=counters.requests,
        token_renewals=client.token_renewals,
        cache={kind.value: values for kind, values in metadata.counters.items()},
        ghosts_removed=0 if minter is None else minter.resolver.removed,
        unresolved_mints=0 if minter is None else len(minter.resolver),
        journal_open=0 if names is None else names.open_names(),
        sharing_hosts=sharing_hosts,
    )
