"""What became of each burst, appended to a file as lines of JSON; `scaleset-burst report` draws them.

A burst is written when it is over, in one piece: a line of the kind `burst`, one of the kind `runner` for each config
that was taken and each failure, and a `summary` that adds up over the bursts of this process. No line holds a secret.
Points in time are Unix time, durations seconds.
"""

import json
import logging
import time as clock
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from os import SEEK_END
from pathlib import Path
from typing import Any, Final

from scaleset_hookspecs.errors import UsageError
from scaleset_hookspecs.types import JitConfig, MintFailure, ScaleSetRef

__all__ = ["BurstRecord", "RecordFile"]

logger = logging.getLogger(__name__)

LONGEST_MESSAGE: Final = 500
"""Characters of a failure's message that are written."""


class RecordFile:
    """Where the bursts of one process are written, and what they add up to.

    Args:
        path: File the lines are appended to; nothing is written if `None`.
        plugins: Names of the plugins that may answer; none means that the host's own hooks do.
        time: Unix time, for the lines.
        monotonic: Seconds that never go back, for the summary.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        plugins: Sequence[str] = (),
        time: Callable[[], float] = clock.time,
        monotonic: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._path = path
        self._plugins = tuple(plugins)
        self._time = time
        self._monotonic = monotonic
        self._began: float | None = None
        self._first: float | None = None
        self._last: float | None = None
        self.ready = 0
        self.failures = 0

    def check(self) -> None:
        """Find out now whether the file can be written, not when the runners are there.

        Raises:
            UsageError: It cannot.
        """
        try:
            if self._path is not None:
                self._path.open("ab").close()
        except OSError as error:
            raise UsageError(f"--report {self._path} cannot be written: {error.strerror}") from error

    def burst(self, scale_set: ScaleSetRef, count: int) -> "BurstRecord":
        """Start the record of a burst: `count` runners are asked for now."""
        self._began = self._monotonic() if self._began is None else self._began
        head = {
            "kind": "burst",
            "scale_set": scale_set.name,
            "runner_group": scale_set.runner_group,
            "count": count,
            "asked_at": self._time(),
            "plugins": self._plugins,
        }
        return BurstRecord(self, head, count)

    def summary(self) -> dict[str, int | float | None]:
        """Return the numbers so far; seconds since the first burst was asked for."""
        return {
            "runners_ready": self.ready,
            "failures": self.failures,
            "seconds": self._since(self._last),
            "first_runner_seconds": self._since(self._first),
        }

    def runner_ready(self) -> float:
        """Count a runner; return the Unix time."""
        self._last = self._monotonic()
        self._first = self._last if self._first is None else self._first
        self.ready += 1
        return self._time()

    def append(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Write the lines and the summary; a disk that is full is no reason to lose the runners."""
        if self._path is None:
            return
        summary = {"kind": "summary", **self.summary()}
        text = "".join(f"{json.dumps(line)}\n" for line in (*lines, summary))
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"\n{text}" if _is_cut(self._path) else text)
        except OSError as error:
            logger.warning("the report of a burst is lost: %s", error)

    def _since(self, moment: float | None) -> float | None:
        return None if moment is None or self._began is None else round(moment - self._began, 4)


class BurstRecord:
    """One burst while it runs. What it holds goes with it: a host may run for weeks."""

    def __init__(self, file: RecordFile, head: Mapping[str, Any], count: int) -> None:
        self._file = file
        self._lines = [head]
        self._count = count
        self.ready = 0

    def runner_ready(self, config: JitConfig) -> None:
        """Note a runner whose config was taken: its launch was accepted."""
        self.ready += 1
        line = {"kind": "runner", "name": config.runner_name, "minted_at": config.minted_at}
        times = {"ready_at": self._file.runner_ready(), "attempts": list(map(asdict, config.attempts))}
        self._lines.append({**line, **times})

    def end(self, failures: Iterable[MintFailure] = ()) -> None:
        """Write the burst down; what it did not bring up has failed, told or not."""
        self._file.failures += self._count - self.ready
        for failure in failures:
            line = {"kind": "runner", "reason": failure.reason, "message": failure.message[:LONGEST_MESSAGE]}
            self._lines.append({**line, "attempts": list(map(asdict, failure.attempts))})
        self._file.append(self._lines)


def _is_cut(path: Path) -> bool:
    """Whether the last line of a file has no end: its host was killed, or the disk was full."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        if size := file.seek(0, SEEK_END):
            file.seek(size - 1)
        return file.read(1) not in {b"", b"\n"}
