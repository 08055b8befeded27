"""Turns settings into the rooms they describe."""

from __future__ import annotations

import logging
import os
import random as random_module
import secrets
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from scaleset_burst.journal import Journal, LazyJournal, open_journal
from scaleset_burst.limits import Admission
from scaleset_burst.limits.budget import Budget
from scaleset_burst.limits.concurrency import Limiter
from scaleset_burst.limits.slices import Slicing
from scaleset_burst.settings import Settings
from scaleset_client import ConnectionOptions, ScaleSetClient, UserAgent
from scaleset_client.clock import Clock
from scaleset_client.transport import Transport
from scaleset_client.transport.trust import trusting
from scaleset_client.version import VERSION
from scaleset_hookspecs import UsageError
from scaleset_hookspecs.configuration import reveal

if TYPE_CHECKING:
    from scaleset_burst.sharing import Sharing
    from scaleset_burst.traces import Traces

__all__ = [
    "build_admission",
    "build_client",
    "build_journal",
    "build_sharing",
    "build_traces",
    "connection_options",
]

logger = logging.getLogger(__name__)


def build_client(
    settings: Settings,
    *,
    clock: Clock,
    random: random_module.Random,
    transport: Transport | httpx.AsyncBaseTransport | None = None,
    traces: Traces | None = None,
) -> ScaleSetClient:
    """Make the client of the configured scope; nothing is sent yet.

    Args:
        settings: Enabled ones.
        clock: Where times and waits come from.
        random: Where jitter comes from.
        transport: For short calls, instead of the client's own.
        traces: What makes a span of each look-up and each request for a token.
    """
    github = settings.github
    assert github is not None  # noqa: S101  # settings that are enabled have a scope
    return ScaleSetClient(
        github.config_url,
        github.credentials(),
        options=connection_options(settings),
        clock=clock,
        chance=random,
        force_ghes="GITHUB_ACTIONS_FORCE_GHES" in os.environ,
        user_agent=UserAgent(system="scaleset-burst", version=VERSION, subsystem="plugin"),
        transport=transport,
        on_request=None if traces is None else traces.on_request,
        unreported=() if traces is None else traces.unreported,
    )


def connection_options(settings: Settings) -> ConnectionOptions:
    """Return the section `connections` the way the client takes it."""
    connections = settings.connections
    return ConnectionOptions(
        max_connections=connections.max,
        connect_timeout=connections.connect_timeout,
        read_timeout=connections.read_timeout,
        poll_timeout=connections.poll_timeout,
        proxy=reveal(connections.proxy),
        ca_file=connections.ca_file,
        client_certificate=connections.client_certificate,
        client_key=connections.client_key,
    )


def build_sharing(settings: Settings, scope: str, *, clock: Clock) -> Sharing | None:
    """Make what is shared with other hosts of the scope, if anything is.

    Raises:
        UsageError: The extra is not installed, or `sharing.ca_file` holds no certificate or is for nothing.
    """
    sharing = settings.sharing
    if sharing is None:
        return None
    try:
        from scaleset_burst.sharing import RedisStore, Sharing  # noqa: PLC0415 - it needs the extra
    except ModuleNotFoundError as error:
        raise UsageError(f"`plugins.burst.sharing` needs {error.name}: pip install 'scaleset-burst[redis]'") from error
    url = reveal(sharing.url) or ""
    if sharing.ca_file and not url.startswith("rediss:"):
        raise UsageError("`plugins.burst.sharing.ca_file` is for a rediss:// URL; this one is redis://, without TLS")
    try:
        trusting(sharing.ca_file)  # while the driver would only fail to connect
    except OSError as error:
        raise UsageError(f"`plugins.burst.sharing` cannot be used: {error}") from error
    return Sharing(
        RedisStore(url, timeout=sharing.timeout, ca_file=sharing.ca_file),
        scope,
        prefix=sharing.prefix,
        lease=sharing.lease,
        hosts=sharing.hosts,
        registrations=settings.budget.registrations,
        window=settings.budget.window,
        journal=_journal_of(settings),
        clock=clock,
    )


def build_traces(settings: Settings, *, clock: Clock) -> Traces | None:
    """Make what makes spans, if they are wanted.

    Raises:
        UsageError: The extra is not installed, or OpenTelemetry's variables cannot be used.
    """
    if not settings.traces:
        return None
    try:
        from scaleset_burst.traces import open_traces  # noqa: PLC0415 - it needs the extra
    except ModuleNotFoundError as error:
        raise UsageError(f"`plugins.burst.traces` needs {error.name}: pip install 'scaleset-burst[otel]'") from error
    return open_traces(clock=clock)


def _journal_of(settings: Settings) -> str:
    """Tell the journal of this process from those of all machines, of which some have the same name or image."""
    if settings.journal.directory == ":memory:":
        return secrets.token_hex()
    machine = Path("/etc/machine-id")
    known = machine.read_text() if machine.is_file() else ""
    place = settings.journal.directory or os.environ.get("XDG_STATE_HOME") or "~"
    return "\n".join((known, socket.gethostname(), os.path.expanduser(place)))  # noqa: PTH111 - which may fail


def build_journal(settings: Settings, scope: str, *, clock: Clock) -> Journal:
    """Make the journal of the scope, opened when it is used: on disk if that can be, else in memory with a warning."""
    directory, environ = settings.journal.directory, dict(os.environ)
    return LazyJournal(
        lambda: open_journal(directory, scope, environ=environ, home=Path.home, warn=logger.warning, now=clock.time)
    )


def build_admission(settings: Settings, *, random: random_module.Random, budget: Budget | None = None) -> Admission:
    """Make the limits that all scale sets of the scope share; the budget may be one that other hosts share."""
    batch = settings.batch
    most = settings.connections.max
    if isinstance(batch.max_concurrency, int):
        most = min(most, batch.max_concurrency)
    return Admission(
        budget=budget or Budget(settings.budget.registrations, settings.budget.window),
        limiter=Limiter(most),
        slicing=Slicing(batch.slice, batch.slice_size),
        random=random,
    )
