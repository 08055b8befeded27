"""`scaleset-burst mint`: one burst from a shell, a script, or an autoscaler in another language."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from scaleset_burst.cli.hosting import carry_out, hosted, read_enabled
from scaleset_burst.cli.output import Bar
from scaleset_burst.cli.taking import Commands, Lines, NotTaken, Taker, secret_variables
from scaleset_hookspecs import FailureReason, JitConfig, MintFailure, Outcome, ProvisionSettings, ScaleSetRef
from scaleset_hookspecs.host import AsyncHost, BurstRecord, RecordFile

__all__ = ["mint"]

Names: TypeAlias = tuple[str, ...] | None


def mint(
    config: Path,
    scale_set: ScaleSetRef,
    count: int,
    *,
    names: Names,
    command: str | None,
    at_once: int,
    report: Path | None,
) -> int:
    """Mint `count` configs and have them taken; return the exit code, 0 only if all of them came."""
    file = RecordFile(report, plugins=("burst",))
    return carry_out(_mint(config, scale_set, count, names, command, at_once, file))


async def _mint(
    path: Path, scale_set: ScaleSetRef, count: int, names: Names, command: str | None, at_once: int, file: RecordFile
) -> int:
    config, _ = read_enabled(path)
    file.check()
    # Of a config that nobody took the burst tells itself, with the reason.
    logging.getLogger("scaleset_burst.minting.delivery").setLevel(logging.ERROR)
    taker = Commands(command, at_once, secret_variables(config)) if command else Lines(sys.stdout.fileno())
    with Bar(scale_set.name, count, wanted=command is not None or not sys.stdout.isatty()) as bar:
        burst = _Burst(scale_set, count, names, taker, bar)
        try:
            async with hosted(config) as (host, engine):
                came = await burst.run(host, file.burst(scale_set, count))
        except asyncio.CancelledError:
            bar.say(burst.taken_of)
            raise
    if not came:
        bar.say(burst.taken_of)
    if left := engine.snapshot().unresolved_mints:
        bar.say(f"what became of {left} mints is open; the next run of a host or a command looks for them")
    return 0 if came else 1


class _Burst:
    """One demand: its configs go to the taker, what is to be said to standard error."""

    def __init__(self, scale_set: ScaleSetRef, count: int, names: Names, taker: Taker, bar: Bar) -> None:
        self._scale_set = scale_set
        self._count = count
        self._names = names
        self._taker = taker
        self._bar = bar
        self._asked: asyncio.Future[tuple[Outcome, ...]] | None = None
        self._broken: OSError | None = None
        self.taken = 0

    @property
    def taken_of(self) -> str:
        """How many of them somebody has."""
        return f"{self.taken} of {self._count} were taken; any other that was minted is undone"

    async def run(self, host: AsyncHost, record: BurstRecord) -> bool:
        """Ask for the burst; return whether all of it came."""
        failures: tuple[MintFailure, ...] = ()

        async def on_ready(config: JitConfig) -> None:
            try:
                await self._taker.take(config)
            except NotTaken as error:
                self._bar.say(f"failed: {config.runner_name}: {error}; its registration is undone")
                raise
            except OSError as error:
                self._break(error)
                raise
            self.taken += 1
            record.runner_ready(config)
            self._bar.advance()
            host.after_runner_launched(self._scale_set, config)

        settings = ProvisionSettings(names=self._names, deliveries=self._taker.at_once, on_wait=self._wait)
        self._asked = asyncio.ensure_future(host.provision_runners(self._scale_set, self._count, settings, on_ready))
        try:
            outcomes = await self._asked
            failures = tuple(outcome for outcome in outcomes if isinstance(outcome, MintFailure))
        except asyncio.CancelledError:
            if self._broken is None:
                raise
            gone = isinstance(self._broken, BrokenPipeError)  # the system's word for it is no help
            why = "the reader has gone" if gone else self._broken.strerror or self._broken
            self._bar.say(f"error: the output cannot be written any more: {why}")
            return False
        finally:
            self._taker.close()
            record.end(failures)
        return self._all_came(failures)

    def _break(self, error: OSError) -> None:
        """End the burst: nobody takes its configs any more."""
        if self._asked is not None and self._broken is None:
            self._broken = error
            self._asked.cancel()

    def _wait(self, seconds: float, missing: int) -> None:
        self._bar.tell(f"the limits let the last of {missing} through in about {seconds:.0f} s")

    def _all_came(self, failures: Sequence[MintFailure]) -> bool:
        for failure in failures:
            if failure.reason is not FailureReason.DELIVERY:  # of that it was told when it happened
                self._bar.say(f"failed: {failure.reason}: {failure.message}")
        return not failures
