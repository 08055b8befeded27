"""How long an answer takes: a fixed time, a distribution of times, stalls and drift. Pure, from a seed."""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass

__all__ = ["Latency", "parse_latency", "parse_seconds"]

LONGEST = 3600.0
"""Seconds that any time in a latency may have at most."""

MOST_PARTS = 16

GRAMMAR = (
    "expected a time such as 50ms, uniform:40ms-360ms, lognormal:250ms,0.8 (median, sigma) or "
    "mix:90%*50ms+10%*uniform:400ms-600ms, and after a semicolon stall=2s/30s (2 s in every 30 s) or "
    "drift=5/2m (five times slower and back within 2 m)"
)

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_TIME = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One distribution of a mix.

    Attributes:
        share: How often it is drawn from.
        low: Seconds at least; of a lognormal one the median.
        high: Seconds at most.
        sigma: The spread of a lognormal one; 0 of a uniform one.
    """

    share: float
    low: float
    high: float
    sigma: float = 0.0

    def draw(self, chance: random.Random) -> float:
        """Return one time in seconds."""
        if self.sigma:
            return min(LONGEST, self.low * math.exp(self.sigma * chance.gauss(0.0, 1.0)))
        return self.low if self.low == self.high else chance.uniform(self.low, self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """The times of answers.

    Attributes:
        text: What it was read from.
        parts: What is drawn from; the shares sum to 1.
        stall: Seconds for which nothing is answered, at the end of every `every` seconds; 0: never.
        drift: How many times slower it becomes, and back, within `period` seconds; 1: not.
    """

    text: str
    parts: tuple[_Part, ...]
    stall: float = 0.0
    every: float = math.inf
    drift: float = 1.0
    period: float = math.inf

    @property
    def fixed(self) -> bool:
        """Whether every answer takes the same time."""
        spread = any(part.sigma or part.low != part.high for part in self.parts)
        return len(self.parts) == 1 and not spread and not self.stall and self.drift == 1.0

    def draw(self, chance: random.Random, now: float) -> float:
        """Return how long an answer takes that is begun now.

        Args:
            chance: Where it is drawn from.
            now: Seconds since the service began.
        """
        part = self.parts[0]
        if len(self.parts) > 1:
            part = chance.choices(self.parts, [each.share for each in self.parts])[0]
        seconds = part.draw(chance)
        if self.drift != 1.0:
            seconds *= self.drift ** ((1.0 - math.cos(2.0 * math.pi * now / self.period)) / 2.0)
        return seconds if not self.stall else self._stalled(seconds, now)

    def _stalled(self, seconds: float, now: float) -> float:
        """Return the time with the stalls that begin before it is over, or last while it begins."""
        place = now % self.every
        begins = self.every - self.stall
        if place >= begins:  # nothing goes on before the stall is over
            return self.every - place + self._stalled(seconds, 0.0)
        worked = begins - place
        return seconds if seconds < worked else seconds + self.stall * (1 + (seconds - worked) // begins)


def parse_seconds(text: str) -> float:
    """Return the seconds of a duration such as `50ms`, `2s`, `5m` or a plain number of seconds.

    Raises:
        ValueError: It is none.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text[:100]!r} is no duration; expected 50ms, 2s, 5m or a number of seconds")
    return float(match[1]) * _UNITS[match[2]]


def _time(text: str) -> float:
    seconds = parse_seconds(text)
    if seconds > LONGEST:
        raise ValueError(f"{text!r} is over an hour")
    return seconds


def parse_latency(text: str) -> Latency:
    """Read a latency, such as `uniform:40ms-360ms;stall=2s/30s`.

    Raises:
        ValueError: It is none; says what would be.
    """
    try:
        distribution, *rest = text.strip().split(";")
        parts = _mix(distribution.removeprefix("mix:")) if distribution.startswith("mix:") else (_part(distribution),)
        more: dict[str, float] = {}
        for option in rest:
            name, _, value = option.strip().partition("=")
            more |= _option(name, *value.split("/", 1))
        return Latency(text=text, parts=parts, **more)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{text[:100]!r} is no latency ({error}); {GRAMMAR}") from None


def _mix(text: str) -> tuple[_Part, ...]:
    parts = []
    for each in text.split("+"):
        share, star, distribution = each.partition("%*")
        if not star or not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?", share, re.ASCII):
            raise ValueError(f"{each!r} has no share such as 90%*")
        parts.append(_part(distribution, float(share) / 100.0))
    if len(parts) > MOST_PARTS:
        raise ValueError(f"{len(parts)} parts are more than {MOST_PARTS}")
    if not math.isclose(sum(part.share for part in parts), 1.0, abs_tol=1e-6):
        raise ValueError(f"the shares are {sum(part.share for part in parts):.1%} in all, not 100%")
    return tuple(parts)


def _part(text: str, share: float = 1.0) -> _Part:
    kind, colon, values = text.partition(":")
    if not colon:
        seconds = _time(text)
        return _Part(share=share, low=seconds, high=seconds)
    if kind == "uniform":
        low, high = (_time(value) for value in values.split("-", 1))
        if low > high:
            raise ValueError(f"{low:g} s is over {high:g} s")
        return _Part(share=share, low=low, high=high)
    if kind == "lognormal":
        middle, spread = values.split(",", 1)
        if not re.fullmatch(r"[0-9](\.[0-9]{1,6})?", spread.strip(), re.ASCII) or float(spread) > 3:
            raise ValueError(f"sigma is {spread!r}, not a number from 0 to 3")
        median = _time(middle)
        return _Part(share=share, low=median, high=median, sigma=float(spread))
    raise ValueError(f"{kind!r} is no distribution")


def _option(name: str, value: str, period: str) -> dict[str, float]:
    every = _time(period)
    if name == "stall":
        seconds = _time(value)
        if seconds >= every:
            raise ValueError(f"a stall of {seconds:g} s in every {every:g} s never ends")
        return {"stall": seconds, "every": every}
    if name == "drift":
        factor = float(value)
        if not 1.0 <= factor <= 100.0 or not every:
            raise ValueError(f"a drift by {value!r} in {period!r}: not a factor from 1 to 100 in more than 0 s")
        return {"drift": factor, "period": every}
    raise ValueError(f"{name!r} is neither stall nor drift")
