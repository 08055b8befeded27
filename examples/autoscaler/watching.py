"""What the host serves over HTTP to whoever watches it: its metrics, and whether it lives."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from scaleset_client import Listener
from scaleset_hookspecs import UsageError

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
        seen_at: When the event loop was last seen at work.
    """

    listeners: dict[str, Listener] = field(default_factory=dict)
    seen_at: float = field(default_factory=time.monotonic)

    async def keep(self) -> None:
        """Note again and again that the event loop is at work."""
        while True:
            self.seen_at = time.monotonic()
            await asyncio.sleep(1.0)

    def report(self) -> dict[str, Any]:
        """Return whether the host is live and ready, and how many seconds ago each session was answered."""
        now = time.monotonic()
        polled = {name: each.polled_at for name, each in self.listeners.items()}
        ages = {name: None if at is None else round(now - at, 1) for name, at in polled.items()}
        ready = bool(ages) and all(age is not None and age < LATELY for age in ages.values())
        return {"live": now - self.seen_at < ALIVE, "ready": ready, "polled_seconds_ago": ages}


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
        from prometheus_client import make_wsgi_app  # noqa: PLC0415  # only those who ask for it need it
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
    keeping = asyncio.ensure_future(health.keep())
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            keeping.cancel()
            server.shutdown()
