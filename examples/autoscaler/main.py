"""The command line: read the configuration, wire the host, run until told to stop."""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from autoscaler.autoscaling import Autoscaler
from autoscaler.config import HostSettings, ScaleSetSettings, load
from autoscaler.defaults import DefaultHooks
from autoscaler.launchers import CommandLauncher, Launcher, LaunchError, OnEnd, SimulatedLauncher
from autoscaler.scale_sets import find_or_create
from autoscaler.watching import Health, serve
from scaleset_client import Backoff, Listener, MessageSession, ScaleSetClient, SessionEvent
from scaleset_hookspecs import ConfigError, ScalesetError, ScaleSetRef, UsageError
from scaleset_hookspecs.configuration import variables_of
from scaleset_hookspecs.host import AsyncHost, RecordFile, create_manager
from scaleset_hookspecs.host.fleet import FleetLimits
from scaleset_hookspecs.host.plugins import read_plugins
from scaleset_hookspecs.sources import SourcedConfig

__all__ = ["main"]

logger = logging.getLogger("autoscaler")

PATIENCE = Backoff(attempts=3, first=0.25)
"""A host that starts says soon that the service is dead; one that listens goes on polling anyway."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the host; return 0 after a clean stop, 1 after a failure, 2 for a wrong call or configuration."""
    options = _parser().parse_args(arguments)
    try:
        config, settings = load(options.config)
        _log_as(options.log_format or settings.autoscaler.log_format, verbose=options.verbose)
        _check(options, settings)
        record = RecordFile(options.report, plugins=read_plugins(config).enabled)
        record.check()
        return asyncio.run(_run(config, settings, options, record))
    except (ConfigError, UsageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (ScalesetError, LaunchError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _log_as(form: Literal["text", "json"], *, verbose: bool) -> None:
    """Log to standard error, as text or as one JSON object a line.

    Raises:
        UsageError: The library that writes JSON is not installed.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    if form == "json":
        try:
            from pythonjsonlogger.json import JsonFormatter  # noqa: PLC0415  # only those who ask for it need it
        except ImportError:
            raise UsageError("the log format `json` needs python-json-logger: pip install python-json-logger") from None
        handler.setFormatter(JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler])
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log every request


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="autoscaler", description="A small autoscaler of GitHub Actions runners.")
    parser.add_argument("config", type=Path, help="the configuration, YAML")
    parser.add_argument("--once", type=_count, metavar="N", help="provision N runners and exit, without listening")
    parser.add_argument("--report", type=Path, metavar="FILE", help="append what became of each burst to FILE")
    parser.add_argument(
        "--metrics-port", type=_count, metavar="PORT", help="serve /metrics, /healthz and /readyz there"
    )
    parser.add_argument("--metrics-address", default="127.0.0.1", metavar="HOST", help="the address of that port")
    parser.add_argument("--log-format", choices=("text", "json"), help="how log lines are written")
    parser.add_argument("--verbose", action="store_true", help="log more")
    return parser


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is none; expected a whole number from 1")
    return int(text)


def _check(options: argparse.Namespace, settings: HostSettings) -> None:
    if options.once is not None:
        if len(settings.scale_sets) != 1:
            raise UsageError(f"--once is for one scale set; `autoscaler.scale_sets` has {len(settings.scale_sets)}")
        if options.once > (most := settings.scale_sets[0].max_runners):
            raise UsageError(f"--once {options.once} is over the maximum, `autoscaler.max_runners: {most}`")


async def _run(config: SourcedConfig, settings: HostSettings, options: argparse.Namespace, record: RecordFile) -> int:
    client = ScaleSetClient(settings.github.config_url, settings.github.credentials(), backoff=PATIENCE)
    health, port = Health(), options.metrics_port or settings.autoscaler.metrics_port
    try:
        manager = create_manager(config, defaults=DefaultHooks(client))
        hooks, forced = AsyncHost(manager, fall_back=settings.autoscaler.fall_back), asyncio.Event()
        host = _Host(hooks, client, settings, health, forced, hidden=variables_of(config))
        work = asyncio.create_task(host.work(record, options.once))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, _stop, work, number, forced)
        with serve(options.metrics_address, port, health):
            return await work
    finally:
        await client.aclose()


def _stop(work: asyncio.Task[int], number: signal.Signals, forced: asyncio.Event) -> None:
    if work.cancelling():
        forced.set()
        return
    logger.info("%s: stopping; runners that have a job finish it", number.name)
    work.cancel()


class _Host:
    """One process: an autoscaler and a session for each scale set, and one set of hooks for all."""

    def __init__(
        self,
        hooks: AsyncHost,
        client: ScaleSetClient,
        settings: HostSettings,
        health: Health,
        forced: asyncio.Event,
        *,
        hidden: frozenset[str],
    ) -> None:
        self._hooks = hooks
        self._client = client
        self._settings = settings
        self._health = health
        self._forced = forced
        self._hidden = hidden

    async def work(self, record: RecordFile, once: int | None) -> int:
        """Run until cancelled, or until a single burst is over; then let every scale set drain, then the plugins."""
        try:
            sets = {await self._begin(own, record): own for own in self._settings.scale_sets}
            await self._hooks.started()
            for autoscaler in sets:
                await autoscaler.check_scale_set()
            if once is not None:
                return 1 if await self._health.autoscalers[0].once(once) else 0
            for autoscaler in sets:
                await autoscaler.adopt()
            await _all(self._listen(autoscaler, own) for autoscaler, own in sets.items())
        except asyncio.CancelledError:
            return 0
        finally:
            await _undisturbed(self._end(keep=once is not None))
        return 0

    async def _begin(self, own: ScaleSetSettings, record: RecordFile) -> Autoscaler:
        scale_set = await find_or_create(self._client, own)
        settings = self._settings.autoscaler
        limits = FleetLimits(
            min_idle=own.min_idle,
            max_runners=own.max_runners,
            start_timeout=settings.start_timeout,
            scale_down_delay=settings.scale_down_delay,
        )
        launcher = partial(self._launcher, own, scale_set)
        autoscaler = Autoscaler(self._hooks, self._client, launcher, scale_set, limits, record=record)
        self._health.autoscalers.append(autoscaler)
        return autoscaler

    def _launcher(self, own: ScaleSetSettings, scale_set: ScaleSetRef, on_end: OnEnd) -> Launcher:
        config_url = self._settings.github.config_url
        if own.launcher == "simulated":
            return SimulatedLauncher(config_url, scale_set.id or 0, on_end)
        if own.launcher == "command":
            return CommandLauncher(own.command, on_end, hidden=self._hidden)
        from autoscaler.docker import DockerLauncher  # noqa: PLC0415  # only those who use it need the extra

        of = f"{config_url}/{own.runner_group}/{own.name}"
        return DockerLauncher(own.image, on_end, scale_set=of, command=own.command, container=own.container)

    async def _listen(self, autoscaler: Autoscaler, own: ScaleSetSettings) -> None:
        async def open_session() -> MessageSession:
            if own.name in self._health.listeners:  # not the first one: the scale set may have been made anew since
                autoscaler.moved(await find_or_create(self._client, own))
            scale_set = autoscaler.scale_set
            owner = f"{socket.gethostname()}-{os.getpid()}"
            return await self._client.open_session(scale_set.id or 0, owner, on_event=partial(_log_event, scale_set))

        async with Listener(open_session, lambda: own.max_runners) as listener:
            self._health.listeners[own.name] = listener
            logger.info("%s: listening", own.name)
            async for message in listener:
                autoscaler.on_message(message.events, message.statistics)

    async def _end(self, *, keep: bool) -> None:
        timeout = self._settings.autoscaler.drain_timeout or None
        await asyncio.gather(*(each.stop(self._forced, timeout, keep=keep) for each in self._health.autoscalers))
        await self._hooks.stopping()


async def _all(works: Iterable[Coroutine[None, None, None]]) -> None:
    """Do all of it at once; the first error ends the rest, and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def _undisturbed(stopping: Coroutine[None, None, None]) -> None:
    """Stop to the end, even if told to stop meanwhile: whatever is not removed by then stays registered."""
    task = asyncio.create_task(stopping)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task


def _log_event(scale_set: ScaleSetRef, event: SessionEvent) -> None:
    """Say what the session overcomes by itself: it may take minutes."""
    if event.error is None:
        return
    wait = "" if event.wait is None else f", trying again in {event.wait:.1f} s"
    logger.warning("%s: session: %s%s: %s", scale_set.name, event.kind, wait, event.error)
