"""Prometheus metrics of engines (extra `metrics`)."""

from scaleset_burst.metrics.collector import Metrics

__all__ = ["Metrics"]
