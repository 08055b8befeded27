"""The spans of one engine: a burst as it runs, each look-up and token request as it ends, mints after their burst."""

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from types import TracebackType
from typing import Final, Self

from opentelemetry.trace import INVALID_SPAN, Span, SpanContext, StatusCode, TracerProvider, use_span

from scaleset_burst.background import Background
from scaleset_burst.traces.drawing import Attributes, mint, nanoseconds, request
from scaleset_burst.traces.writing import ThroughTracer, Writer
from scaleset_client.clock import Clock
from scaleset_client.observing import RequestRecord
from scaleset_client.operations import Operation
from scaleset_client.version import VERSION
from scaleset_hookspecs import JitConfig, MintFailure, Outcome, ScaleSetRef

__all__ = ["SCOPE", "Burst", "Traces"]

logger = logging.getLogger(__name__)

SCOPE: Final = "scaleset_burst"
"""Whose spans these are."""

UNREPORTED: Final = frozenset({Operation.MINT, Operation.MINT_SLICE, Operation.POLL})
"""Requests that have no span of their own: mints are drawn from their outcomes, and a poll is nothing but waiting."""

CHUNK = 256
"""Mints drawn in a row, some 20 us each, before whatever else waits for the loop gets its turn."""

BURSTS_SECONDS = 1.0
"""Time for the calls that a stop has ended to return."""

SEND_SECONDS = 5.0
"""Time for sending what is left when the host stops."""


class Traces:
    """Makes spans. Nothing that goes wrong with a span reaches a mint: it is logged.

    Attributes:
        unreported: Operations that have no span of their own.

    Args:
        provider: Where the spans go.
        clock: Where their times come from.
        writer: Where mints go, if there is a shorter way than through the provider's tracer.
        shutdown: Sends what is left and ends the provider, and may block; `None` if the provider is the host's.
    """

    def __init__(
        self,
        provider: TracerProvider,
        *,
        clock: Clock,
        writer: Writer | None = None,
        shutdown: Callable[[], None] | None = None,
    ) -> None:
        self._tracer = provider.get_tracer(SCOPE, VERSION)
        self._through = ThroughTracer(self._tracer)
        self._writer = writer or self._through
        self.unreported = UNREPORTED
        self._clock = clock
        self._shutdown = shutdown
        self._drawing = Background()
        self._bursts = 0
        self._no_burst = asyncio.Event()
        self._no_burst.set()

    def now(self) -> int:
        """Return the time in the nanoseconds of a span."""
        return nanoseconds(self._clock.time())

    def burst(self, scale_set: ScaleSetRef, count: int) -> "Burst":
        """Begin the span of one call, below the span that is current, if one is."""
        span: Span = INVALID_SPAN
        with _harmless():
            attributes: Attributes = {
                "scaleset.name": scale_set.name,
                "scaleset.runner_group": scale_set.runner_group,
                "scaleset.burst.asked": count,
            }
            span = self._tracer.start_span("burst", attributes=attributes, start_time=self.now())
        return Burst(self, span)

    def on_request(self, record: RequestRecord) -> None:
        """Make the span of a request that has ended, below the span that is current in its task."""
        self._through.write(request(record, self._clock.time()), None)

    def opened(self) -> None:
        """Count a burst that has begun."""
        self._bursts += 1
        self._no_burst.clear()

    def ended(self, above: SpanContext, outcomes: Sequence[Outcome]) -> None:
        """Count a burst that has ended, and draw its mints beside whatever its caller does next."""
        self._bursts -= 1
        if not self._bursts:
            self._no_burst.set()
        if outcomes:
            self._drawing.spawn(self._draw(above, outcomes), "tracing a burst")

    async def _draw(self, above: SpanContext, outcomes: Sequence[Outcome]) -> None:
        for number, outcome in enumerate(outcomes, start=1):
            if (drawn := mint(outcome)) is not None:
                span, below = drawn
                inside = self._writer.write(span, above)
                for one in below:
                    self._writer.write(one, inside)
            if number % CHUNK == 0:
                await asyncio.sleep(0)

    async def close(self, seconds: float = SEND_SECONDS) -> None:
        """Draw what has ended; send what is left within that many seconds, unless that is the host's to do."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._no_burst.wait(), BURSTS_SECONDS)
        await self._drawing.finish()
        if self._shutdown is not None and not await _done_within(seconds, self._shutdown):
            logger.warning("the last spans could not be sent within %g s; they are lost", seconds)


class Burst:
    """The span of one call: begun with the call, ended with the block it is used for, however that ends."""

    def __init__(self, traces: Traces, span: Span) -> None:
        self._traces = traces
        self._span = span
        self._outcomes: Sequence[Outcome] = ()

    def current(self) -> AbstractContextManager[Span]:
        """Put whatever begins in the block below this span."""
        return use_span(self._span, record_exception=False, set_status_on_exception=False)

    def became(self, outcomes: Sequence[Outcome]) -> None:
        """Tell what became of the burst."""
        self._outcomes = outcomes

    def __enter__(self) -> Self:
        self._traces.opened()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        recording = self._span.is_recording()
        with _harmless():
            if error is not None:
                self._span.set_attribute("error.type", type(error).__name__)
                self._span.set_status(StatusCode.ERROR, type(error).__name__)
            elif recording:
                self._span.set_attributes(_counts(self._outcomes))
            self._span.end(self._traces.now())
        self._traces.ended(self._span.get_span_context(), self._outcomes if recording else ())


def _counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Return how many were minted, and how many failed for each reason."""
    failed = Counter(outcome.reason.value for outcome in outcomes if isinstance(outcome, MintFailure))
    minted = sum(isinstance(outcome, JitConfig) for outcome in outcomes)
    return {"scaleset.burst.minted": minted, **{f"scaleset.burst.{why}": count for why, count in failed.items()}}


async def _done_within(seconds: float, work: Callable[[], None]) -> bool:
    """Whether blocking work ended in time; if not it goes on in a thread that keeps no process from ending."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def carry_out() -> None:
        try:
            with _harmless():
                work()
        finally:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(done.set)

    threading.Thread(target=carry_out, name="sending the last spans", daemon=True).start()
    try:
        await asyncio.wait_for(done.wait(), seconds)
    except TimeoutError:
        return False
    return True


@contextmanager
def _harmless() -> Iterator[None]:
    """Log what a sampler or a processor of the host raises, instead of letting it end a burst."""
    try:
        yield
    except Exception:
        logger.exception("a span could not be made")
