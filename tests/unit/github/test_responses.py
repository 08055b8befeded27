"""How long to wait, by the headers of an answer (protocol 10.1)."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleset_burst.github.responses import retry_after

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": " 7 "}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": formatdate(NOW + 90, usegmt=True)}, 90),
        ({"retry-after": formatdate(NOW + 90).replace("-0000", "")}, 90),
        ({"retry-after": formatdate(NOW - 90, usegmt=True)}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "9" * 400}, 86_400),
        ({"retry-after": "inf"}, 86_400),
        ({"retry-after": "-inf"}, 0),
        ({"retry-after": "Fri, 99 Foo 99999 99:99:99 GMT"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW) + 30)}, 30),
        ({"x-ratelimit-remaining": "1", "x-ratelimit-reset": str(int(NOW) + 30)}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, None),
        ({"x-ratelimit-remaining": "0"}, None),
        ({"retry-after": "5", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW) + 30)}, 5),
        ({"retry-after": "soon", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW) + 30)}, 30),
    ],
)
def test_every_form(headers: dict[str, str], wait: float | None) -> None:
    """Seconds, dates, the past, the absurd and the unreadable."""
    assert retry_after(headers, NOW) == (None if wait is None else pytest.approx(wait))


@given(
    st.dictionaries(
        st.sampled_from(["retry-after", "x-ratelimit-remaining", "x-ratelimit-reset"]),
        st.one_of(st.text(max_size=40), st.integers().map(str), st.just("0"), st.floats().map(str)),
    )
)
def test_whatever_stands_there_gives_a_sane_wait(headers: dict[str, str]) -> None:
    """Never an exception, never negative, never more than a day."""
    wait = retry_after(headers, NOW)
    assert wait is None or 0 <= wait <= 86_400
