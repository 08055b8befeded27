"""What a chaos run came to, and which promises it broke."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

ChaosResult: TypeAlias = dict[str, Any]

UNEVEN = "lognormal:250ms,0.8"
"""Latency of the service: as slow and as uneven as that of GitHub."""


def judge(
    *,
    seed: int,
    asked: int,
    delivered: Iterable[str],
    failed: int,
    registered: Iterable[str],
    counters: Mapping[str, Any],
) -> ChaosResult:
    """Compare what was delivered with what the service holds."""
    names = list(delivered)
    held = set(registered)
    outcome: ChaosResult = {
        "asked": asked,
        "delivered": len(names),
        "failed": failed,
        "ghosts": len(held - set(names)),
        "missing": len(set(names) - held),
        "duplicates": len(names) - len(set(names)),
        "requests_while_told_to_wait": counters["requests_while_told_to_wait"],
        "max_registrations_in_5_minutes": counters["max_registrations_in_window"],
        "seed": seed,
    }
    outcome["broken_promises"] = [
        name for name in ("ghosts", "missing", "duplicates", "requests_while_told_to_wait") if outcome[name]
    ]
    if failed:
        outcome["broken_promises"].append("failed")
    if len(names) + failed != asked:
        outcome["broken_promises"].append("outcomes")
    if outcome["max_registrations_in_5_minutes"] > 1500:
        outcome["broken_promises"].append("budget")
    return outcome
