"""The command line: read the configuration, wire the host, run until told to stop."""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path

from autoscaler.autoscaling import Autoscaler
from autoscaler.config import HostSettings, ScaleSetSettings, load
from autoscaler.defaults import DefaultHooks
from autoscaler.launchers import CommandLauncher, Launcher, LaunchError, OnEnd, SimulatedLauncher
from autoscaler.report import Report
from autoscaler.scale_sets import find_or_create
from scaleset_client import Backoff, Listener, MessageSession, ScaleSetClient, SessionEvent
from scaleset_hookspecs import ConfigError, RunnerRef, ScalesetError, UsageError
from scaleset_hookspecs.configuration import variables_of
from scaleset_hookspecs.host import AsyncHost, create_manager
from scaleset_hookspecs.sources import SourcedConfig

__all__ = ["main"]

PATIENCE = Backoff(attempts=3, first=0.25)
"""A host that starts says soon that the service is dead; one that listens goes on polling anyway."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the host; return 0 after a clean stop, 1 after a failure, 2 for a wrong call or configuration."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.INFO,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log every request
    try:
        config, settings = load(options.config)
        _check(options, settings)
        return asyncio.run(_run(config, settings, options))
    except (ConfigError, UsageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (ScalesetError, LaunchError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="autoscaler", description="A small autoscaler of GitHub Actions runners.")
    parser.add_argument("config", type=Path, help="the configuration, YAML")
    parser.add_argument("--once", type=_count, metavar="N", help="provision N runners and exit, without listening")
    parser.add_argument("--report", type=Path, metavar="FILE", help="append a JSON line on each burst to FILE")
    parser.add_argument("--verbose", action="store_true", help="log more")
    return parser


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of runners; expected a whole number from 1")
    return int(text)


def _check(options: argparse.Namespace, settings: HostSettings) -> None:
    most = _only(settings).max_runners
    if options.once is not None and options.once > most:
        raise UsageError(f"--once {options.once} is over the maximum, `autoscaler.max_runners: {most}`")
    if options.report is not None:
        try:
            options.report.open("a").close()  # now, not when the runners are there
        except OSError as error:
            raise UsageError(f"--report {options.report} cannot be written: {error.strerror}") from error


def _only(settings: HostSettings) -> ScaleSetSettings:
    if len(settings.scale_sets) != 1:
        raise UsageError(f"`autoscaler.scale_sets` has {len(settings.scale_sets)} entries; expected one")
    return settings.scale_sets[0]


async def _run(config: SourcedConfig, settings: HostSettings, options: argparse.Namespace) -> int:
    client = ScaleSetClient(settings.github.config_url, settings.github.credentials(), backoff=PATIENCE)
    try:
        manager = create_manager(config, defaults=DefaultHooks(client))
        hooks, forced = AsyncHost(manager, fall_back=settings.autoscaler.fall_back), asyncio.Event()
        work = asyncio.create_task(_work(hooks, client, settings, options, forced, variables_of(config)))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, _stop, work, number, forced)
        return await work
    finally:
        await client.aclose()


def _stop(work: asyncio.Task[int], number: signal.Signals, forced: asyncio.Event) -> None:
    if work.cancelling():
        forced.set()
        return
    logging.getLogger("autoscaler").info("%s: stopping; runners that have a job finish it", number.name)
    work.cancel()


async def _work(
    hooks: AsyncHost,
    client: ScaleSetClient,
    settings: HostSettings,
    options: argparse.Namespace,
    forced: asyncio.Event,
    hidden: frozenset[str],
) -> int:
    own = _only(settings)
    autoscaler: Autoscaler | None = None

    def ended(runner: RunnerRef, status: int) -> None:
        if autoscaler is not None:
            autoscaler.on_runner_ended(runner, status)

    try:
        scale_set = await find_or_create(client, own)
        launcher = _launcher(own, settings.github.config_url, ended, hidden)
        autoscaler = Autoscaler(
            hooks,
            client,
            launcher,
            scale_set,
            min_idle=own.min_idle,
            max_runners=own.max_runners,
            report=Report(options.report),
        )
        autoscaler.take_over(await launcher.living())
        await hooks.started()
        await autoscaler.look()
        if options.once is not None:
            return 1 if await autoscaler.once(options.once) else 0
        await _listen(autoscaler, client, scale_set.id or 0, own.max_runners)
    except asyncio.CancelledError:
        return 0
    finally:
        if autoscaler is not None:
            await _undisturbed(autoscaler.stop(forced, settings.autoscaler.drain_timeout or None))
    return 0


def _launcher(own: ScaleSetSettings, config_url: str, ended: OnEnd, hidden: frozenset[str]) -> Launcher:
    if own.launcher == "simulated":
        return SimulatedLauncher(config_url)
    if own.launcher == "command":
        return CommandLauncher(own.command, ended, hidden=hidden)
    from autoscaler.docker import DockerLauncher  # noqa: PLC0415  # only those who use it need the extra

    of = f"{config_url}/{own.runner_group}/{own.name}"
    return DockerLauncher(own.image, ended, scale_set=of, command=own.command, container=own.container)


async def _undisturbed(stopping: Coroutine[None, None, None]) -> None:
    """Stop to the end, even if told to stop meanwhile: whatever is not removed by then stays registered."""
    task = asyncio.create_task(stopping)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task


async def _listen(autoscaler: Autoscaler, client: ScaleSetClient, scale_set_id: int, capacity: int) -> None:
    async def open_session() -> MessageSession:
        owner = f"{socket.gethostname()}-{os.getpid()}"
        return await client.open_session(scale_set_id, owner, on_event=_log_event)

    async with Listener(open_session, lambda: capacity) as listener:
        logging.getLogger("autoscaler").info("listening")
        async for message in listener:
            for event in message.events:
                autoscaler.on_event(event)
            autoscaler.on_statistics(message.statistics)


def _log_event(event: SessionEvent) -> None:
    """Say what the session overcomes by itself: it may take minutes."""
    if event.error is None:
        return
    wait = "" if event.wait is None else f", trying again in {event.wait:.1f} s"
    logging.getLogger("autoscaler").warning("session: %s%s: %s", event.kind, wait, event.error)
