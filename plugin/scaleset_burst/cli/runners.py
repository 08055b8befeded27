"""`scaleset-burst runners`: what is registered, and `prune`, which removes ghosts."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scaleset_burst.cli.hosting import carry_out, read_enabled
from scaleset_burst.cli.output import Bar, print_line
from scaleset_burst.cli.probing import WatchfulTransport
from scaleset_burst.cli.pruning import Ghosts, state_of
from scaleset_burst.limits.budget import DEFAULT_PAUSE
from scaleset_burst.settings import Settings
from scaleset_burst.wiring import build_client, connection_options
from scaleset_client import Runner, ScaleSetClient
from scaleset_client.clock import Clock, SystemClock
from scaleset_client.failures import is_gone, is_job_still_running
from scaleset_hookspecs import AuthenticationFailed, PermissionDenied, RateLimited, Rejected, UsageError
from scaleset_hookspecs.configuration import format_duration

__all__ = ["list_runners", "prune"]

AT_ONCE: Final = 32
"""Runners looked at and removed at the same time; with a host's mints they stay below the 100 requests at once that
GitHub documents (protocol 10.1)."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the service showed.

    Attributes:
        scale_sets: Names by id.
        now: The service's time when it listed the runners.
    """

    client: ScaleSetClient
    settings: Settings
    clock: Clock
    runners: Sequence[Runner]
    scale_sets: Mapping[int, str]
    now: float

    def scale_set_of(self, runner: Runner) -> str | None:
        """Return the name of a runner's scale set, if it has one that exists."""
        return None if runner.scale_set_id is None else self.scale_sets.get(runner.scale_set_id)


def list_runners(path: Path, only: str | None, *, as_json: bool) -> int:
    """Show what is registered; return the exit code."""
    return carry_out(_list(path, only, as_json=as_json))


def prune(path: Path, only: str | None, *, prefix: str | None, older_than: float, yes: bool) -> int:
    """Remove ghosts, or only say what would be removed; return the exit code."""
    return carry_out(_prune(path, only, prefix, older_than, yes=yes))


async def _list(path: Path, only: str | None, *, as_json: bool) -> int:
    async with _looked(path) as seen:
        shown = [one for one in seen.runners if only is None or (seen.scale_set_of(one) or "").lower() == only.lower()]
    if as_json:
        sys.stdout.write(json.dumps([_plain(seen, one) for one in shown], indent=2) + "\n")
        return 0
    _print(seen, shown)
    print_line(f"{len(shown)} runners" + (f": {_counted(Counter(map(state_of, shown)))}" if shown else ""))
    return 0


async def _prune(path: Path, only: str | None, prefix: str | None, older_than: float, *, yes: bool) -> int:
    async with _looked(path) as seen:
        wanted = Ghosts(
            settings=seen.settings, scale_sets=seen.scale_sets, only=only, prefix=prefix, older_than=older_than
        )
        reasons = [(runner, wanted.why_it_stays(runner, seen.now)) for runner in seen.runners]
        ghosts = [runner for runner, reason in reasons if reason is None]
        stayed = Counter(reason for _, reason in reasons if reason is not None)
        if not yes:
            _print(seen, ghosts)
            print_line(f"{len(ghosts)} of {len(reasons)} runners would be removed; --yes removes them")
            print_line(f"stay: {_counted(stayed) or 'none'}")
            return 0
        bar = Bar("prune", len(ghosts))
        pruning = _Pruning(seen, wanted, stayed, bar)
        try:
            with bar:
                await pruning.remove(ghosts)
        finally:
            print_line(f"{pruning.removed} of {len(reasons)} runners were removed")
            if open_ := len(reasons) - pruning.removed - stayed.total():
                stayed["are ghosts still; the same command goes on with them"] = open_
            print_line(f"stay: {_counted(stayed) or 'none'}")
    return 0


class _Pruning:
    """One run, which may be ended at any moment and begun again.

    Attributes:
        stayed: Why runners stay, and how many.
        removed: Registrations removed.
    """

    def __init__(self, seen: _Seen, wanted: Ghosts, stayed: Counter[str], bar: Bar) -> None:
        self._seen = seen
        self._wanted = wanted
        self._bar = bar
        self.stayed = stayed
        self.removed = 0

    async def remove(self, ghosts: Sequence[Runner]) -> None:
        """Look at each once more, and remove it if it still is one.

        Raises:
            ServiceError: Nothing can be removed now.
        """
        waiting = iter(ghosts)

        async def work() -> None:
            for ghost in waiting:
                if (reason := await self._remove(ghost)) is None:
                    self.removed += 1
                else:
                    self.stayed[reason] += 1
                self._bar.advance()

        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(min(AT_ONCE, self._seen.settings.connections.max)):
                    workers.create_task(work())
        except ExceptionGroup as errors:  # `except*` wraps what it raises before Python 3.11.4
            raise errors.exceptions[0] from None

    async def _remove(self, ghost: Runner) -> str | None:
        """Remove a runner, however long the service makes it wait; return why it stays, if it does."""
        while True:
            try:
                return await self._once(ghost)
            except RateLimited as error:
                wait = error.retry_after or DEFAULT_PAUSE
                self._bar.tell(f"the service asks to wait {format_duration(round(wait))}")
                await self._seen.clock.sleep(wait)
            except (AuthenticationFailed, PermissionDenied):
                raise
            except Rejected as error:
                if is_job_still_running(error):
                    return "have a job"
                return "were gone already" if is_gone(error) else "are not removed by the service"

    async def _once(self, ghost: Runner) -> str | None:
        runner = await self._seen.client.get_runner(ghost.id)
        if (reason := self._wanted.why_it_stays(runner, self._seen.now)) is not None:
            return reason
        return None if await self._seen.client.remove_runner(ghost.id) else "were gone already"


@asynccontextmanager
async def _looked(path: Path) -> AsyncIterator[_Seen]:
    """Look at the scope, by the service's clock; the plugin is not started, so nothing is changed by that."""
    _, settings = read_enabled(path)
    clock = SystemClock()
    try:
        transport = WatchfulTransport(connection_options(settings), clock)
    except (ValueError, OSError) as error:
        raise UsageError(f"the connection options cannot be used: {error}") from error
    client = build_client(settings, clock=clock, random=random.Random(), transport=transport)  # noqa: S311 - jitter
    async with client:
        scale_sets = {one.id: one.name for one in await client.list_scale_sets()}
        runners = await client.list_runners()
        now = clock.time() - (transport.skew or 0.0)
        yield _Seen(client, settings, clock, runners, scale_sets, now)


def _print(seen: _Seen, runners: Sequence[Runner]) -> None:
    rows: list[tuple[str, ...]] = [("id", "name", "scale set", "state", "age")]
    rows += [tuple(str(value) for value in _row(seen, one)) for one in runners]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows if runners else ():
        print_line("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _row(seen: _Seen, runner: Runner) -> tuple[object, ...]:
    age = "" if runner.created_at is None else format_duration(max(0, round(seen.now - runner.created_at)))
    return runner.id, runner.name, seen.scale_set_of(runner) or "", state_of(runner), age


def _plain(seen: _Seen, runner: Runner) -> dict[str, Any]:
    age = None if runner.created_at is None else round(max(0.0, seen.now - runner.created_at), 1)
    about = {"id": runner.id, "name": runner.name, "scale_set": seen.scale_set_of(runner)}
    return {**about, "state": state_of(runner), "age_seconds": age}


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.most_common())
