"""Where spans go, and that nothing of it is there when they are not wanted."""

import asyncio
import socket
import subprocess
import sys
import threading

import pytest
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from scaleset_burst.settings import load_settings
from scaleset_burst.traces import open_traces
from scaleset_burst.traces.provider import QUEUE, endpoint
from scaleset_burst.wiring import build_traces
from scaleset_client.clock import SystemClock
from scaleset_hookspecs import ScaleSetRef, UsageError

ONE = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
ALL = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "http://localhost:4318/v1/traces"),
        ({ALL: "https://collector.example:4318/"}, "https://collector.example:4318/v1/traces"),
        ({ALL: "http://[::1]:4318"}, "http://[::1]:4318/v1/traces"),
        ({ALL: "http://far.example", ONE: "http://127.0.0.1:1/x"}, "http://127.0.0.1:1/x"),
        ({ALL: "", ONE: "", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "http://localhost:4318/v1/traces"),
    ],
)
def test_the_standard_variables_say_where(environ: dict[str, str], url: str) -> None:
    assert endpoint(environ) == url


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({ALL: "http://u:hunter2@far.example:4318"}, f"{ALL} leads to far.example over plain http; use https://"),
        ({ONE: "http://127.0.0.1.far.example/"}, f"{ONE} leads to 127.0.0.1.far.example over plain http"),
        ({ALL: "collector:4318"}, f"{ALL} is no http:// or https:// URL"),
        ({ONE: "http://[::1"}, f"{ONE} is no http:// or https:// URL"),
        ({ALL: "https://"}, f"{ALL} is no http:// or https:// URL"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL is another protocol than http/protobuf"),
    ],
)
def test_what_they_must_not_say(environ: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        endpoint(environ)
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_variable_that_is_wrong_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100000")
    with pytest.raises(UsageError, match=r"the variables OTEL_\* cannot be used"):
        open_traces(clock=SystemClock())


def test_a_queue_holds_the_largest_burst_unless_it_is_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int | None] = []
    init = BatchSpanProcessor.__init__

    def noting(self: BatchSpanProcessor, exporter: object, max_queue_size: int | None = None) -> None:
        made.append(max_queue_size)
        init(self, exporter, max_queue_size)  # type: ignore[arg-type]

    monkeypatch.setattr(BatchSpanProcessor, "__init__", noting)
    asyncio.run(open_traces(clock=SystemClock()).close())
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "600")
    asyncio.run(open_traces(clock=SystemClock()).close())
    assert made == [QUEUE, None]


def test_a_collector_that_hangs_keeps_nobody_from_ending(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It takes the connection and never answers; what was not sent in time is said to be lost."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv(ALL, f"http://127.0.0.1:{listener.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")

        async def main() -> None:
            traces = open_traces(clock=SystemClock())
            with traces.burst(ScaleSetRef(name="linux"), 1):
                pass
            await traces.close(0.1)

        asyncio.run(main())
        assert "the last spans could not be sent within 0.1 s" in caplog.text
        [sending] = [thread for thread in threading.enumerate() if thread.name == "sending the last spans"]
        assert sending.daemon
        sending.join(60)


def settings_of(text: bool) -> str:
    return f"""
import asyncio, sys
from scaleset_burst.engine import Engine
from scaleset_burst.settings import load_settings
from scaleset_hookspecs import ProvisionSettings, ScaleSetRef
from scaleset_simulator import SimulatorProcess

async def main(simulator):
    burst = {{"github": {{"config_url": simulator.config_url, "token": {{"$env": "T"}}}},
             "journal": {{"directory": ":memory:"}}, "traces": {text}}}
    engine = Engine(load_settings({{"plugins": {{"burst": burst}}}}, environ={{"T": simulator.token}}, read_file=str))
    await engine.start()
    print(len(await engine.provision(ScaleSetRef(name="demo-linux"), 5, ProvisionSettings(), None)))
    await engine.stop()
"""


def program(*, traces: bool, before: str = "", after: str = "") -> subprocess.CompletedProcess[str]:
    """Run a host of a few lines to its end."""
    run = "with SimulatorProcess() as simulator:\n    asyncio.run(main(simulator))\n"
    code = f"{before}\n{settings_of(traces)}\n{run}\n{after}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_off_nothing_of_it_is_loaded() -> None:
    done = program(
        traces=False, after="print([name for name in sys.modules if name.startswith(('opentelemetry', 'requests'))])"
    )
    assert done.stdout == "5\n[]\n", done.stderr


def test_a_provider_that_the_process_has_set_is_used_and_left_alone() -> None:
    before = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
"""
    after = """
trace.get_tracer("host").start_span("later").end()
names = [span.name for span in exporter.get_finished_spans()]
print(names.count("burst"), names.count("mint"), names[-1], trace.get_tracer_provider() is provider)
"""
    done = program(traces=True, before=before, after=after)
    assert done.stdout == "5\n1 5 later True\n", done.stderr


def test_our_own_provider_is_not_the_process_own() -> None:
    """A host that sets one later finds the place empty."""
    after = "from opentelemetry import trace\nprint(type(trace.get_tracer_provider()).__name__)"
    done = program(traces=True, before="import os\nos.environ['OTEL_SDK_DISABLED'] = 'true'", after=after)
    assert done.stdout == "5\nProxyTracerProvider\n", done.stderr


def test_without_the_extra_the_setting_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("opentelemetry", "scaleset_burst.traces"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    github = {"config_url": "https://github.com/acme", "token": {"$env": "T"}}
    section = {"plugins": {"burst": {"github": github, "traces": True}}}
    settings = load_settings(section, environ={"T": "x"}, read_file=lambda _: "")
    with pytest.raises(UsageError, match=r"pip install 'scaleset-burst\[otel\]'"):
        build_traces(settings, clock=SystemClock())
