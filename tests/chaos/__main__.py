"""`make chaos`: faults, limits and kills against the simulator, over real sockets; the last line says how it went."""

import argparse
import json
import sys

from tests.chaos.faults import run_faults
from tests.chaos.fuzz import run_fuzz
from tests.chaos.gateway import run_gateway
from tests.chaos.hosts import run_hosts
from tests.chaos.kills import run_kills
from tests.chaos.outcome import ChaosResult
from tests.chaos.soak import run_soak
from tests.kit.redis_server import find_server

SPEED = 5.0
"""Faster, and a wave of 64 is on the wire for longer than the service forgives once it has told to wait."""
SOAK_SPEED = 100.0
HOSTS_SPEED = 20.0


def main() -> int:
    """Run what was asked for; 0 if every promise was kept."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--mints", type=int, default=2000, help="configs to mint under faults")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--seeds", type=int, default=1, help="so many seeds, one after another")
    parser.add_argument("--speed", type=float, help="simulated seconds in one real second; 1: real clock")
    parser.add_argument("--names", action="store_true", help="choose the names, instead of having them drawn")
    parser.add_argument("--kill", type=int, default=0, help="kill the host so often in the middle of a burst instead")
    parser.add_argument("--hosts", type=int, default=0, help="so many hosts that share one Redis")
    parser.add_argument("--redis-kills", type=int, default=0, help="kill Redis so often; it comes back empty")
    parser.add_argument("--kill-host", action="store_true", help="kill one of the hosts for good")
    parser.add_argument("--fuzz", type=int, default=0, help="so many arbitrary answers to the client instead")
    parser.add_argument("--gateway", action="store_true", help="mint behind a gateway that mixes up answers instead")
    parser.add_argument("--soak", type=float, default=0, help="listen for so many simulated hours instead")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON only")
    options = parser.parse_args()
    if options.hosts and find_server() is None:
        print("skipped: several hosts need redis-server or valkey-server")
        return 0
    outcomes: list[ChaosResult] = []
    for seed in range(options.seed, options.seed + options.seeds):
        if options.fuzz:
            outcomes.append(run_fuzz(options.fuzz, seed))
        elif options.gateway:
            outcomes.append(run_gateway(options.mints, seed))
        elif options.soak:
            outcomes.append(run_soak(options.soak, seed, SOAK_SPEED if options.speed is None else options.speed))
        elif options.hosts:
            kills, kill_host = options.redis_kills, options.kill_host
            # Where seconds are measured the clock runs slower: looking takes real time.
            usual = HOSTS_SPEED / 4 if kill_host else HOSTS_SPEED
            speed = usual if options.speed is None else options.speed
            outcomes.append(
                run_hosts(options.hosts, options.mints, seed, speed, redis_kills=kills, kill_host=kill_host)
            )
        elif options.kill:
            outcomes.append(run_kills(options.kill, seed))
        else:
            speed = SPEED if options.speed is None else options.speed
            outcomes.append(run_faults(options.mints, seed, speed, names=options.names))
        if not options.json:
            for name, value in outcomes[-1].items():
                print(f"{name:>32}  {value}")
        print(json.dumps(outcomes[-1]), flush=True)
    broken = [outcome for outcome in outcomes if outcome["broken_promises"]]
    for outcome in broken:
        print(f"seed {outcome['seed']}: {outcome['broken_promises']}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
