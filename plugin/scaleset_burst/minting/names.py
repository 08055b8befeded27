"""Runner names: a stable prefix that people can find, and enough chance that only our own leftovers can match."""

import base64
import re
from collections.abc import Callable

__all__ = ["draw_name"]

RANDOM_BITS = 65
"""13 characters of base32; protocol 8.4 asks for 60 bits at least."""

LONGEST = 64
"""Characters in a runner's name at most (protocol 8.4)."""

_SUFFIX = 13


def draw_name(prefix: str, random_bits: Callable[[int], int]) -> str:
    """Return a name nobody has drawn before: the prefix in lower case, a hyphen, 65 random bits.

    Uniqueness may ignore case (protocol 8.4), so names are all lower case.
    """
    safe = re.sub(r"[^a-z0-9._-]", "-", prefix.lower())[: LONGEST - _SUFFIX - 1].strip("-") or "runner"
    bits = random_bits(RANDOM_BITS) << 7
    return f"{safe}-{base64.b32encode(bits.to_bytes(9, 'big')).decode()[:_SUFFIX].lower()}"
