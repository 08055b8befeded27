"""The services that the limit and the hedge are measured against."""

from benchmarks.limiter.model import Wild, constant, humps, lognormal, uniform

__all__ = ["SERVICES", "TAILS"]

STEPS = (64, 64, 8, 8, 64, 64, 8, 64, 8, 64)

LATENCIES = {
    "constant 200 ms": constant(0.2),
    "uniform 40 to 360 ms": uniform(0.04, 0.36),
    "lognormal 250 ms, sigma 0.8": lognormal(0.25, 0.8),
    "lognormal 250 ms, sigma 1.2": lognormal(0.25, 1.2),
    "a fifth ten times slower": humps(0.15, 0.2),
}
SHORT = {"constant": constant(0.2), "uniform": uniform(0.04, 0.36), "lognormal 1.2": lognormal(0.25, 1.2)}

SERVICES: dict[str, Wild] = {
    **{name: Wild(latency=latency) for name, latency in LATENCIES.items()},
    "stalls of 3 s": Wild(stall=3.0),
    "drift by five times": Wild(drift=5.0),
    "drift, lognormal 1.2": Wild(drift=5.0, latency=lognormal(0.25, 1.2)),
    "latency grows with load": Wild(grows=16.0),
    **{
        f"{'refuses' if refuses else 'queues'} from {capacity}, {name}": Wild(
            capacities=(capacity,), refuses=refuses, latency=latency
        )
        for refuses in (False, True)
        for capacity in (4, 24, 256)
        for name, latency in SHORT.items()
    },
    "queues from 4, lognormal 1 s": Wild(capacities=(4,), latency=lognormal(1.0, 0.8)),
    **{
        f"64, 8, 64 {'refuses' if refuses else 'queues'}, {name}": Wild(
            capacities=STEPS, refuses=refuses, latency=latency
        )
        for refuses in (False, True)
        for name, latency in SHORT.items()
    },
    "64, 8, 64 within a burst, refuses": Wild(capacities=(64, 8, 64), shifts=(100, 200), refuses=True),
    "4 to 64 at random, refuses": Wild(capacities=(4, 16, 4, 64, 16, 4, 64, 24, 8, 48), refuses=True),
    "1 % lone 503": Wild(errors=0.01),
    "1 % lone 503, lognormal 1.2": Wild(errors=0.01, latency=lognormal(0.25, 1.2)),
    "1 % lone 503, refuses from 24": Wild(errors=0.01, capacities=(24,), refuses=True),
    "10 % of answers lost": Wild(lost=0.1),
    "10 % of answers lost, no pause between bursts": Wild(lost=0.1, gap=0.0),
}
"""Bursts of 300 against each are compared with the best fixed limit."""

TAILS: dict[str, Wild] = {
    **{name: Wild(latency=latency) for name, latency in LATENCIES.items()},
    "uniform, 1 % of answers lost": Wild(lost=0.01),
    "lognormal 1.2, 1 % of answers lost": Wild(lost=0.01, latency=lognormal(0.25, 1.2)),
    "uniform, 10 % of answers lost": Wild(lost=0.1),
    "refuses from 24, lognormal 1.2": Wild(capacities=(24,), refuses=True, latency=lognormal(0.25, 1.2)),
    "stalls of 3 s": Wild(stall=3.0),
}
"""Bursts of 300 against each are minted with the hedge and without."""
