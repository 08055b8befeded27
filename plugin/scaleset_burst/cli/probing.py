"""What the doctor asks the service: look-ups only, nothing is changed."""

import logging
import random
from contextlib import suppress
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Final

from scaleset_burst.cli.diagnosis import Facts, Shared
from scaleset_burst.settings import Settings
from scaleset_burst.wiring import build_client, build_sharing, connection_options
from scaleset_client import ConnectionOptions, ScaleSet, ScaleSetClient
from scaleset_client.clock import Clock
from scaleset_client.transport import BurstTransport, Head, Response
from scaleset_client.urls import parse_config_url
from scaleset_hookspecs import ScaleSetRef, Unavailable, UsageError

__all__ = ["WatchfulTransport", "probe"]

ROUND_TRIPS: Final = 5


class WatchfulTransport(BurstTransport):
    """Our transport, which also compares clocks by the `Date` of each answer."""

    def __init__(self, options: ConnectionOptions, clock: Clock) -> None:
        super().__init__(options)
        self._clock = clock
        self.skew: float | None = None
        """Seconds our clock is ahead of the server's, by the last answer; the header knows whole seconds only."""

    async def exchange(self, head: Head, body: bytes, seconds: float) -> Response:
        """Send a request; remember what time the server has."""
        response = await super().exchange(head, body, seconds)
        with suppress(KeyError, ValueError):
            theirs = parsedate_to_datetime(response.named_headers()["date"]).timestamp()
            self.skew = self._clock.time() - (theirs + 0.5)
        return response


async def probe(settings: Settings, target: ScaleSetRef | None, clock: Clock) -> Facts:
    """Measure the way to the service.

    Raises:
        ServiceError: It cannot be reached, or refuses the credentials.
        UsageError: A file of the section `connections` holds no usable certificate or key.
    """
    try:
        transport = WatchfulTransport(connection_options(settings), clock)
    except (ValueError, OSError) as error:
        raise UsageError(f"the connection options cannot be used: {error}") from error
    shared = await _shared(settings, clock)
    client = build_client(settings, clock=clock, random=random.Random(), transport=transport)  # noqa: S311 - jitter
    try:
        return replace(await _measure(client, transport, settings, target, clock), shared=shared)
    finally:
        await client.aclose()


async def _shared(settings: Settings, clock: Clock) -> Shared | None:
    assert settings.github is not None  # noqa: S101  # settings that are enabled have a scope
    sharing = build_sharing(settings, parse_config_url(settings.github.config_url).scope, clock=clock)
    if sharing is None:
        return None
    logging.getLogger("scaleset_burst.sharing").addHandler(logging.NullHandler())  # the finding says what is wrong
    started = clock.monotonic()
    try:
        hosts = await sharing.count_hosts()
        seconds = clock.monotonic() - started
        evicts = await sharing.eviction_policy()
    except Unavailable as error:
        return Shared(failure=str(error))
    finally:
        await sharing.stop()
    return Shared(seconds=seconds, hosts=hosts, evicts=evicts)


async def _measure(
    client: ScaleSetClient,
    transport: WatchfulTransport,
    settings: Settings,
    target: ScaleSetRef | None,
    clock: Clock,
) -> Facts:
    started = clock.monotonic()
    await client.connect()
    chain = clock.monotonic() - started
    warmed = await client.warm(settings.connections.warm)
    group = await client.get_runner_group(target.runner_group if target else "default")
    found: ScaleSet | None = None
    before, trips = client.counters.connections_opened, list[float]()
    for _ in range(ROUND_TRIPS):
        started = clock.monotonic()
        found = await _find_target(client, target, group.id)
        trips.append(clock.monotonic() - started)
    opened = client.counters.connections_opened - before
    return Facts(
        scope=client.scope,
        token_chain=chain,
        skew=transport.skew,
        round_trips=tuple(trips),
        warmed=warmed,
        opened_meanwhile=max(0, opened - (1 if warmed == 0 else 0)),
        runners=group.size,
        listed=await _count(client) if group.size is None else None,
        group=group.name,
        scale_set=target.name if target else None,
        scale_set_id=found.id if found else None,
        labels=tuple(label.name for label in found.labels) if found else (),
    )


async def _find_target(client: ScaleSetClient, target: ScaleSetRef | None, group_id: int) -> ScaleSet | None:
    if target is None:
        await client.list_scale_sets(group_id)
        return None
    return await client.get_scale_set_by_name(target.name, group_id)


async def _count(client: ScaleSetClient) -> int | None:
    try:
        return len(await client.list_runners())
    except Unavailable:
        return None
