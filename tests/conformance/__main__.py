"""`python -m tests.conformance`: every scenario with the official client, then with ours, against the simulator."""

import argparse
import sys
import time
import traceback

from tests.conformance.building import ROOT, BuildError, ToolchainError, build
from tests.conformance.cycle import SCENARIOS, Scenario
from tests.conformance.lines import LineDriver
from tests.conformance.service import Service

OURS = "scaleset-burst"
OFFICIAL = "actions/scaleset"


def main() -> int:
    """Run the scenarios; return 0 if none failed."""
    parser = argparse.ArgumentParser(prog="conformance", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="scenarios with this text in their name")
    parser.add_argument("--verbose", action="store_true", help="show where a scenario failed")
    options = parser.parse_args()
    clients: dict[str, list[str]] = {OURS: [sys.executable, "-m", "tests.conformance.ours"]}
    try:
        clients = {OFFICIAL: [str(build())], **clients}
    except ToolchainError as error:
        print(f"skipped: {error}")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    except BuildError as error:
        print(f"the program that drives the official client does not build: {error}")
        print("0 passed, 1 failed")
        return 1
    results = [
        _run(scenario, backend, name, command, options.verbose)
        for name, command in clients.items()
        for scenario in SCENARIOS
        if options.only in scenario.name
        for backend in scenario.backends
    ]
    print(f"{results.count(True)} passed, {results.count(False)} failed")
    return 0 if all(results) else 1


def _run(scenario: Scenario, backend: str, name: str, command: list[str], verbose: bool) -> bool:
    began = time.monotonic()
    try:
        with Service(backend, **scenario.options) as service, LineDriver(name, command, ROOT) as client:
            scenario.run(client, service)
    except Exception as error:  # noqa: BLE001  # whatever it was, the scenario failed
        if verbose:
            traceback.print_exc()
        verdict, why = "FAILED", f"  {type(error).__name__}: {error}"
    else:
        verdict, why = "ok", ""
    print(f"{name:18}{scenario.name:24}{backend:8}{verdict:8}{time.monotonic() - began:6.2f} s{why}", flush=True)
    return not why


if __name__ == "__main__":
    sys.exit(main())
