"""Traces as a collector gets them: a command that mints, OTLP over HTTP, a receiver on loopback."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from scaleset_simulator import SimulatorProcess
from tests.e2e.hosting import Ended, configuration, free_port, run, write

SCALE_SET = "e2e"
BURST = str(Path(sys.executable).parent / "scaleset-burst")


@contextmanager
def collector(port: int = 0) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Give the address of a receiver, and what it has received: path and body."""
    received: list[tuple[str, bytes]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def mint(folder: Path, simulator: SimulatorProcess, count: int, endpoint: str) -> Ended:
    """Mint with traces, in a process that a proxy which is not there would keep from any other machine."""
    config = configuration(simulator.config_url)
    config["plugins"]["burst"] |= {"traces": True, "budget": {"registrations": 10_000}}
    path = write(folder, config, simulator.token)
    nowhere = f"http://127.0.0.1:{free_port()}"
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        **dict.fromkeys(("HTTP_PROXY", "http_proxy"), nowhere),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), ""),
    }
    return run([BURST, "mint", str(path), SCALE_SET, str(count)], folder=folder, environment=environment)


def values(span: Span) -> dict[str, str | int]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


@pytest.fixture
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(scale_set=SCALE_SET, registrations=10_000) as process:
        yield process


def test_a_collector_gets_every_span_of_a_large_burst(simulator: SimulatorProcess, tmp_path: Path) -> None:
    """More than the SDK keeps by default, sent before the command ends; and no secret among it."""
    simulator.faults(["mint:status=500:every 100"])
    with collector() as (endpoint, received):
        ended = mint(tmp_path, simulator, 2500, endpoint)
    assert ended.status == 0, ended.err
    configs = [json.loads(line) for line in ended.out.splitlines()]
    assert {path for path, _ in received} == {"/v1/traces"}
    requests = [ExportTraceServiceRequest.FromString(body) for _, body in received]
    resources = [each for request in requests for each in request.resource_spans]
    assert {
        one.value.string_value for each in resources for one in each.resource.attributes if one.key == "service.name"
    } == {"scaleset-burst"}
    spans = [span for each in resources for scope in each.scope_spans for span in scope.spans]
    assert len({span.span_id for span in spans}) == len(spans)
    [burst] = [span for span in spans if span.name == "burst"]
    assert values(burst)["scaleset.burst.minted"] == 2500
    mints = {values(span)["cicd.worker.name"]: span for span in spans if span.name == "mint"}
    assert mints.keys() == {config["runner_name"] for config in configs}
    assert {values(span)["cicd.worker.id"] for span in mints.values()} == {
        str(config["runner_id"]) for config in configs
    }
    assert {(span.parent_span_id, span.trace_id) for span in mints.values()} == {(burst.span_id, burst.trace_id)}
    attempts = [span for span in spans if span.name == "attempt"]
    several = {span.span_id for span in mints.values() if span.kind == Span.SPAN_KIND_INTERNAL}
    assert {span.parent_span_id for span in attempts} == several
    assert len([span for span in attempts if span.status.code]) >= 20
    sent = [*attempts, *(span for span in mints.values() if span.kind == Span.SPAN_KIND_CLIENT)]
    assert len({values(span)["github.request_id"] for span in sent}) == len(sent)
    assert {"find_scale_set", "registration_token", "admin_connection"} <= {span.name for span in spans}
    everything = b"".join(body for _, body in received)
    for secret in (simulator.token, "Bearer", *(config["jit_config"] for config in configs[:50])):
        assert secret.encode() not in everything


def test_a_collector_that_is_away_disturbs_no_mint(simulator: SimulatorProcess, tmp_path: Path) -> None:
    ended = mint(tmp_path, simulator, 20, f"http://127.0.0.1:{free_port()}")
    assert ended.status == 0, ended.err
    assert len(ended.out.splitlines()) == len(simulator.runners()) == 20


def test_plain_http_to_another_machine_is_refused_before_anything_is_sent(
    simulator: SimulatorProcess, tmp_path: Path
) -> None:
    ended = mint(tmp_path, simulator, 20, "http://collector.example:4318")
    ended.refused(1, "leads to collector.example over plain http; use https://, or a collector on this machine")
    assert (ended.out, simulator.runners()) == ("", [])
