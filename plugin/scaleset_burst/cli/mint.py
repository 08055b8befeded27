"""`scaleset-burst mint`: one burst from a shell, a script, or an autoscaler in another language."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from scaleset_burst.cli.hosting import carry_out, hosted, read_enabled
from scaleset_burst.cli.taking import Commands, Lines, NotTaken, Taker, secret_variables
from scaleset_hookspecs import FailureReason, JitConfig, MintFailure, Outcome, ProvisionSettings, ScaleSetRef
from scaleset_hookspecs.host import AsyncHost

__all__ = ["mint"]


def mint(config: Path, scale_set: ScaleSetRef, count: int, *, command: str | None, at_once: int) -> int:
    """Mint `count` configs and have them taken; return the exit code, 0 only if all of them came."""
    return carry_out(_mint(config, scale_set, count, command, at_once))


async def _mint(path: Path, scale_set: ScaleSetRef, count: int, command: str | None, at_once: int) -> int:
    config = read_enabled(path)
    # Of a config that nobody took the burst tells itself, with the reason.
    logging.getLogger("scaleset_burst.minting.delivery").setLevel(logging.ERROR)
    taker = Commands(command, at_once, secret_variables(config)) if command else Lines(sys.stdout.fileno())
    burst = _Burst(scale_set, count, taker, bar=sys.stderr.isatty() and not (command is None and sys.stdout.isatty()))
    with burst.progress:
        try:
            async with hosted(config) as (host, engine):
                came = await burst.run(host)
        except asyncio.CancelledError:
            burst.say(burst.taken_of)
            raise
    if not came:
        burst.say(burst.taken_of)
    if left := engine.snapshot().unresolved_mints:
        burst.say(f"what became of {left} mints is open; the next run of a host or a command looks for them")
    return 0 if came else 1


class _Burst:
    """One demand: its configs go to the taker, what is to be said to standard error."""

    def __init__(self, scale_set: ScaleSetRef, count: int, taker: Taker, *, bar: bool) -> None:
        self._scale_set = scale_set
        self._count = count
        self._taker = taker
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        self.progress = Progress(*columns, console=Console(stderr=True, highlight=False), disable=not bar)
        self._task = self.progress.add_task(scale_set.name, total=count)
        self._asked: asyncio.Future[tuple[Outcome, ...]] | None = None
        self._broken: OSError | None = None
        self.taken = 0

    @property
    def taken_of(self) -> str:
        """How many of them somebody has."""
        return f"{self.taken} of {self._count} were taken; any other that was minted is undone"

    async def run(self, host: AsyncHost) -> bool:
        """Ask for the burst; return whether all of it came."""

        async def on_ready(config: JitConfig) -> None:
            try:
                await self._taker.take(config)
            except NotTaken as error:
                self.say(f"failed: {config.runner_name}: {error}; its registration is undone")
                raise
            except OSError as error:
                self._break(error)
                raise
            self.taken += 1
            self.progress.advance(self._task)
            host.after_runner_launched(self._scale_set, config)

        settings = ProvisionSettings(on_wait=self._wait)
        self._asked = asyncio.ensure_future(host.provision_runners(self._scale_set, self._count, settings, on_ready))
        try:
            outcomes = await self._asked
        except asyncio.CancelledError:
            if self._broken is None:
                raise
            self.say(f"error: the output cannot be written any more: {self._broken.strerror or self._broken}")
            return False
        finally:
            self._taker.close()
        return self._all_came(outcomes)

    def say(self, text: str) -> None:
        """Print a line, above the bar if there is one."""
        self.progress.console.print(Text(text), soft_wrap=True)

    def _break(self, error: OSError) -> None:
        """End the burst: nobody takes its configs any more."""
        if self._asked is not None and self._broken is None:
            self._broken = error
            self._asked.cancel()

    def _wait(self, seconds: float, missing: int) -> None:
        text = f"the limits let the last of {missing} through in about {seconds:.0f} s"
        if self.progress.disable:
            self.say(text)
        self.progress.update(self._task, description=f"{self._scale_set.name}: {text}")

    def _all_came(self, outcomes: Sequence[Outcome]) -> bool:
        failures = [outcome for outcome in outcomes if isinstance(outcome, MintFailure)]
        for failure in failures:
            if failure.reason is not FailureReason.DELIVERY:  # of that it was told when it happened
                self.say(f"failed: {failure.reason}: {failure.message}")
        return not failures
