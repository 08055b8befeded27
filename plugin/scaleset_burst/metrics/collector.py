"""Shows engines to Prometheus: reads a snapshot of each when it is scraped, so that a burst pays nothing for it."""

from collections.abc import Callable, Iterable, Iterator
from functools import cache

from scaleset_burst.metrics.bounding import MOST_SCALE_SETS, Bounded
from scaleset_burst.metrics.families import FAMILIES, Family
from scaleset_burst.minting.histogram import HistogramValues
from scaleset_burst.telemetry import EngineSnapshot

try:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
    from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry
except ImportError as missing:
    raise ImportError("metrics need the package prometheus-client: pip install 'scaleset-burst[metrics]'") from missing

__all__ = ["Metrics", "default_metrics"]

AnyFamily = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class Metrics(Collector):
    """A collector over any number of engines of one process, told apart by the label `scope`.

    Engines of one scope are shown as one: what they count is summed.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Make a collector without engines.

        Args:
            registry: Where it registers itself; nowhere if `None`.
        """
        self._sources: list[tuple[Callable[[], EngineSnapshot], Bounded]] = []
        if registry is not None:
            registry.register(self)

    def add(
        self,
        source: Callable[[], EngineSnapshot],
        *,
        scale_sets: Iterable[str] = (),
        most_scale_sets: int = MOST_SCALE_SETS,
    ) -> None:
        """Show one engine.

        Args:
            source: Returns its snapshot; called at each scrape, from the thread that scrapes.
            scale_sets: Names of the configured scale sets.
            most_scale_sets: Scale sets that have a label of their own; the others share `other`.
        """
        self._sources.append((source, Bounded(scale_sets, most_scale_sets)))

    def remove(self, source: Callable[[], EngineSnapshot]) -> None:
        """Show an engine no longer, after its host has stopped; one that is not shown is no error."""
        self._sources = [shown for shown in self._sources if shown[0] != source]

    def describe(self) -> Iterable[AnyFamily]:
        """Return the metrics without samples, so that registering reads no engine."""
        return [_empty(family) for family in FAMILIES]

    def collect(self) -> Iterator[AnyFamily]:
        """Return the metrics with what the engines show now."""
        snapshots = [(source(), bounded) for source, bounded in self._sources]
        for family in FAMILIES:
            shown = _empty(family)
            for labels, value in _values(family, snapshots).items():
                _add(shown, labels, value)
            yield shown


@cache
def default_metrics() -> Metrics:
    """Return the one collector of `prometheus_client`'s default registry, which all engines of the process share."""
    return Metrics(REGISTRY)


def _values(
    family: Family, snapshots: Iterable[tuple[EngineSnapshot, Bounded]]
) -> dict[tuple[str, ...], float | HistogramValues]:
    """Return each series once: what engines of one scope show is combined."""
    values: dict[tuple[str, ...], float | HistogramValues] = {}
    for snapshot, bounded in snapshots:
        for rest, value in family.read(snapshot, bounded):
            labels = (snapshot.scope, *rest)
            before = values.get(labels)
            if isinstance(value, HistogramValues):
                values[labels] = value + before if isinstance(before, HistogramValues) else value
            else:
                values[labels] = family.combine(before, value) if isinstance(before, float) else value
    return values


def _empty(family: Family) -> AnyFamily:
    if family.type == "counter":
        return CounterMetricFamily(family.name, family.help, labels=family.labels)
    if family.type == "gauge":
        return GaugeMetricFamily(family.name, family.help, labels=family.labels)
    return HistogramMetricFamily(family.name, family.help, labels=family.labels)


def _add(family: AnyFamily, labels: tuple[str, ...], value: float | HistogramValues) -> None:
    if isinstance(family, HistogramMetricFamily):
        assert isinstance(value, HistogramValues)  # noqa: S101  # declared together
        family.add_metric(labels, buckets=value.cumulative(), sum_value=value.total)
    else:
        assert not isinstance(value, HistogramValues)  # noqa: S101  # declared together
        family.add_metric(labels, value)
