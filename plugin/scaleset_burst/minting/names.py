"""Runner names: a stable prefix that people can find, and enough chance that only our own leftovers can match."""

import re
from collections.abc import Callable
from functools import lru_cache

__all__ = ["draw_names"]

RANDOM_BITS = 65
"""13 characters of 5 bits; protocol 8.4 asks for 60 bits at least."""

LONGEST = 64
"""Characters in a runner's name at most (protocol 8.4)."""

MASK = (1 << RANDOM_BITS) - 1
_SUFFIX = 13
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)


def draw_names(prefix: str, count: int, random_bits: Callable[[int], int]) -> list[str]:
    """Return names nobody has drawn before: the prefix in lower case, a hyphen, 65 random bits.

    Uniqueness may ignore case (protocol 8.4), so names are all lower case.
    """
    stem, all_bits, names = _stem(prefix), random_bits(RANDOM_BITS * count), []
    for _ in range(count):
        bits = all_bits & MASK
        all_bits >>= RANDOM_BITS
        suffix = [_PAIRS[bits >> shift & 1023] for shift in (55, 45, 35, 25, 15, 5)]
        names.append(f"{stem}-{''.join(suffix)}{_ALPHABET[bits & 31]}")
    return names


@lru_cache
def _stem(prefix: str) -> str:
    return re.sub(r"[^a-z0-9._-]", "-", prefix.lower())[: LONGEST - _SUFFIX - 1].strip("-") or "runner"
