"""The spans of an engine against the simulator, through the SDK's own exporter."""

import asyncio
import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

from scaleset_burst.traces import provider as provider_module
from scaleset_burst.traces.drawing import Finished
from scaleset_burst.traces.writing import ThroughTracer
from scaleset_hookspecs import (
    FailureReason,
    JitConfig,
    MintFailure,
    NotFound,
    Outcome,
    ProvisionSettings,
    ScaleSetRef,
    UsageError,
)
from scaleset_simulator import SimulatorProcess
from tests.unit.traces.conftest import TOKEN, Running

LINUX = ScaleSetRef(name="demo-linux")
PLAIN = ProvisionSettings()
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "traces.md"


def named(spans: Sequence[ReadableSpan], name: str) -> list[ReadableSpan]:
    return [span for span in spans if span.name == name]


def below(spans: Sequence[ReadableSpan], above: ReadableSpan) -> list[ReadableSpan]:
    assert above.context is not None
    return [span for span in spans if span.parent is not None and span.parent.span_id == above.context.span_id]


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def requests_of(outcome: Outcome) -> list[tuple[object, ...]]:
    return [
        (each.status, each.request_id, None if each.result == "minted" else each.result) for each in outcome.attempts
    ]


def told(span: ReadableSpan) -> tuple[object, ...]:
    known = attributes(span)
    return tuple(known.get(key) for key in ("http.response.status_code", "github.request_id", "error.type"))


def test_a_burst_with_faults_is_one_tree(
    running: Running, spans: InMemorySpanExporter, simulator: SimulatorProcess
) -> None:
    """Every mint with its name, its id and each of its requests; look-ups below it; no secret anywhere."""
    outcomes: list[Outcome] = []

    async def main() -> None:
        async with running(batch={"hedge": False}) as engine:
            simulator.faults(["mint:status=500:every 5", "mint:drop-after:first 2", "mint:conflict:first 1"])
            outcomes.extend(await engine.provision(LINUX, 40, PLAIN, None))

    asyncio.run(main())
    made = spans.get_finished_spans()
    [burst] = named(made, "burst")
    assert attributes(burst) == {
        "scaleset.name": "demo-linux",
        "scaleset.runner_group": "default",
        "scaleset.burst.asked": 40,
        "scaleset.burst.minted": 40,
    }
    assert (burst.kind, burst.status.status_code, burst.parent) == (SpanKind.INTERNAL, StatusCode.UNSET, None)
    children = below(made, burst)
    assert {span.name for span in children} == {"mint", "find_scale_set"}
    mints = {attributes(span)["cicd.worker.name"]: span for span in named(children, "mint")}
    assert len(mints) == len(outcomes) == 40
    several = 0
    for outcome in outcomes:
        assert isinstance(outcome, JitConfig)
        span = mints[outcome.runner_name]
        assert attributes(span)["cicd.worker.id"] == str(outcome.runner_id)
        attempts = sorted(
            below(made, span), key=lambda each: int(str(attributes(each).get("http.request.resend_count", 0)))
        )
        if len(outcome.attempts) == 1:
            assert (span.kind, attempts, [told(span)]) == (SpanKind.CLIENT, [], requests_of(outcome))
        else:
            several += 1
            assert (span.kind, span.status.status_code) == (SpanKind.INTERNAL, StatusCode.UNSET)
            assert [told(each) for each in attempts] == requests_of(outcome)
            assert {each.name for each in attempts} == {"attempt"}
            assert [each.status.status_code for each in attempts[:-1]] == [StatusCode.ERROR] * (len(attempts) - 1)
    assert several >= 8
    assert {span.name for span in made if span.parent is None} >= {"burst", "registration_token", "admin_connection"}
    assert_nothing_but_what_is_documented(
        made, [outcome.encoded for outcome in outcomes if isinstance(outcome, JitConfig)]
    )


def assert_nothing_but_what_is_documented(made: Sequence[ReadableSpan], configs: list[str]) -> None:
    """No secret in anything that leaves, no event, no key that the page does not list."""
    assert configs
    text = "\n".join(span.to_json() for span in made)
    for secret in (TOKEN, "Bearer", "eyJ", *configs):
        assert secret not in text
    documented = set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", PAGE.read_text()))
    used = {key for span in made for key in attributes(span)}
    assert used - documented - {f"scaleset.burst.{reason}" for reason in FailureReason} == set()
    assert [span.name for span in made if span.events] == []
    for span in made:
        assert len(json.dumps(attributes(span))) < 1000


def test_the_hosts_own_span_is_above(running: Running, spans: InMemorySpanExporter, provider: TracerProvider) -> None:
    """And it is still the current one when the call has returned; the host's provider goes on after our end."""
    tracer = provider.get_tracer("a host")

    async def main() -> None:
        async with running() as engine:
            with tracer.start_as_current_span("scale up") as above:
                await engine.provision(LINUX, 3, ProvisionSettings(deadline=30.0), None)
                assert trace.get_current_span() is above

    asyncio.run(main())
    tracer.start_span("later").end()
    made = spans.get_finished_spans()
    [above], [burst] = named(made, "scale up"), named(made, "burst")
    assert below(made, above) == [burst]
    assert sorted(span.name for span in below(made, burst)) == ["find_scale_set", "mint", "mint", "mint"]
    assert len({span.context.trace_id for span in [above, burst, *below(made, burst)] if span.context}) == 1
    assert len(named(made, "later")) == 1


def test_a_call_that_fails_and_one_that_is_cancelled_end_their_spans(
    running: Running, spans: InMemorySpanExporter, simulator: SimulatorProcess
) -> None:
    async def main() -> None:
        async with running() as engine:
            with pytest.raises(NotFound):
                await engine.provision(ScaleSetRef(name="absent"), 2, PLAIN, None)
            with pytest.raises(UsageError):
                await engine.provision(LINUX, 0, PLAIN, None)
            simulator.faults(["mint:hang-before:every 1"])
            call = asyncio.create_task(engine.provision(LINUX, 5, PLAIN, None))
            while engine.snapshot().in_flight < 5:
                await asyncio.sleep(0.01)
            call.cancel()
            await asyncio.wait([call])

    asyncio.run(main())
    made = spans.get_finished_spans()
    bursts = named(made, "burst")
    assert [attributes(burst)["error.type"] for burst in bursts] == ["NotFound", "UsageError", "CancelledError"]
    assert {burst.status.status_code for burst in bursts} == {StatusCode.ERROR}
    assert named(made, "mint") == []
    assert [span.name for span in below(made, bursts[0])] == ["find_scale_set"]


def test_failures_have_a_reason_and_what_was_never_sent_is_counted(
    running: Running, spans: InMemorySpanExporter, simulator: SimulatorProcess
) -> None:
    """The first two are refused; the limits let no more than two be sent before the deadline."""

    async def main() -> tuple[Outcome, ...]:
        async with running(batch={"max_attempts": 1, "hedge": False}, budget={"registrations": 2}) as engine:
            simulator.faults(["mint:status=500:first 2"])
            return await engine.provision(LINUX, 5, ProvisionSettings(deadline=2.0), None)

    outcomes = asyncio.run(main())
    made = spans.get_finished_spans()
    failures = [outcome for outcome in outcomes if isinstance(outcome, MintFailure)]
    sent = [failure for failure in failures if failure.attempts]
    assert (len(failures), len(sent)) == (5, 2)
    [burst] = named(made, "burst")
    counted = {
        key.rpartition(".")[2]: value for key, value in attributes(burst).items() if key.startswith("scaleset.burst.")
    }
    assert counted.pop("asked") == 5
    assert counted.pop("minted") == 0
    reasons = [failure.reason.value for failure in failures]
    assert counted == {reason: reasons.count(reason) for reason in reasons}
    mints = named(made, "mint")
    assert [(attributes(span), span.status.status_code) for span in mints] == [
        ({"error.type": "unavailable"}, StatusCode.ERROR)
    ] * 2
    assert [[told(each) for each in below(made, span)] for span in mints] == [requests_of(failure) for failure in sent]


def test_what_has_ended_is_drawn_before_the_end(running: Running, spans: InMemorySpanExporter) -> None:
    """More than is drawn in a row, and a call that the end itself ends."""

    async def main() -> tuple[Outcome, ...]:
        async with running(budget={"registrations": 700}) as engine:
            await engine.provision(LINUX, 600, PLAIN, None)
            call = asyncio.create_task(engine.provision(LINUX, 200, PLAIN, None))
            while engine.snapshot().waiting != 100:
                await asyncio.sleep(0.01)
            await engine.stop(0.1)
            return await call

    left = asyncio.run(main())
    made = spans.get_finished_spans()
    assert [attributes(burst)["scaleset.burst.minted"] for burst in named(made, "burst")] == [600, 100]
    assert attributes(named(made, "burst")[1])["scaleset.burst.stopped"] == 100
    assert len(named(made, "mint")) == 700
    assert sum(isinstance(outcome, JitConfig) for outcome in left) == 100


class Broken(SpanProcessor):
    """One that a host brought."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        raise RuntimeError("the host's own fault")

    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError("the host's own fault")


def test_a_provider_that_is_broken_disturbs_no_mint(
    running: Running, provider: TracerProvider, caplog: pytest.LogCaptureFixture
) -> None:
    provider.add_span_processor(Broken())

    async def main() -> tuple[Outcome, ...]:
        async with running() as engine:
            return await engine.provision(LINUX, 20, PLAIN, None)

    assert sum(isinstance(outcome, JitConfig) for outcome in asyncio.run(main())) == 20
    assert caplog.text.count("a span could not be made") == 1


def test_a_trace_that_is_not_sampled_has_no_mints(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would be made for nobody."""
    made = TracerProvider(ALWAYS_OFF, shutdown_on_exit=False)
    monkeypatch.setattr(provider_module, "get_tracer_provider", lambda: made)
    written: list[str] = []
    write = ThroughTracer.write

    def noting(self: ThroughTracer, span: Finished, above: SpanContext | None) -> SpanContext:
        written.append(span.name)
        return write(self, span, above)

    monkeypatch.setattr(ThroughTracer, "write", noting)

    async def main() -> None:
        async with running() as engine:
            await engine.provision(LINUX, 20, PLAIN, None)

    asyncio.run(main())
    assert "find_scale_set" in written
    assert "mint" not in written
