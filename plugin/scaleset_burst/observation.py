"""Reads an engine's rooms into one snapshot; changes nothing, so that any thread may look at any time."""

from scaleset_burst.cache import Metadata
from scaleset_burst.histogram import HistogramValues
from scaleset_burst.journal import JournalNames
from scaleset_burst.limits import Admission
from scaleset_burst.minting import Minter
from scaleset_burst.snapshot import EngineSnapshot
from scaleset_client import ScaleSetClient

__all__ = ["observe"]


def observe(
    client: ScaleSetClient,
    metadata: Metadata,
    admission: Admission,
    minting: tuple[Minter, JournalNames] | None,
    now: float,
) -> EngineSnapshot:
    """Return what the rooms show at one moment.

    Args:
        client: The connection to the service.
        metadata: The cache.
        admission: The limits.
        minting: The minting room and its journal, once they are open.
        now: Monotonic time in seconds.
    """
    counters = client.counters
    used = admission.budget.used_at(now)
    minter, names = minting if minting is not None else (None, None)
    ledger = None if minter is None else minter.ledger
    return EngineSnapshot(
        scope=client.scope,
        mints={} if ledger is None else dict(ledger.outcomes),
        mint_seconds=HistogramValues() if ledger is None else ledger.seconds.values(),
        mint_parts={} if ledger is None else ledger.parts._asdict(),
        bursts=0 if ledger is None else ledger.bursts,
        waves=0 if ledger is None else ledger.waves,
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
    )
