"""`.venv/bin/python -m benchmarks.limiter`: prints the two tables of docs/design/adaptive-concurrency.md."""

from statistics import median

from benchmarks.limiter.model import BURST, MOST, Run, Wild, bursts, compare
from benchmarks.limiter.services import SERVICES, TAILS
from scaleset_burst.limits.concurrency import Limiter

BURSTS = 10


def percentile(run: Run, share: float) -> float:
    """Return the median over all bursts of the time until a share of the runners was there."""
    return median(times[max(0, round(share * len(times)) - 1)] for times in run.delivered)


def limit_table() -> None:
    """Print how our limit does against the best fixed one."""
    print(f"| service ({BURSTS} bursts of {BURST}) | best fixed | median | worst | refused | without the first burst |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, wild in SERVICES.items():
        found = compare(wild, number=BURSTS)
        refused = f"{found.refused:.1%} | {found.refused_later:.1%}"
        print(f"| {name} | {found.best} | {found.median:.2f} | {found.worst:.2f} | {refused} |", flush=True)


def tail_row(name: str, wild: Wild) -> str:
    """Return how a service does without the hedge and with it."""
    cells = [name]
    for hedge in (False, True):
        run = bursts(wild, Limiter(MOST), number=BURSTS, hedge=hedge)
        cells += [f"{percentile(run, share):.2f}" for share in (0.5, 0.99, 1.0)]
        cells.append(f"{run.registered / (BURST * BURSTS):.3f}")
        cells.append(str(run.left))
    return f"| {' | '.join(cells)} |"


def tail_table() -> None:
    """Print what the hedge brings and costs."""
    columns = "50 %", "99 %", "100 %", "registered each", "ghosts"
    hedged = (f"hedged: {column}" for column in columns)
    print(f"| seconds to this share of the runners | {' | '.join((*columns, *hedged))} |")
    print(f"|{' --- |' * 11}")
    for name, wild in TAILS.items():
        print(tail_row(name, wild), flush=True)


if __name__ == "__main__":
    limit_table()
    print()
    tail_table()
