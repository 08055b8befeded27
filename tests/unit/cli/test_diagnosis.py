"""What the doctor makes of its measurements."""

from dataclasses import replace

import pytest

from scaleset_burst.cli.diagnosis import Facts, Severity, Shared, burst_seconds, concurrency, diagnose
from scaleset_burst.settings import BatchSettings, BudgetSettings, ConnectionSettings, Settings

WELL = Facts(
    scope="github.com/acme",
    token_chain=0.4,
    skew=0.3,
    round_trips=(0.5, 0.1, 0.1, 0.2, 0.1),
    warmed=16,
    opened_meanwhile=0,
    runners=70,
    scale_set="linux",
    scale_set_id=3,
)


def severities(facts: Facts, settings: Settings | None = None) -> dict[str, Severity]:
    return {finding.name: finding.severity for finding in diagnose(facts, settings or Settings())}


def test_all_is_well() -> None:
    assert set(severities(WELL).values()) == {Severity.OK}


@pytest.mark.parametrize(
    ("facts", "name", "severity"),
    [
        (replace(WELL, skew=-31.0), "clock", Severity.WARNING),
        (replace(WELL, skew=None), "clock", Severity.WARNING),
        (replace(WELL, round_trips=(1.1,) * 5), "round trip", Severity.WARNING),
        (replace(WELL, opened_meanwhile=5), "connections", Severity.WARNING),
        (replace(WELL, runners=8000), "runner group", Severity.WARNING),
        (replace(WELL, runners=None), "runner group", Severity.WARNING),
        (replace(WELL, runners=None, listed=8000), "runner group", Severity.WARNING),
        (replace(WELL, scale_set_id=None), "scale set", Severity.FAILURE),
    ],
)
def test_one_thing_is_wrong(facts: Facts, name: str, severity: Severity) -> None:
    found = severities(facts)
    assert found.pop(name) is severity
    assert set(found.values()) == {Severity.OK}


def test_what_the_service_does_not_count_is_not_called_empty() -> None:
    for listed, said in ((0, "holds"), (70, "holds; 70 runners of its scope are listed")):
        findings = diagnose(replace(WELL, runners=None, listed=listed), Settings())
        (found,) = [one for one in findings if one.name == "runner group"]
        assert found.text == f"the service does not say how many of 10,000 runners `default` {said}"
        assert found.severity is Severity.OK


def test_no_scale_set_named_is_no_fault() -> None:
    assert severities(replace(WELL, scale_set=None, scale_set_id=None))["scale set"] is Severity.OK


def test_a_burst_takes_round_trips_not_runners() -> None:
    assert burst_seconds(64, 0.1, Settings()) == pytest.approx(0.1)
    assert burst_seconds(65, 0.1, Settings()) == pytest.approx(0.2)
    assert burst_seconds(1500, 0.1, Settings()) == pytest.approx(2.4)


def test_what_is_over_the_limit_waits_for_a_window() -> None:
    assert burst_seconds(1501, 0.1, Settings()) == pytest.approx(300.1)
    tight = Settings(budget=BudgetSettings(registrations=10, window=60.0))
    assert burst_seconds(25, 0.1, tight) == pytest.approx(120.1)


def test_slices_are_counted_as_one_request() -> None:
    settings = Settings(batch=BatchSettings(slice="always", slice_size=50, max_concurrency=2))
    assert burst_seconds(150, 0.1, settings) == pytest.approx(0.2)


def test_concurrency_is_bounded_by_connections() -> None:
    assert concurrency(Settings()) == 64
    assert concurrency(Settings(batch=BatchSettings(max_concurrency=8))) == 8
    small = Settings(batch=BatchSettings(max_concurrency=80), connections=ConnectionSettings(warm=1, max=4))
    assert concurrency(small) == 4


def test_the_report_names_the_limit_and_when_it_is_reached() -> None:
    text = {finding.name: finding.text for finding in diagnose(WELL, Settings())}
    assert text["round trip"] == "100 ms, the median of 5"
    assert text["300 runners"] == "about 500 ms"
    assert text["limit"] == "1,500 registrations in 5m are reached after about 2.4 s"


def redis(shared: Shared | None) -> list[tuple[Severity, str]]:
    found = diagnose(replace(WELL, shared=shared), Settings())
    return [(finding.severity, finding.text) for finding in found if finding.name == "redis"]


def test_redis_is_reported_if_limits_are_shared() -> None:
    assert redis(None) == []
    assert redis(Shared(seconds=0.001, hosts=3)) == [(Severity.OK, "answers in 1 ms; 3 hosts share the limits now")]
    [_, (severity, text)] = redis(Shared(hosts=3, evicts="volatile-ttl"))
    assert severity is Severity.WARNING
    assert "`volatile-ttl`" in text
    [(severity, text)] = redis(Shared(failure="it is a read-only replica"))
    assert severity is Severity.FAILURE
    assert text.startswith("it is a read-only replica; ")


@pytest.mark.parametrize(
    ("there", "wanted", "said"),
    [
        (("x",), (), None),
        (("X", "gpu"), ("gpu", "x"), None),
        (("x",), ("x", "gpu"), "the service has `x`, the configuration `gpu`, `x`: jobs that ask for others wait"),
        ((), ("gpu",), "the service has none, the configuration `gpu`: jobs that ask for others wait"),
    ],
)
def test_labels_that_differ_are_a_warning(there: tuple[str, ...], wanted: tuple[str, ...], said: str | None) -> None:
    facts = replace(WELL, scale_set="x", scale_set_id=1, labels=there, wanted_labels=wanted)
    found = [finding for finding in diagnose(facts, Settings()) if finding.name == "labels"]
    assert [finding.text for finding in found] == ([] if said is None else [said])
    assert all(finding.severity is Severity.WARNING for finding in found)
