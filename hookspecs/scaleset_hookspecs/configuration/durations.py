"""Durations as people write them: `5m`, `250ms`, `1h30m`, or a number of seconds."""

import math
import re
from typing import Final

__all__ = ["DURATION_PATTERN", "format_duration", "parse_duration"]

_UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))
_NUMBER: Final = r"[0-9]+(?:\.[0-9]+)?"

DURATION_PATTERN: Final = "^(?=.)" + "".join(f"(?:{_NUMBER}{unit})?" for unit, _ in _UNITS) + "$"
"""The text form, largest unit first, each unit at most once."""

_LONGEST: Final = 36_500 * 86_400
"""Seconds of a duration at most: any more is a slip of the keyboard, and no clock adds it up."""

_EXPECTED: Final = "a duration such as `5m`, `250ms` or `1h30m`, or a number of seconds"

_PART: Final = re.compile(rf"({_NUMBER})([a-zµ]+)", re.IGNORECASE)


def parse_duration(value: object) -> float:
    """Return the seconds of `value`: a number of seconds, or a text such as `1h30m`.

    Raises:
        ValueError: It is not a duration; the message says what would be one.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(_EXPECTED)  # noqa: TRY004 - one error for all
    if isinstance(value, str):
        return _that_ends(_parse_text(value.strip()))
    if value < 0:
        raise ValueError("a duration that is not negative")
    return _that_ends(value)


def _that_ends(seconds: float) -> float:
    if not seconds <= _LONGEST:  # so written it refuses NaN, too
        raise ValueError(f"a duration that ends, after {_LONGEST // 86_400}d at most")
    return float(seconds)


def _parse_text(text: str) -> float:
    if re.fullmatch(DURATION_PATTERN, text):
        millis = dict(_UNITS)
        return sum(float(number) * millis[unit] for number, unit in _PART.findall(text)) / 1000
    if text.startswith("-"):
        raise ValueError("a duration that is not negative")
    if re.fullmatch(_NUMBER, text):
        raise ValueError(f"a unit after the number, such as `{text}s`, or the number without quotes")
    known = [unit for unit, _ in _UNITS]
    unknown = [unit for _, unit in _PART.findall(text) if unit not in known]
    if unknown and not _PART.sub("", text):
        raise ValueError(f"a duration in the units d, h, m, s and ms; `{unknown[0]}` is none of them")
    raise ValueError(_EXPECTED)


def format_duration(seconds: float) -> str:
    """Return `seconds` the way the file says it: `5m`, `250ms`, `1h30m`."""
    left = round(seconds * 1000)
    if left == 0 or not math.isclose(left, seconds * 1000, rel_tol=1e-9):
        return f"{seconds:.9g}s"
    parts = []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)
