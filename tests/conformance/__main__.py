"""`python -m tests.conformance`: the official client and ours, held against each other and against the simulator.

Each recorded scenario runs through both clients, and what they sent and understood is compared. Each cycle runs with
the official client, then with ours, against the simulator. Our client and the example host then meet the emulator in
the published Rust crate `scaleset`, which shares nothing with either.
"""

import argparse
import asyncio
import sys
import time
import traceback
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.conformance.building import ROOT, BuildError, ToolchainError, build
from tests.conformance.cycle import SCENARIOS, Scenario
from tests.conformance.emulator import BINARY, Emulator
from tests.conformance.emulator import SCENARIOS as OF_EMULATOR
from tests.conformance.lines import LineDriver
from tests.conformance.recorded import Comparison, play_all
from tests.conformance.scenarios import RECORDED
from tests.conformance.service import Service

OURS = "scaleset-burst"
OFFICIAL = "actions/scaleset"


def main() -> int:
    """Run the scenarios; return 0 if none failed."""
    parser = argparse.ArgumentParser(prog="conformance", description="hold our client against the official one")
    parser.add_argument("--only", default="", metavar="TEXT", help="scenarios with this text in their name")
    parser.add_argument("--verbose", action="store_true", help="show where a scenario failed")
    options = parser.parse_args()
    results: list[bool] = []
    skipped = 0
    try:
        results += _against_official(build(), options.only, verbose=options.verbose)
    except ToolchainError as error:
        skipped += 1
        print(f"skipped: {error}")
    except BuildError as error:
        results.append(False)
        print(f"the program that drives the official client does not build: {error}")
    if BINARY.exists():
        results += [_against_emulator(name, verbose=options.verbose) for name in OF_EMULATOR if options.only in name]
    else:
        skipped += 1
        print(
            "skipped: the emulator of the Rust crate `scaleset`: no cargo here, or it does not build (`make emulator`)"
        )
    print(f"{results.count(True)} passed, {results.count(False)} failed" + (f", {skipped} skipped" if skipped else ""))
    return 0 if all(results) else 1


def _against_official(official: Path, only: str, *, verbose: bool) -> list[bool]:
    """Hold our client against the official one, on recordings and on the simulator."""
    clients = {OFFICIAL: [str(official)], OURS: [sys.executable, "-m", "tests.conformance.ours"]}
    # What is compared mostly waits, so the cycles run beside it.
    with ThreadPoolExecutor(1) as beside:
        chosen = [one for one in RECORDED if only in one.name]
        compared = beside.submit(lambda: asyncio.run(play_all(chosen, official)))
        results = _cycles(clients, only, verbose=verbose)
        return results + _compared(compared.result())


def _against_emulator(name: str, *, verbose: bool) -> bool:
    """Run one scenario against the emulator of others."""
    began = time.monotonic()
    try:
        with Emulator() as emulator:
            word, said = "ok", OF_EMULATOR[name](emulator)
    except Exception as error:  # noqa: BLE001  # whatever it was, the scenario failed
        if verbose:
            traceback.print_exc()
        word, said = "FAILED", f"  {type(error).__name__}: {error}"
    print(f"{OURS:18}{name:32}{word:8}{time.monotonic() - began:6.2f} s{said}", flush=True)
    return word == "ok"


def _cycles(clients: Mapping[str, list[str]], only: str, *, verbose: bool) -> list[bool]:
    return [
        _run(scenario, backend, name, command, verbose)
        for name, command in clients.items()
        for scenario in SCENARIOS
        if only in scenario.name
        for backend in scenario.backends
    ]


def _compared(comparisons: Iterable[Comparison]) -> list[bool]:
    """Print the table of the recorded scenarios; a difference that is meant is named, not hidden."""
    comparisons = list(comparisons)
    for comparison in comparisons:
        word = "FAILED" if comparison.faults else "ok"
        differs = ", ".join(comparison.scenario.differs)
        print(f"{comparison.scenario.name:48}{comparison.requests:3} requests  {word:8}{differs}".rstrip())
        for fault in comparison.faults:
            print(f"    {fault}")
    sys.stdout.flush()
    return [not comparison.faults for comparison in comparisons]


def _run(scenario: Scenario, backend: str, name: str, command: list[str], verbose: bool) -> bool:
    began = time.monotonic()
    try:
        with Service(backend, **scenario.options) as service, LineDriver(name, command, ROOT) as client:
            scenario.run(client, service)
    except Exception as error:  # noqa: BLE001  # whatever it was, the scenario failed
        if verbose:
            traceback.print_exc()
        comparison, why = "FAILED", f"  {type(error).__name__}: {error}"
    else:
        comparison, why = "ok", ""
    print(f"{name:18}{scenario.name:24}{backend:8}{comparison:8}{time.monotonic() - began:6.2f} s{why}", flush=True)
    return not why


if __name__ == "__main__":
    sys.exit(main())
