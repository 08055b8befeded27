"""Names of runners: safe for the service, and never the same twice."""

import random
import re
import secrets

from hypothesis import given
from hypothesis import strategies as st

from scaleset_burst.minting.names import LONGEST, RANDOM_BITS, draw_names


@given(prefix=st.text(max_size=120), seed=st.integers())
def test_any_prefix_gives_a_name_the_service_takes(prefix: str, seed: int) -> None:
    """At most 64 characters, lower case, only what protocol 8.4 allows, with all the random part."""
    [name] = draw_names(prefix, 1, random.Random(seed).getrandbits)
    assert len(name) <= LONGEST
    assert re.fullmatch(r"[a-z0-9._-]+-[a-z2-7]{13}", name)


def test_a_plain_prefix_stays_readable() -> None:
    """People find what is left by the prefix."""
    assert draw_names("Linux-Large", 1, lambda _bits: 0) == ["linux-large-aaaaaaaaaaaaa"]


def test_a_prefix_without_usable_characters_is_replaced() -> None:
    """A name never begins with a hyphen."""
    assert draw_names("---", 1, lambda _bits: 0) == draw_names("", 1, lambda _bits: 0) == ["runner-aaaaaaaaaaaaa"]


@given(one=st.integers(0, 2**RANDOM_BITS - 1), other=st.integers(0, 2**RANDOM_BITS - 1))
def test_every_random_bit_reaches_the_name(one: int, other: int) -> None:
    """Two names of a draw are the same only if all their bits are."""
    first, second = draw_names("a", 2, lambda _bits: one << RANDOM_BITS | other)
    assert (first == second) == (one == other)


def test_the_source_is_asked_for_enough_bits() -> None:
    """Protocol 8.4 asks for 60 bits at least."""
    asked: list[int] = []

    def draw(bits: int) -> int:
        asked.append(bits)
        return secrets.randbits(bits)

    assert len(set(draw_names("a", 3, draw))) == 3
    assert asked == [3 * RANDOM_BITS]
    assert RANDOM_BITS >= 60
