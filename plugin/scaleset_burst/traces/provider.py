"""Where spans go: to the provider that the host has set, else over OTLP to whom the standard variables name."""

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import (
    OTEL_BSP_MAX_QUEUE_SIZE,
    OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_EXPORTER_OTLP_PROTOCOL,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
)
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import ProxyTracerProvider, get_tracer_provider

from scaleset_burst.traces.tracing import SCOPE, Traces
from scaleset_burst.traces.writing import Direct
from scaleset_client.clock import Clock
from scaleset_client.loopback import is_loopback
from scaleset_client.version import VERSION
from scaleset_hookspecs import UsageError

__all__ = ["endpoint", "open_traces"]

PROTOCOL = "http/protobuf"
COLLECTOR = "http://localhost:4318"
"""The collector on this machine: the standard's own default."""

QUEUE = 16_384
"""Spans that wait to be sent, at most: the largest burst, not the SDK's 2,048, of which the rest would be lost."""


class _Resource(Resource):
    """A resource that knows its hash: the exporter asks for it with each span, and it is made of JSON."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource.attributes, resource.schema_url)
        self._hash = super().__hash__()

    def __hash__(self) -> int:
        return self._hash


def endpoint(environ: Mapping[str, str]) -> str:
    """Return the address for spans that the standard variables name.

    Raises:
        UsageError: It is none, leads over plain http to another machine, or another protocol is asked for.
    """
    for name in (OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL):
        if environ.get(name, PROTOCOL) != PROTOCOL:
            raise UsageError(f"`plugins.burst.traces`: {name} is another protocol than {PROTOCOL}, the only one here")
    name = OTEL_EXPORTER_OTLP_TRACES_ENDPOINT
    url = environ.get(name, "")
    if not url:
        name = OTEL_EXPORTER_OTLP_ENDPOINT
        url = f"{(environ.get(name) or COLLECTOR).rstrip('/')}/v1/traces"
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme, parts.hostname
    except ValueError:
        scheme, host = "", None
    if scheme not in {"http", "https"} or not host:
        raise UsageError(f"`plugins.burst.traces`: {name} is no http:// or https:// URL")
    if scheme == "http" and not is_loopback(host):
        way_out = "use https://, or a collector on this machine"
        raise UsageError(f"`plugins.burst.traces`: {name} leads to {host} over plain http; {way_out}")
    return url


def open_traces(*, clock: Clock) -> Traces:
    """Return what makes spans: with the host's provider if it has set one, else with one of our own.

    Raises:
        UsageError: The standard variables cannot be used.
    """
    given = get_tracer_provider()
    if not isinstance(given, ProxyTracerProvider):
        return Traces(given, clock=clock)
    try:
        return _own(endpoint(os.environ), clock)
    except (ValueError, OSError) as error:
        raise UsageError(f"`plugins.burst.traces`: the variables OTEL_* cannot be used: {error}") from error


def _own(url: str, clock: Clock) -> Traces:
    session = requests.Session()
    if url.startswith("http:"):
        session.trust_env = False  # this machine is reached without a proxy
    named = SERVICE_NAME in OTELResourceDetector().detect().attributes
    # At its end a process does not wait for the collector once more: `Traces.close` has, and not for long.
    resource = _Resource(Resource.create({} if named else {SERVICE_NAME: "scaleset-burst"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    queue = None if os.environ.get(OTEL_BSP_MAX_QUEUE_SIZE) else QUEUE
    processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=url, session=session), max_queue_size=queue)
    provider.add_span_processor(processor)
    direct = Direct(processor, provider.resource, InstrumentationScope(SCOPE, VERSION))
    return Traces(provider, clock=clock, writer=direct, shutdown=provider.shutdown)
