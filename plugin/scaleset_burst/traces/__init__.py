"""OpenTelemetry spans of bursts, their mints and look-ups (extra `otel`).

A burst is traced as it runs; its mints and attempts afterwards, from what its outcomes tell, so that no mint waits for
a span. `drawing` makes spans of outcomes, `tracing` has their life, `provider` says where they go.
"""

from scaleset_burst.traces.provider import open_traces
from scaleset_burst.traces.tracing import Burst, Traces

__all__ = ["Burst", "Traces", "open_traces"]
