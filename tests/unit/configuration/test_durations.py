"""Durations are read the way people write them, and shown back the same way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleset_hookspecs.configuration.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("5m", 300.0),
        ("250ms", 0.25),
        ("1h30m", 5400.0),
        ("2s", 2.0),
        ("1d", 86400.0),
        ("1.5s", 1.5),
        (" 5m ", 300.0),
        (300, 300.0),
        (0.25, 0.25),
        (0, 0.0),
        ("0s", 0.0),
        ("1m500ms", 60.5),
    ],
)
def test_reads_texts_and_numbers_of_seconds(written: object, seconds: float) -> None:
    assert parse_duration(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (True, "duration such as"),
        (None, "duration such as"),
        ([5], "duration such as"),
        ("", "duration such as"),
        ("m", "duration such as"),
        ("30m1h", "duration such as"),
        ("5 m", "duration such as"),
        (-1, "not negative"),
        ("-5m", "not negative"),
        (float("inf"), "ends"),
        (float("nan"), "ends"),
        (10**400, "ends"),
        (1e306, "ends"),
        ("9" * 400 + "d", "ends"),
        ("36500d1ms", "36500d at most"),
        ("300", "a unit after the number"),
        ("5parsecs", "`parsecs` is none of them"),
        ("5M", "`M` is none of them"),
    ],
)
def test_refuses_the_rest_with_a_sentence_that_says_why(written: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_duration(written)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (300.0, "5m"),
        (0.25, "250ms"),
        (5400.0, "1h30m"),
        (0.0, "0s"),
        (3600.0, "1h"),
        (90.5, "1m30s500ms"),
        (0.0001, "0.0001s"),
    ],
)
def test_shows_seconds_as_people_write_them(seconds: float, shown: str) -> None:
    assert format_duration(seconds) == shown


@given(st.integers(min_value=0, max_value=10**10))
def test_what_is_shown_reads_back_as_the_same(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)
