"""What the host shows over HTTP to whoever watches it."""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from autoscaler.autoscaling import Autoscaler
from scaleset_client import Listener
from scaleset_hookspecs import UsageError
from scaleset_hookspecs.host.fleet import Life

__all__ = ["Health", "serve"]

LATELY = 180.0
"""Seconds within which a session has polled, or is not ready: a poll takes up to 50 s, a renewal and a retry more."""

ALIVE = 30.0
"""Seconds for which the event loop may be silent before the host counts as hung."""


@dataclass(slots=True)
class Health:
    """Whether the host lives, and whether it hears the service.

    Attributes:
        listeners: Of each scale set, once its session is open.
        autoscalers: Of all scale sets.
        desired: How many runners of a scale set were wanted when the event loop was last seen.
        runners: How many of them were how far then.
        seen_at: When that was.
    """

    listeners: dict[str, Listener] = field(default_factory=dict)
    autoscalers: list[Autoscaler] = field(default_factory=list)
    desired: dict[str, int] = field(default_factory=dict)
    runners: dict[str, Counter[Life]] = field(default_factory=dict)
    seen_at: float = field(default_factory=time.monotonic)

    async def keep(self) -> None:
        """Note again and again that the event loop is at work."""
        while True:
            self.desired = {each.scale_set.name: each.desired or 0 for each in self.autoscalers}
            self.runners = {each.scale_set.name: each.runners for each in self.autoscalers}
            self.seen_at = time.monotonic()
            await asyncio.sleep(1.0)

    def report(self) -> dict[str, Any]:
        """Return whether the host is live and ready, and how many seconds ago each session was answered."""
        now = time.monotonic()
        polled = {name: each.polled_at for name, each in self.listeners.items()}
        ages = {name: None if at is None else round(now - at, 1) for name, at in polled.items()}
        ready = bool(ages) and all(age is not None and age < LATELY for age in ages.values())
        return {"live": now - self.seen_at < ALIVE, "ready": ready, "polled_seconds_ago": ages}


class _Runners:
    """Shows the runners of each scale set to Prometheus, from the thread that is asked."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415  # only those who ask for it need it

        labels = ("scale_set", "life")
        shown = GaugeMetricFamily("autoscaler_runners", "Runners known by name, by how far they are.", labels=labels)
        for scale_set, counts in self._health.runners.items():
            for life in Life:
                shown.add_metric((scale_set, life.value), counts[life])
        yield shown
        wanted = GaugeMetricFamily("autoscaler_desired_runners", "Runners wanted in all.", labels=("scale_set",))
        for scale_set, count in self._health.desired.items():
            wanted.add_metric((scale_set,), count)
        yield wanted


class _Quiet(WSGIRequestHandler):
    timeout = 10  # for a client that sends nothing

    def log_message(self, *_: object) -> None:
        """Log nothing: it is asked every few seconds."""


@contextmanager
def serve(address: str, port: int | None, health: Health) -> Iterator[None]:
    """Serve /metrics, /healthz and /readyz from a thread of its own while the block runs; nothing without a port.

    Raises:
        UsageError: The port is taken, or the extra `metrics` is not installed.
    """
    if port is None:
        yield
        return
    try:
        from prometheus_client import REGISTRY, make_wsgi_app  # noqa: PLC0415  # only those who ask for it need it
    except ImportError:
        raise UsageError("--metrics-port needs prometheus-client: pip install 'scaleset-burst[metrics]'") from None
    metrics = make_wsgi_app()

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] not in {"/healthz", "/readyz"}:
            return metrics(environ, start)  # type: ignore[no-any-return]
        report = health.report()
        good = report["live"] and (report["ready"] or environ["PATH_INFO"] == "/healthz")
        start("200 OK" if good else "503 Service Unavailable", [("Content-Type", "application/json")])
        return [json.dumps(report).encode()]

    try:
        server = make_server(address, port, answer, handler_class=_Quiet)
    except (OSError, OverflowError) as error:
        raise UsageError(f"{address}:{port} cannot be used for metrics: {error}") from error
    keeping, runners = asyncio.ensure_future(health.keep()), _Runners(health)
    REGISTRY.register(runners)
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            keeping.cancel()
            server.shutdown()
            REGISTRY.unregister(runners)
