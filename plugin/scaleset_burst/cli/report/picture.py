"""What is to be seen of a burst: pure functions from its lines to the values that are drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean
from typing import Final

from scaleset_burst.cli.report.reading import Attempt, Recorded, Runner

__all__ = ["PARTS", "Bar", "Kind", "Picture", "last_rise", "parts_of", "picture"]

PARTS: Final = ("queue", "retry", "token", "connect", "server", "delivery", "untold")
"""Where the seconds of a runner can go, in their order. `untold`: whoever answered told of no request."""


class Kind(StrEnum):
    """How a request was answered."""

    MINTED = "minted"
    REFUSED = "refused"
    """By an answer with an error's status."""
    UNANSWERED = "unanswered"
    """By none, or by one of no use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One request in the waterfall; times are seconds since the first burst was asked for.

    Attributes:
        row: Which runner, from 0, in the order of their first requests.
        retry: An earlier request for the same runner had failed.
    """

    row: int
    start: float
    seconds: float
    kind: Kind
    retry: bool
    name: str | None
    attempt: Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One file, as it is drawn; times are seconds since the first burst was asked for.

    Attributes:
        label: What the file is called on the page.
        asked_at: Unix time.
        asked: Runners asked for.
        calls: Bursts that are drawn together, since they overlap.
        earlier: Bursts of the file that are not drawn.
        left_out: Runners of them that are not drawn.
        ready: When each of the runners was ready, sorted.
        parts: Mean seconds of a ready runner by part; empty if none was ready.
        rows: Runners in the waterfall.
        marks: When which row was ready.
        reasons: How many failed for which reason, and an example of what was said.
    """

    label: str
    scale_sets: tuple[str, ...]
    plugins: tuple[str, ...]
    asked_at: float
    asked: int
    calls: int
    earlier: int
    left_out: int
    ready: tuple[float, ...]
    parts: Mapping[str, float]
    rows: int
    bars: tuple[Bar, ...]
    marks: tuple[tuple[float, int], ...]
    reasons: Mapping[str, tuple[int, str]]

    @property
    def failures(self) -> int:
        """Runners that were asked for and did not come, told or not."""
        return max(0, self.asked - len(self.ready) - self.left_out)

    @property
    def retries(self) -> int:
        """Requests beyond the first one of each runner."""
        return sum(bar.retry for bar in self.bars)

    def count(self, kind: Kind) -> int:
        """Return how many requests were answered so."""
        return sum(bar.kind is kind for bar in self.bars)


def last_rise(bursts: Sequence[Recorded]) -> tuple[Recorded, ...]:
    """Return the last burst and those that overlap it: a demand that rises while one is under way makes another."""
    newest = sorted(bursts, key=lambda each: each.burst.asked_at)
    rise = [newest.pop()]
    while newest and _end(newest[-1]) >= rise[-1].burst.asked_at:
        rise.append(newest.pop())
    return tuple(reversed(rise))


def _end(recorded: Recorded) -> float:
    """Return the last moment of a burst of which anything is known."""
    ends = [runner.ready_at or 0.0 for runner in recorded.runners]
    ends += [each.started_at + each.seconds for runner in recorded.runners for each in runner.attempts]
    return max(ends, default=recorded.burst.asked_at)


def picture(label: str, bursts: Sequence[Recorded]) -> Picture:
    """Return what is to be seen of a file's last burst."""
    rise = last_rise(bursts)
    origin = rise[0].burst.asked_at
    runners = [(each.burst.asked_at, runner) for each in rise for runner in each.runners]
    seen = sorted((_first(runner), number) for number, (_, runner) in enumerate(runners) if _is_seen(runner))
    rows = [runners[number][1] for _, number in seen]
    ready = [(asked, runner.ready_at, runner) for asked, runner in runners if runner.ready_at is not None]
    parts = [parts_of(asked, at, runner) for asked, at, runner in ready]
    return Picture(
        label=label,
        scale_sets=tuple(dict.fromkeys(each.burst.scale_set for each in rise)),
        plugins=tuple(dict.fromkeys(name for each in rise for name in each.burst.plugins)),
        asked_at=origin,
        asked=sum(each.burst.count for each in rise),
        calls=len(rise),
        earlier=len(bursts) - len(rise),
        left_out=sum(each.left_out for each in rise),
        ready=tuple(sorted(max(0.0, at - origin) for _, at, _ in ready)),
        parts={part: fmean(each[part] for each in parts) for part in PARTS} if parts else {},
        rows=len(rows),
        bars=tuple(bar for row, runner in enumerate(rows) for bar in _bars(row, runner, origin)),
        marks=tuple(
            (max(0.0, runner.ready_at - origin), row) for row, runner in enumerate(rows) if runner.ready_at is not None
        ),
        reasons=_reasons([runner for _, runner in runners]),
    )


def parts_of(asked: float, ready: float, runner: Runner) -> dict[str, float]:
    """Divide the seconds from `asked` to `ready` (Unix time) of a runner; the parts sum to them by construction.

    A wall clock may have been set meanwhile: a moment outside of its turn counts as the nearest one in it.
    """
    ready = max(asked, ready)
    parts = dict.fromkeys(PARTS, 0.0)
    if not runner.attempts:
        answered = min(max(asked, runner.minted_at or ready), ready)
        return {**parts, "untold": answered - asked, "delivery": ready - answered}
    last = runner.attempts[-1]
    first = min(max(asked, _first(runner)), ready)
    sent = min(max(first, last.started_at), ready)
    answered = min(max(sent, last.started_at + last.seconds), ready)
    token = min(last.token, answered - sent)
    connect = min(last.connect, answered - sent - token)
    return {
        **parts,
        "queue": first - asked,
        "retry": sent - first,
        "token": token,
        "connect": connect,
        "server": answered - sent - token - connect,
        "delivery": ready - answered,
    }


def kind_of(attempt: Attempt) -> Kind:
    """Tell how a request was answered; plugins have words of their own for what failed."""
    if attempt.result == "minted":
        return Kind.MINTED
    return Kind.UNANSWERED if attempt.status is None or attempt.status < 400 else Kind.REFUSED


def _is_seen(runner: Runner) -> bool:
    return bool(runner.attempts) or runner.ready_at is not None


def _first(runner: Runner) -> float:
    return min((each.started_at for each in runner.attempts), default=runner.ready_at or 0.0)


def _bars(row: int, runner: Runner, origin: float) -> list[Bar]:
    return [
        Bar(
            row=row,
            start=max(0.0, attempt.started_at - origin),
            seconds=attempt.seconds,
            kind=kind_of(attempt),
            retry=number > 0,
            name=runner.name,
            attempt=attempt,
        )
        for number, attempt in enumerate(sorted(runner.attempts, key=lambda each: each.started_at))
    ]


def _reasons(runners: Sequence[Runner]) -> dict[str, tuple[int, str]]:
    failed = [runner for runner in runners if runner.reason is not None]
    said = {runner.reason: runner.message or "" for runner in reversed(failed)}
    counted = Counter(runner.reason for runner in failed)
    return {str(reason): (count, said[reason]) for reason, count in counted.most_common(20)}
