"""Results as a table for a person, and as one line of JSON for a program."""

from statistics import median
from typing import Any

from benchmarks.measuring import Result

__all__ = ["as_json", "as_table"]


def as_table(results: list[Result], skipped: dict[str, str]) -> str:
    """Return everything measured, one line for each workload and peer."""
    lines = [
        "| workload | client | seconds (min to max) | of limit | CPU per mint | first after | peak | server CPU |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for result in results:
        where = f"| {result.workload.name} | {result.peer.name} |"
        if result.failure or not result.samples:
            lines.append(f"{where} failed: {result.failure} | | | | | |")
            continue
        seconds = sorted(sample.seconds for sample in result.samples)
        mark = " **busy**" if result.server_was_busy else ""
        paced = result.workload.shape == "trickle" or result.workload.slice
        lines.append(
            f"{where} {result.middle('seconds'):.3f} ({seconds[0]:.3f} to {seconds[-1]:.3f}) "
            f"| {'-' if paced else f'{result.ratio:.2f}'} | {result.cpu_per_mint:.0f} µs "
            f"| {result.middle('first') * 1000:.0f} ms | {result.middle('peak_kib') / 1024:.0f} MiB "
            f"| {result.middle('server_share') * 100:.0f} %{mark} |"
        )
    lines += ["", *(f"skipped: {name}: {why}" for name, why in skipped.items())]
    return "\n".join(lines)


def as_json(results: list[Result], skipped: dict[str, str]) -> dict[str, Any]:
    """Return everything by workload; what stands at the top of one is ours (the plugin)."""
    found: dict[str, Any] = {"skipped": skipped}
    for name in dict.fromkeys(result.workload.name for result in results):
        rows = [result for result in results if result.workload.name == name]
        entry: dict[str, Any] = {"peers": {row.peer.name: _facts(row) for row in rows}}
        ours = next((row for row in rows if row.peer.name == "plugin" and row.samples), None)
        if ours is not None:
            entry |= _facts(ours)
            entry |= _against(ours, rows)
        found[name] = entry
    found["cpu_vs_go"] = found.get("burst_1000_50ms", {}).get("cpu_vs_go")
    _pair(found)
    _shared(found, results)
    return found


def _facts(row: Result) -> dict[str, Any]:
    if not row.samples:
        return {"failure": row.failure}
    return {
        "seconds": round(row.middle("seconds"), 4),
        "seconds_min": round(min(sample.seconds for sample in row.samples), 4),
        "seconds_max": round(max(sample.seconds for sample in row.samples), 4),
        "ratio_to_limit": round(row.ratio, 3),
        "cpu_us_per_mint": round(row.cpu_per_mint, 1),
        "us_per_mint": round(row.middle("seconds") / row.samples[0].delivered * 1e6, 1),
        "first_ms": round(row.middle("first") * 1000, 1),
        "first_round_trips": round(row.middle("first") * 1000 / row.workload.latency, 2),
        "peak_mib": round(row.middle("peak_kib") / 1024, 1),
        # Of a process's first burst: the later ones also hold what this host, which reports no runner's end, leaves.
        "peak_over_configs": round(row.samples[0].peak_kib * 1024 / row.samples[0].size, 2),
        "server_share": round(row.middle("server_share"), 3),
        "server_was_busy": row.server_was_busy,
        "rounds": len(row.samples),
    }


def _against(ours: Result, rows: list[Result]) -> dict[str, float]:
    """Return our CPU per mint over that of the newest official client that ran, and of our client alone."""
    go = [row for row in rows if row.peer.kind == "go" and not row.peer.one and row.samples]
    if not go:
        return {}
    client = next((row for row in rows if row.peer.name == "client" and row.samples), None)
    found = {"cpu_vs_go": round(ours.cpu_per_mint / go[-1].cpu_per_mint, 3)}
    if client is not None:
        found["client_cpu_vs_go"] = round(client.cpu_per_mint / go[-1].cpu_per_mint, 3)
    return found


def _shared(found: dict[str, Any], results: list[Result]) -> None:
    """Note what sharing the limits adds to a burst: the median over pairs of rounds, one beside the other."""
    rows = {row.peer.name: row.samples for row in results if row.workload.group == "sharing" and row.samples}
    alone, shared = rows.get("plugin", []), rows.get("plugin, Redis", [])
    if alone and shared:
        added = [with_redis.seconds / without.seconds - 1 for without, with_redis in zip(alone, shared, strict=False)]
        found["shared_1000_50ms"]["added_by_redis"] = round(median(added), 4)


def _pair(found: dict[str, Any]) -> None:
    pair, alone = found.get("pair_500_50ms", {}), found.get("alone_500_50ms", {})
    if "seconds" in pair and "seconds" in alone:
        pair["ratio_to_alone"] = round(pair["seconds"] / alone["seconds"], 3)
