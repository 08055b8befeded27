"""Responses as values, and the hints in their headers (protocol 5.2 and 10.1)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

__all__ = ["MAX_BODY", "Response", "retry_after"]

MAX_BODY = 16 * 2**20
"""Bytes of a body at most; the largest honest answer, a list of 10,000 runners, has a fifth of that."""

LONGEST_WAIT = 86_400.0
"""Seconds; what asks for more is asking for "not today", and no sum of waits may overflow."""


@dataclass(frozen=True, slots=True)
class Response:
    """What came back; header names are looked up in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return how many seconds the service asks us to wait, in GitHub's documented order (protocol 10.1).

    `Retry-After` in seconds or as a date comes first, then `x-ratelimit-reset` if nothing remains. What cannot be
    read counts as not said; what lies in the past as no wait; what is absurd is cut to a day.

    Args:
        headers: Headers of the answer.
        now: Unix time.
    """
    asked = headers.get("retry-after")
    seconds = None if asked is None else _parse(asked.strip(), now)
    if seconds is None and headers.get("x-ratelimit-remaining", "").strip() == "0":
        reset = _number(headers.get("x-ratelimit-reset", "").strip())
        seconds = None if reset is None else reset - now
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_WAIT)


def _parse(text: str, now: float) -> float | None:
    number = _number(text)
    if number is not None:
        return number
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return None if math.isnan(number) else min(number, 1e12)
