"""Prometheus metrics of engines (extra `metrics`).

In flow snapshots (`telemetry`), each read when it is scraped; out flow samples, by the declarations in `families`.
`collector` is what a registry takes; `bounding` keeps the number of series finite.
"""

from scaleset_burst.metrics.collector import Metrics, default_metrics

__all__ = ["Metrics", "default_metrics"]
