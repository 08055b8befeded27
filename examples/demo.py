"""One burst through the example autoscaler, twice: with its own hooks, then with the plugin's. Nothing else changes.

Both runs are the same program in a process of its own, against a fresh simulator with the same latency. Which hooks
answer is one word in the YAML this writes: `plugins.burst.enabled`.
"""

import argparse
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from scaleset_simulator import SimulatorError, SimulatorProcess
from scaleset_simulator.latency import Latency, parse_latency

SCALE_SET: Final = "demo-linux"
EXAMPLES: Final = Path(__file__).resolve().parent
MOST_RUNNERS: Final = 1500
"""The plugin keeps to GitHub's limit of 1,500 registrations in 5 minutes; more would only show it waiting."""

UNEVEN: Final = "lognormal:50ms,0.8"
"""No service is a metronome: half of the answers take over 50 ms, one in a hundred over 320 ms."""

LONGEST_LATENCY: Final = 2.0
"""Seconds that an answer may take in the mean."""

PLUGIN_ROUNDS: Final = 3
"""A run with the plugin is so short that one hiccup of the machine would decide it."""

PICTURES: Final = Path("build", "demo")
RECORD: Final = "report.jsonl"
SUMMARY: Final = '{"kind": "summary"'
STOP_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.5
REPORT_LINE: Final = re.compile(r" (?:INFO|DEBUG) +scaleset_burst\.minting\.minter: (.*)")
JOB_SECONDS: Final = 3600
"""Longer than any burst: a job that ended would lower the demand in the middle of it."""

METADATA: Final = frozenset(
    ("find_scale_set", "scale_sets", "scale_set", "runner_group", "runners", "find_runner", "runner")
)
TOKENS: Final = frozenset(("installation", "registration", "admin"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run: what the host measured, and what the simulator counted."""

    runners_ready: int
    failures: int
    seconds: float
    first_runner_seconds: float
    mint_requests: int
    metadata_requests: int
    token_requests: int
    connections: int


class Watched(SimulatorProcess):
    """A simulator that knows how many of the connections it counted were the demo's own, for looking."""

    looks = 0

    def control(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401  # JSON
        """Send one control request, over a connection of its own."""
        self.looks += 1
        return super().control(method, path, body)


class DemoError(Exception):
    """The demo could not be carried through; the text says what happened."""


def main() -> int:
    """Run the demo; return 0, 1 if a run failed, 2 if the arguments are wrong."""
    options = _parser().parse_args()
    console = Console(stderr=options.json, highlight=False)
    latency: Latency = options.latency
    mean = _mean(latency)
    takes = f"every answer of the simulated service takes {mean * 1000:g} ms"
    if not latency.fixed:
        takes = f"an answer of the simulated service takes {latency.text}, {mean * 1000:.0f} ms in the mean"
    console.print(f"A burst of {options.runners} runners; {takes}.", soft_wrap=True)
    try:
        default, default_record = _rounds(options, console, plugin=False)
        plugin, plugin_record = _rounds(options, console, plugin=True)
    except (DemoError, SimulatorError, OSError) as error:  # OSError: the simulator or a file of the run is gone
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 1
    speedup = round(default.seconds / plugin.seconds, 1)
    console.print(_table(default, plugin, speedup))
    console.print(
        _draw({"default-hooks": default_record, "scaleset-burst": plugin_record}), markup=False, soft_wrap=True
    )
    if options.json:
        result = {"runners": options.runners, "latency": latency.text, "latency_seconds": round(mean, 4)}
        print(json.dumps({**result, "default": asdict(default), "plugin": asdict(plugin), "speedup": speedup}))
    complete = {default.runners_ready, plugin.runners_ready} == {options.runners}
    return 0 if complete else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="demo", description="One burst, with the host's own hooks and with the plugin's."
    )
    parser.add_argument("--runners", type=_runners, default=300, metavar="N", help="runners in the burst (300)")
    parser.add_argument("--latency", type=_latency, default=UNEVEN, metavar="TIME", help=f"of each answer ({UNEVEN})")
    parser.add_argument(
        "--rounds", type=_runners, metavar="N", help="runs of each; the median counts (1, and 3 of the plugin)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    return parser


def _runners(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not 1 <= int(text) <= MOST_RUNNERS:
        raise argparse.ArgumentTypeError(f"{text!r} is out of range; expected a whole number from 1 to {MOST_RUNNERS}")
    return int(text)


def _latency(text: str) -> Latency:
    try:
        latency = parse_latency(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if _mean(latency) > LONGEST_LATENCY:
        raise argparse.ArgumentTypeError(
            f"{text!r} takes {_mean(latency):.3g} s in the mean; expected at most {LONGEST_LATENCY:g} s, like 50ms"
        )
    return latency


def _mean(latency: Latency) -> float:
    chance = random.Random(0)  # noqa: S311  # no secret: an estimate
    return fmean(latency.draw(chance, number / 10) for number in range(5000))


def _rounds(options: argparse.Namespace, console: Console, *, plugin: bool) -> tuple[Measured, str]:
    """Run the host as often as asked; return the run in the middle, or one that was not complete, and its record."""
    rounds = options.rounds or (PLUGIN_ROUNDS if plugin else 1)
    runs = [_run(options.runners, options.latency, console, plugin=plugin) for _ in range(rounds)]
    runs.sort(key=lambda run: (run[0].runners_ready == options.runners, run[0].seconds))
    middle = 0 if runs[0][0].failures else (rounds - 1) // 2
    measured, said, record = runs[middle]
    for line in said:
        console.print(f"  {line}", style="dim", markup=False, soft_wrap=True)
    return measured, record


def _run(runners: int, latency: Latency, console: Console, *, plugin: bool) -> tuple[Measured, list[str], str]:
    """Run the host once against a simulator of its own; return also what the plugin said of the burst, and its record.

    The record is what the host wrote of the burst when it was over.
    """
    title = "plugin: scaleset_burst answers" if plugin else "default: the host's own hooks answer"
    with (
        tempfile.TemporaryDirectory(prefix="burst-demo-") as name,
        Watched(latency=latency.text, scale_set=SCALE_SET, job_seconds=JOB_SECONDS) as simulator,
    ):
        folder = Path(name)
        simulator.add_jobs(SCALE_SET, runners)
        config = _write_config(folder, simulator, runners, plugin=plugin)
        with _progress(console, title, runners) as advance, _host(folder, config) as host:
            measured = _wait(folder, host, simulator, runners, advance, seconds=60 + runners * (_mean(latency) + 0.1))
        counted = _requests(simulator)
        said, record = _said(folder), (folder / RECORD).read_text(encoding="utf-8")
    return Measured(**measured, **counted), said, record


def _draw(records: Mapping[str, str]) -> str:
    """Write the records, and the page that shows them side by side; return where it is, or why there is none."""
    page = PICTURES / "burst.html"
    files = [PICTURES / f"{name}.jsonl" for name in records]
    try:
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.unlink(missing_ok=True)
        for file, record in zip(files, records.values(), strict=True):
            file.write_text(record, encoding="utf-8")
    except OSError as error:
        return f"no picture: {error}"
    command = [sys.executable, "-m", "scaleset_burst", "report", *map(str, files), "-o", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own program
    return f"a picture of both: {page}" if done.returncode == 0 else f"no picture: {done.stderr.strip()}"


def _write_config(folder: Path, simulator: Watched, runners: int, *, plugin: bool) -> Path:
    (folder / "token").write_text(simulator.token, encoding="utf-8")
    config = {
        "github": {"config_url": simulator.config_url, "token": {"$file": "token"}},
        "autoscaler": {"scale_set": SCALE_SET, "max_runners": runners, "launcher": "simulated"},
        "plugins": {"burst": {"enabled": plugin, "journal": {"directory": str(folder / "journal")}}},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


@contextmanager
def _host(folder: Path, config: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the example autoscaler, and stop it the way an operator would."""
    told = ("--report", str(folder / RECORD), "--verbose")  # the table of a burst is said at DEBUG
    command = [sys.executable, str(EXAMPLES / "autoscaler"), str(config), *told]
    with (folder / "host.log").open("wb") as log:
        host = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603
        try:
            yield host
            host.send_signal(signal.SIGTERM)
            if host.wait(STOP_SECONDS):
                raise DemoError(f"the host stopped with status {host.returncode}:\n{_last_lines(folder)}")
        except subprocess.TimeoutExpired as error:
            raise DemoError(f"the host does not stop:\n{_last_lines(folder)}") from error
        finally:
            host.kill()
            host.wait()


def _wait(
    folder: Path,
    host: subprocess.Popen[bytes],
    simulator: Watched,
    runners: int,
    advance: Callable[[int], None],
    *,
    seconds: float,
) -> dict[str, Any]:
    """Wait until the host reports every runner, ready or failed; return the summary."""
    until = time.monotonic() + seconds
    looked = 0.0
    while time.monotonic() < until:
        summary = _last_summary(folder)
        if summary and summary["runners_ready"] + summary["failures"] >= runners:
            if not summary["runners_ready"]:
                raise DemoError(f"no runner came up:\n{_last_lines(folder)}")
            advance(summary["runners_ready"])
            return summary
        if host.poll() is not None:
            raise DemoError(f"the host ended with status {host.returncode}:\n{_last_lines(folder)}")
        if time.monotonic() - looked > LOOK_SECONDS:
            looked = time.monotonic()
            advance(_requests(simulator)["mint_requests"])
        time.sleep(0.05)
    raise DemoError(f"{runners} runners were not ready after {seconds:.0f} s:\n{_last_lines(folder)}")


def _requests(simulator: Watched) -> dict[str, int]:
    """Sort the simulator's counters into the four that matter here."""
    counters = simulator.counters()
    by_kind: Mapping[str, int] = counters["requests"]
    return {
        "mint_requests": by_kind.get("mint", 0) + by_kind.get("slice", 0),
        "metadata_requests": sum(by_kind.get(kind, 0) for kind in METADATA),
        "token_requests": sum(by_kind.get(kind, 0) for kind in TOKENS),
        "connections": counters["connections"] - simulator.looks,
    }


def _last_summary(folder: Path) -> dict[str, Any] | None:
    """Return the last line in which the host says what its bursts add up to."""
    path = folder / RECORD
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    whole = [line for line in lines if line.startswith(SUMMARY) and line.endswith("}")]
    if not whole:
        return None
    summary: dict[str, Any] = json.loads(whole[-1])
    del summary["kind"]
    return summary


def _last_lines(folder: Path, count: int = 15) -> str:
    lines = (folder / "host.log").read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-count:])


def _said(folder: Path) -> list[str]:
    """Return what the plugin said of its own burst: its log lines at INFO."""
    return REPORT_LINE.findall((folder / "host.log").read_text(encoding="utf-8", errors="replace"))


@contextmanager
def _progress(console: Console, title: str, total: int) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"{title:38}", total=total)
        yield lambda done: progress.update(task, completed=done)


def _table(default: Measured, plugin: Measured, speedup: float) -> Table:
    table = Table("", title="From demand known to the last runner ready")
    for heading in ("default hooks", "scaleset-burst"):
        table.add_column(heading, justify="right")
    for key, value in asdict(default).items():
        other = asdict(plugin)[key]
        style = "bold" if key == "seconds" else None
        table.add_row(key.replace("_", " "), _shown(value), _shown(other), style=style)
    table.caption = f"{speedup:g} times as fast"
    return table


def _shown(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
