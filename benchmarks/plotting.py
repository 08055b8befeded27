"""Draws the two plots from a run's JSON; run by the bench venv's Python, which has the plotting library."""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl  # type: ignore[import-not-found]  # in the bench venv only

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "bench"
from matplotlib import pyplot as plt  # noqa: E402  # after the backend is chosen

SIZES = {"burst_100_50ms": 100, "burst_1000_50ms": 1000, "burst_10000_50ms": 10_000}


def draw(results: dict[str, Any], folder: Path) -> None:
    """Write `benchmark-time.svg` and `benchmark-cpu.svg`."""
    _time(results, folder / "benchmark-time.svg")
    _cpu(results, folder / "benchmark-cpu.svg")


def _time(results: dict[str, Any], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(7, 4.2))
    names = dict.fromkeys(name for key in SIZES for name in results.get(key, {}).get("peers", {}))
    for name in names:
        rows = [(SIZES[key], results.get(key, {}).get("peers", {}).get(name, {})) for key in SIZES]
        points = [(size, row["seconds"]) for size, row in rows if "seconds" in row]
        axes.plot(*zip(*points, strict=True), marker="o", label=name)
    limit = [(100, 0.1), (1000, 0.8), (10_000, 2.0)]
    axes.plot(*zip(*limit, strict=True), color="black", linestyle="--", label="limit")
    axes.set(xscale="log", yscale="log", xlabel="JIT configs", ylabel="seconds", title="Time for a burst, 50 ms a mint")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})


def _cpu(results: dict[str, Any], path: Path) -> None:
    rows = results.get("burst_1000_50ms", {}).get("peers", {})
    bars = [(name, row["cpu_us_per_mint"]) for name, row in rows.items() if "cpu_us_per_mint" in row]
    figure, axes = plt.subplots(figsize=(7, 0.45 * len(bars) + 1))
    drawn = axes.barh([name for name, _ in bars], [value for _, value in bars])
    axes.bar_label(drawn, fmt="%.0f", padding=3)
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="µs of client CPU per mint", title="1,000 configs at 50 ms, 64 in flight")
    axes.margins(x=0.15)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
