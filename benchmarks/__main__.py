"""`python -m benchmarks`: the burst beside its peers and the physical limit, in one run."""

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import trustme

from benchmarks import hotpath, real, traces
from benchmarks.building import CACHE, ROOT, Skipped, bench_python, build_peers
from benchmarks.driving import Server
from benchmarks.measuring import Result, measure
from benchmarks.reporting import as_json, as_table
from benchmarks.workloads import WORKLOADS
from scaleset_burst.cli import bench_cache
from tests.kit.redis_server import RedisServer, find_server

ROUNDS = 5
HEADING = "## The last published run"
REAL_HEADING = "## The last published run under real conditions"


def main() -> int:
    """Run what the command line names; return the exit status."""
    arguments = _arguments()
    if arguments.groups == ["cache"]:
        return bench_cache.run(as_json=arguments.json)
    if arguments.groups == ["profile"]:
        return hotpath.run(as_json=arguments.json)
    if arguments.groups == ["traces"]:
        return traces.run(rounds=arguments.rounds, as_json=arguments.json)
    if arguments.groups == ["real"]:
        return _real(arguments)
    chosen = [
        workload
        for workload in WORKLOADS
        if (not arguments.groups or workload.group in arguments.groups or workload.name in arguments.groups)
        and (workload.quick or not arguments.quick)
    ]
    if not chosen:
        print(f"error: nothing is called {', '.join(arguments.groups)}", file=sys.stderr)
        return 2
    results: list[Result] = []
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer()).url if find_server() else None
        peers, skipped = build_peers(quick=arguments.quick, redis=redis)
        certificate, ca_file = _certificates(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        with Server() as plain, Server(certificate, ca_file) as secure:
            for workload in chosen:
                print(f"{workload.name} ", end="", file=sys.stderr, flush=True)
                server = secure if workload.tls else plain
                results += measure(
                    workload,
                    peers,
                    server,
                    ca_file if workload.tls else None,
                    rounds=arguments.rounds,
                    quick=arguments.quick,
                )
                print(file=sys.stderr)
    found = as_json(results, skipped)
    table = as_table(results, skipped)
    print(table)
    _keep(found, table, publish=arguments.publish)
    if arguments.json:
        print(json.dumps(found))
    return 0


def _real(arguments: argparse.Namespace) -> int:
    peers, skipped = build_peers(quick=arguments.quick, redis=None)
    found = real.run(peers, skipped, quick=arguments.quick, rounds=arguments.rounds)
    table = real.as_table(found)
    print(table)
    _write("real", found)
    if arguments.publish:
        _publish(REAL_HEADING, table)
    if arguments.json:
        print(json.dumps(found))
    return 0


def _arguments() -> argparse.Namespace:
    groups = sorted({workload.group for workload in WORKLOADS})
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "groups",
        nargs="*",
        metavar="GROUP",
        help=f"{', '.join(groups)}, a workload, cache, profile, real, traces; all but these four",
    )
    parser.add_argument("--quick", action="store_true", help="within two minutes: nothing slow, nothing built for long")
    parser.add_argument("--json", action="store_true", help="print the results as JSON in the last line")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of each workload (default %(default)s)")
    parser.add_argument("--publish", action="store_true", help="renew the table and the plots in docs/explanation")
    return parser.parse_args()


def _certificates(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for the server and the authority that signed it."""
    authority = trustme.CA()
    certificate, ca_file = folder / "server.pem", folder / "ca.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    authority.cert_pem.write_to_path(str(ca_file))
    return certificate, ca_file


def _keep(found: dict[str, object], table: str, *, publish: bool) -> None:
    """Write the results into the cache and, if asked, the table and the plots into the documentation."""
    path = _write("results", found)
    if not publish:
        return
    folder = _publish(HEADING, table)
    try:
        command = [str(bench_python()), "-m", "benchmarks.plotting", str(path), str(folder)]
        subprocess.run(command, check=True, cwd=ROOT)
    except (Skipped, subprocess.CalledProcessError) as why:
        print(f"no plots: {why}", file=sys.stderr)


def _write(name: str, found: dict[str, object]) -> Path:
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / f"{name}.json"
    path.write_text(json.dumps(found, indent=1))
    return path


def _publish(heading: str, table: str) -> Path:
    """Replace the section of that heading in the documentation, up to the next one; return the page's folder."""
    page = ROOT / "docs" / "explanation" / "benchmarks.md"
    before, _, after = page.read_text().partition(f"{heading}\n")
    _, mark, rest = after.partition("\n## ")
    page.write_text(f"{before.rstrip()}\n\n{heading}\n\n{table.rstrip()}\n{mark}{rest}")
    return page.parent


if __name__ == "__main__":
    sys.exit(main())
