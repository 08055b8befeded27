"""Reads what `--report` wrote: each line is checked before it is believed, and no more is kept than can be drawn."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import field
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from scaleset_hookspecs import ConfigError, Problem, UsageError
from scaleset_hookspecs.configuration.refusals import describe

__all__ = ["MOST_RUNNERS", "Attempt", "Burst", "Recorded", "Runner", "read"]

MOST_RUNNERS: Final = 10_000
"""Runners of one file that are kept: as many as a runner group may hold."""

LONGEST_LINE: Final = 2**20
"""Bytes of a line; one runner with all its attempts needs some 6,000."""

BEGINNING: Final = b'{"kind": "'

Moment = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Text = Annotated[str, Field(max_length=2000)]

_STRICT: Final = ConfigDict(strict=True)


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Attempt:
    """One request that asked for a runner; see `scaleset_hookspecs.MintAttempt`."""

    started_at: Moment
    seconds: Seconds
    result: Text
    token: Seconds = 0.0
    connect: Seconds = 0.0
    status: Annotated[int, Field(ge=100, le=999)] | None = None
    request_id: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Runner:
    """One of those asked for: it was ready at a time, or failed for a reason."""

    kind: Literal["runner"]
    attempts: Annotated[tuple[Attempt, ...], Field(max_length=100)]
    name: Text | None = None
    minted_at: Moment | None = None
    ready_at: Moment | None = None
    reason: Text | None = None
    message: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Burst:
    """What was asked for, and when; `plugins` may have answered, else the host itself did."""

    kind: Literal["burst"]
    scale_set: Text
    count: Annotated[int, Field(ge=0, le=10**9)]
    asked_at: Moment
    runner_group: Text = "default"
    plugins: Annotated[tuple[Text, ...], Field(max_length=100)] = ()


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Summary:
    """What all bursts add up to: for other readers."""

    kind: Literal["summary"]


@dataclass(slots=True, kw_only=True)
class Recorded:
    """A burst with its runners, and how many of them were one too many to keep."""

    burst: Burst
    runners: list[Runner] = field(default_factory=list)
    left_out: int = 0


_LINE: Final = TypeAdapter[Burst | Runner | Summary](Annotated[Burst | Runner | Summary, Field(discriminator="kind")])


def read(path: Path) -> tuple[tuple[Recorded, ...], int]:
    """Return the last bursts of a file, the newest last, and how many lines were left out since they are cut off.

    Raises:
        ConfigError: A line is none of ours, or lacks something.
        UsageError: The file cannot be read, or holds no burst.
    """
    try:
        with path.open("rb") as file:
            bursts, cut = _bursts(str(path), iter(lambda: file.readline(LONGEST_LINE), b""))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    if not bursts:
        raise UsageError(
            f"{path} holds no burst; a host writes one there when it is over: `scaleset-burst mint … --report {path}`"
        )
    return tuple(bursts), cut


def _bursts(file: str, lines: Iterable[bytes]) -> tuple[deque[Recorded], int]:
    bursts: deque[Recorded] = deque()
    kept = cut = 0
    for number, text in enumerate(lines, 1):
        if _is_cut(text):
            cut += 1
            continue
        line = _checked(file, number, text) if text.strip() else None
        if isinstance(line, Burst):
            bursts.append(Recorded(burst=line))
        elif isinstance(line, Runner):
            if not bursts:
                raise ConfigError([_problem(file, number, "kind", "a runner", "a burst before its runners")])
            if len(bursts[-1].runners) < MOST_RUNNERS:
                bursts[-1].runners.append(line)
                kept += 1
            else:
                bursts[-1].left_out += 1
        while kept > MOST_RUNNERS and len(bursts) > 1:  # the oldest ones go: the last is what is drawn
            kept -= len(bursts.popleft().runners)
    return bursts, cut


def _is_cut(text: bytes) -> bool:
    """Whether a line begins as ours do and has no end: its host was killed, or its disk was full."""
    line = text.strip()
    begun = bool(line) and line.startswith(BEGINNING[: len(line)])
    return begun and not line.endswith(b"}") and len(text) < LONGEST_LINE


def _checked(file: str, number: int, text: bytes) -> Burst | Runner | Summary:
    try:
        return _LINE.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        problem = _problem(file, number, "line", "no JSON", "one JSON object, as `--report` writes them")
    elif first["type"].startswith("union_tag"):
        problem = _problem(file, number, "kind", "none that is known", "`burst`, `runner` or `summary`")
    else:
        path = ".".join(str(key) for key in first["loc"][1:]) or "line"
        missing = first["type"] == "missing"
        found = "nothing" if missing else describe(first["input"])
        expected = "the field, as `--report` writes it" if missing else first["msg"].removeprefix("Input should be ")
        problem = _problem(file, number, path, found, expected)
    raise ConfigError([problem])


def _problem(file: str, number: int, path: str, found: str, expected: str) -> Problem:
    return Problem(file=file, line=number, path=path, found=found, expected=expected)
