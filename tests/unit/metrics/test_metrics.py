"""What Prometheus sees, through its own text format and its own parser."""

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from scaleset_burst.cache import Kind, KindCounters
from scaleset_burst.metrics import Metrics
from scaleset_burst.metrics.bounding import OUTCOMES
from scaleset_burst.metrics.families import FAMILIES
from scaleset_burst.minting.histogram import Histogram, HistogramValues
from scaleset_burst.telemetry import EngineSnapshot
from scaleset_hookspecs import FailureReason

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"


def snapshot(scope: str = "github.com/acme", **more: object) -> EngineSnapshot:
    seconds = Histogram()
    for value in (0.2, 0.21, 400.0):
        seconds.add(value)
    values: dict[str, object] = {
        "mints": {("linux", "minted"): 297, ("linux", "deadline"): 3},
        "mint_seconds": seconds.values(),
        "mint_parts": {"queue": 0.5, "server": 399.91},
        "bursts": 1,
        "waves": 5,
        "waiting": 40,
        "eta_seconds": 12.5,
        "sharing_hosts": 3,
        "in_flight": 12,
        "concurrency_limit": 64,
        "budget_used": 300,
        "budget_left": 1200,
        "pause_seconds": 1.5,
        "connections_open": 64,
        "connections_opened": 66,
        "requests": {"mint": 301, "find_scale_set": 1},
        "token_renewals": 1,
        "cache": {Kind.SCALE_SET: KindCounters(hits=9, misses=2, stale=1, refreshes=3, evictions=4, failures=5)},
        "ghosts_removed": 2,
        "unresolved_mints": 1,
        "journal_open": 7,
    }
    return EngineSnapshot(scope=scope, **(values | more))  # type: ignore[arg-type]


def scrape(*snapshots: EngineSnapshot, **options: object) -> dict[str, Metric]:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    for each in snapshots:
        metrics.add(lambda each=each: each, **options)  # type: ignore[arg-type, misc]
    text = generate_latest(registry).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def nonzero(families: dict[str, Metric], name: str) -> dict[tuple[str, ...], float]:
    return {labels: value for labels, value in samples(families, name).items() if value}


def samples(families: dict[str, Metric], name: str) -> dict[tuple[str, ...], float]:
    """Return the samples of one name by the values of their labels, `scope` left out."""
    return {
        tuple(value for label, value in sorted(sample.labels.items()) if label != "scope"): sample.value
        for family in families.values()
        for sample in family.samples
        if sample.name == name
    }


def test_what_the_engine_shows_is_what_prometheus_reads() -> None:
    seen = scrape(snapshot())
    assert nonzero(seen, "scaleset_burst_mints_total") == {("minted", "linux"): 297.0, ("deadline", "linux"): 3.0}
    assert samples(seen, "scaleset_burst_mints_waiting") == {(): 40.0}
    assert samples(seen, "scaleset_burst_mints_waiting_seconds") == {(): 12.5}
    assert samples(seen, "scaleset_burst_sharing_hosts") == {(): 3.0}
    assert samples(seen, "scaleset_burst_budget_left_registrations") == {(): 1200.0}
    assert samples(seen, "scaleset_burst_connections_opened_total") == {(): 66.0}
    assert samples(seen, "scaleset_burst_cache_requests_total") == {
        ("scale_set", "hit"): 9.0,
        ("scale_set", "miss"): 2.0,
        ("scale_set", "stale"): 1.0,
    }
    assert samples(seen, "scaleset_burst_cache_failures_total") == {("scale_set",): 5.0}


def test_each_metric_is_shown_with_its_type_and_help() -> None:
    seen = scrape(snapshot())
    for family in FAMILIES:
        shown = seen[family.name.removesuffix("_total")]
        assert (shown.type, shown.documentation) == (family.type, family.help)
        assert shown.samples, f"{family.name} has no sample"
        for sample in shown.samples:
            assert set(sample.labels) - {"le"} == set(family.labels)
    assert len(seen) == len(FAMILIES)


def test_the_histogram_adds_up() -> None:
    seen = scrape(snapshot())
    buckets = samples(seen, "scaleset_burst_mint_duration_seconds_bucket")
    assert buckets["0.1",] == 0
    assert buckets["0.2",] == 1
    assert buckets["0.3",] == 2
    assert buckets["300.0",] == 2
    assert buckets["+Inf",] == 3
    assert samples(seen, "scaleset_burst_mint_duration_seconds_count") == {(): 3.0}
    assert samples(seen, "scaleset_burst_mint_duration_seconds_sum") == {(): pytest.approx(400.41)}


def test_openmetrics_is_understood_as_well() -> None:
    registry = CollectorRegistry()
    Metrics(registry).add(snapshot)
    text = generate_openmetrics(registry).decode()  # type: ignore[no-untyped-call]
    names = {family.name for family in parse_openmetrics(text)}  # type: ignore[no-untyped-call]
    assert names == {family.name.removesuffix("_total") for family in FAMILIES}


def test_several_engines_differ_by_scope() -> None:
    seen = scrape(snapshot(), snapshot("ghes.example.com/acme", waves=8))
    waves = {sample.labels["scope"]: sample.value for sample in seen["scaleset_burst_waves"].samples}
    assert waves == {"github.com/acme": 5.0, "ghes.example.com/acme": 8.0}


def test_engines_of_one_scope_are_shown_once_and_can_be_taken_out() -> None:
    """Two managers of one scope in a process wrote every series twice, which a scrape refuses."""
    registry, second = CollectorRegistry(), snapshot(budget_left=900, pause_seconds=4.0)
    metrics = Metrics(registry)
    metrics.add(snapshot)
    metrics.add(second_source := lambda: second)
    text = generate_latest(registry).decode()
    seen = {family.name: family for family in text_string_to_metric_families(text)}
    series = [(sample.name, *sorted(sample.labels.items())) for family in seen.values() for sample in family.samples]
    assert len(series) == len(set(series))
    assert samples(seen, "scaleset_burst_mints_total")["minted", "linux"] == 2 * 297.0
    assert samples(seen, "scaleset_burst_mint_duration_seconds_bucket")["+Inf",] == 6
    assert samples(seen, "scaleset_burst_mint_duration_seconds_sum") == {(): pytest.approx(2 * 400.41)}
    assert samples(seen, "scaleset_burst_budget_left_registrations") == {(): 900.0}
    assert samples(seen, "scaleset_burst_limit_pause_seconds") == {(): 4.0}
    metrics.remove(snapshot)
    metrics.remove(second_source)
    metrics.remove(second_source)
    assert "scope=" not in generate_latest(registry).decode()


def test_what_has_not_happened_is_zero_so_that_the_first_failure_is_an_increase() -> None:
    configured = scrape(snapshot(mints={}), scale_sets=["linux"])
    assert samples(configured, "scaleset_burst_mints_total") == {(outcome, "linux"): 0.0 for outcome in OUTCOMES}
    seen = samples(scrape(snapshot()), "scaleset_burst_mints_total")
    assert seen["rejected", "linux"] == 0.0


def test_without_redis_nothing_is_said_of_hosts_that_share() -> None:
    assert samples(scrape(snapshot(sharing_hosts=None)), "scaleset_burst_sharing_hosts") == {}
    assert samples(scrape(snapshot(sharing_hosts=0)), "scaleset_burst_sharing_hosts") == {(): 0.0}


def test_registering_reads_no_engine_and_an_engine_that_did_nothing_can_be_shown() -> None:
    seen = scrape(EngineSnapshot(scope="github.com/acme"))
    assert samples(seen, "scaleset_burst_mint_duration_seconds_count") == {(): 0.0}

    def never() -> EngineSnapshot:
        raise AssertionError("read at registration")

    metrics = Metrics()
    metrics.add(never)
    CollectorRegistry(auto_describe=True).register(metrics)


def test_labels_are_bounded_whatever_names_turn_up() -> None:
    mints = {(f"set-{number}", "minted"): 1 for number in range(1000)}
    seen = scrape(snapshot(mints=mints), scale_sets=["set-999"], most_scale_sets=5)
    shown = nonzero(seen, "scaleset_burst_mints_total")
    assert len(shown) == 6
    assert shown["minted", "set-999"] == 1
    assert shown["minted", "other"] == 995
    requests = samples(
        scrape(snapshot(requests={f"kind-{number}": 1 for number in range(1000)})), "scaleset_burst_requests_total"
    )
    assert len(requests) == 41


def test_an_outcome_that_nobody_declared_is_other() -> None:
    assert nonzero(scrape(snapshot(mints={("linux", "ghp_oops"): 1})), "scaleset_burst_mints_total") == {
        ("other", "linux"): 1.0
    }
    assert {"minted", *FailureReason} == OUTCOMES


def test_names_keep_the_conventions_of_prometheus() -> None:
    for family in FAMILIES:
        assert re.fullmatch(r"scaleset_burst_[a-z]+(_[a-z]+)*", family.name)
        assert family.name.endswith("_total") == (family.type == "counter")
        assert family.labels[0] == "scope"
        assert family.help.endswith(".")
        if family.type == "histogram":
            assert family.name.endswith("_seconds")


def test_a_value_on_a_bound_counts_below_it() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (1.0, 1.5, 2.0, 3.0):
        histogram.add(value)
    assert histogram.values() == HistogramValues(bounds=(1.0, 2.0), counts=(1, 2, 1), total=7.5)
    assert histogram.values().cumulative() == [("1.0", 1.0), ("2.0", 3.0), ("+Inf", 4.0)]


def test_the_page_lists_every_metric_as_it_is_declared() -> None:
    rows = [
        tuple(cell.strip() for cell in line.strip("|").split(" | "))
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("| `scaleset_burst_")
    ]
    declared = [
        (f"`{family.name}`", family.type, ", ".join(f"`{label}`" for label in family.labels), family.help)
        for family in FAMILIES
    ]
    assert rows == declared


def test_the_page_lists_every_outcome_and_every_kind_of_the_cache() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for value in (*OUTCOMES, *Kind):
        assert f"`{value}`" in page
