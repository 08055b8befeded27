"""`python -m benchmarks.limiter`: prints the comparison that docs/design/adaptive-concurrency.md holds."""

from collections.abc import Callable
from typing import Literal

from benchmarks.limiter.laws import AIMD, Fixed, Gradient, Law
from benchmarks.limiter.model import play, waves_to_converge
from scaleset_burst.minting.limiter import Limiter

MINTS = 5000
MOST = 512
MODES: tuple[Literal["queue", "refuse"], ...] = ("queue", "refuse")
LAWS: dict[str, Callable[[], Law]] = {
    "AIMD": lambda: AIMD(MOST),
    "gradient": lambda: Gradient(MOST),
    "ours": lambda: Limiter(MOST),
}


def steps(share: float) -> int:
    """64, then 8, then 64."""
    return 8 if 0.4 <= share < 0.5 else 64


def best_fixed(capacity: Callable[[float], int], mode: Literal["queue", "refuse"]) -> float:
    """Return the time of the best number somebody could have chosen."""
    return min(play(Fixed(number), MINTS, capacity, mode).seconds for number in (8, 16, 32, 48, 64, 96, 128, 256))


def main() -> None:
    """Print one table."""
    print("| capacity | beyond it | law | time / best fixed | refused | waves to converge after a step |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, capacity in (("8", lambda _: 8), ("64", lambda _: 64), ("256", lambda _: 256), ("64 → 8 → 64", steps)):
        for mode in MODES:
            best = best_fixed(capacity, mode)
            for law, make in LAWS.items():
                result = play(make(), MINTS, capacity, mode)
                figures = f"{result.seconds / best:.2f} | {result.refused / result.sent:.1%}"
                waves = ", ".join("never" if each is None else str(each) for each in waves_to_converge(result))
                print(f"| {name} | {mode} | {law} | {figures} | {waves} |")


if __name__ == "__main__":
    main()
