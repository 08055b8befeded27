"""Two ways of a finished span to its exporter: through the host's tracer, or straight to our own processor."""

from typing import Protocol

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from scaleset_burst.traces.drawing import Finished

__all__ = ["Direct", "ThroughTracer", "Writer"]

UNSET = Status()


class Writer(Protocol):
    """Where finished spans go."""

    def write(self, span: Finished, above: SpanContext) -> SpanContext:
        """Pass a finished span on; return what those below it need."""


class ThroughTracer:
    """Any provider's tracer: its sampler, its limits and its processors see each span."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def write(self, span: Finished, above: SpanContext | None) -> SpanContext:
        """Begin and end it, below the span that is current if none is named."""
        context = None if above is None else set_span_in_context(NonRecordingSpan(above), Context())
        kind = SpanKind.CLIENT if span.sent else SpanKind.INTERNAL
        made = self._tracer.start_span(span.name, context, kind, span.attributes, start_time=span.began)
        if span.error is not None:
            made.set_status(StatusCode.ERROR, span.error)
        made.end(span.ended)
        return made.get_span_context()


class Direct:
    """Our own provider's processor: a third of the CPU, for spans below one that is sampled and has no limits near."""

    def __init__(self, processor: SpanProcessor, resource: Resource, scope: InstrumentationScope) -> None:
        self._processor = processor
        self._resource = resource
        self._scope = scope
        self._ids = RandomIdGenerator()

    def write(self, span: Finished, above: SpanContext) -> SpanContext:
        """Hand it over as it is."""
        context = SpanContext(
            above.trace_id, self._ids.generate_span_id(), is_remote=False, trace_flags=above.trace_flags
        )
        self._processor.on_end(
            ReadableSpan(
                span.name,
                context,
                above,
                self._resource,
                span.attributes,
                kind=SpanKind.CLIENT if span.sent else SpanKind.INTERNAL,
                instrumentation_scope=self._scope,
                status=UNSET if span.error is None else Status(StatusCode.ERROR, span.error),
                start_time=span.began,
                end_time=span.ended,
            )
        )
        return context
