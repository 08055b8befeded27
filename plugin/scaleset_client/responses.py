"""Responses as values, and the hints in their headers (protocol 5.2 and 10.1)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime

__all__ = ["MAX_BODY", "Response", "retry_after"]

MAX_BODY = 16 * 2**20
"""Bytes of a body at most; the largest honest answer, a list of 10,000 runners, has a fifth of that."""

LONGEST_WAIT = 86_400.0
"""Seconds; what asks for more is asking for "not today", and no sum of waits may overflow."""

NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
DATE = re.compile(r"[0-9]{1,2}[ -][A-Za-z]{3}[ -][0-9]{2,4} [0-9]{2}:[0-9]{2}:[0-9]{2}(?: ?[+-][0-9]{4}| ?[A-Z]{1,4})?")


def _keep() -> None:
    """Do nothing about a connection that nobody can reach."""


@dataclass(frozen=True, slots=True)
class Response:
    """What came back; header names are looked up in lower case.

    Attributes:
        headers: They and the body may hold a JIT config or a token, so they stay out of the repr.
        abandon: Closes the connection that it came on: called when it cannot be the answer to what was asked, since
            whatever follows on that connection may be one off as well.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    abandon: Callable[[], None] = field(default=_keep, repr=False, compare=False)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return how many seconds the service asks us to wait, in GitHub's documented order (protocol 10.1).

    `Retry-After` in seconds or as a date comes first, then `x-ratelimit-reset` if nothing remains. Points in time are
    compared with the answer's own `Date`: this machine's clock may be wrong, and the difference of two times of one
    clock is not. What cannot be read counts as not said; what lies in the past as no wait; what is absurd is cut to a
    day. Of several values the longest counts.

    Args:
        headers: Headers of the answer.
        now: Unix time, for an answer without a date.
    """
    dates = _dates(headers.get("date", ""))
    now = dates[0] if dates else now
    asked = headers.get("retry-after", "")
    waits = [*_numbers(asked), *(date - now for date in _dates(asked))]
    if not waits and "0" in headers.get("x-ratelimit-remaining", "").replace(",", " ").split():
        waits = [reset - now for reset in _numbers(headers.get("x-ratelimit-reset", ""))]
    return min(max(0.0, *waits), LONGEST_WAIT) if waits else None


def _numbers(text: str) -> list[float]:
    """Return the numbers among the values of a header: one that was sent several times arrives joined by commas."""
    return [float(value) for value in text.split(",") if NUMBER.fullmatch(value.strip())]


def _dates(text: str) -> list[float]:
    """Return the dates among the values of a header as Unix times."""
    dates = []
    for value in DATE.findall(text) or [text]:
        try:
            date = parsedate_to_datetime(value)
            dates.append((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp())
        except (TypeError, ValueError, IndexError, OverflowError):
            continue
    return dates
