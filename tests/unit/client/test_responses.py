"""How long to wait, by the headers of an answer (protocol 10.1)."""

from collections.abc import Callable
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleset_client.failures import retry_after
from scaleset_client.operations import Operation
from scaleset_client.requests import Request
from scaleset_client.transport import Response

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
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1_000"}, None),
        ({"retry-after": "Sun Nov  6 08:49:37 1994"}, 0),
        ({"retry-after": "3, 11"}, 11),
        ({"retry-after": "3, soon"}, 3),
        ({"retry-after": f"{formatdate(NOW + 7, usegmt=True)}, {formatdate(NOW + 9, usegmt=True)}"}, 9),
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


@pytest.mark.parametrize("fast", [-86_400 * 9, -60, -1, 0, 1, 60, 3600, 86_400 * 9])
@pytest.mark.parametrize("spelling", [lambda at: formatdate(at, usegmt=True), lambda at: formatdate(at)[5:]])
def test_our_clock_does_not_matter_where_the_answer_says_its_own_time(
    fast: float, spelling: Callable[[float], str]
) -> None:
    """A clock that was a minute fast made a wait of 30 s none: 13,473 mints were sent in 5 s."""
    date = {"date": formatdate(NOW, usegmt=True)}
    assert retry_after({**date, "retry-after": spelling(NOW + 30)}, NOW + fast) == 30
    reset = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW) + 45)}
    assert retry_after(date | reset, NOW + fast) == 45


@given(
    st.dictionaries(
        st.sampled_from(["retry-after", "x-ratelimit-remaining", "x-ratelimit-reset", "date"]),
        st.one_of(st.text(max_size=40), st.integers().map(str), st.just("0"), st.floats().map(str)),
    )
)
def test_whatever_stands_there_gives_a_sane_wait(headers: dict[str, str]) -> None:
    """Never an exception, never negative, never more than a day."""
    wait = retry_after(headers, NOW)
    assert wait is None or 0 <= wait <= 86_400


def test_no_repr_shows_a_body_or_a_header() -> None:
    """An answer to a mint is a secret, and so are the headers and the body of a request for a token."""
    body, headers = b"eyJTHE-JIT-CONFIG", [(b"x-token", b"hunter2")]
    shown = [
        repr(Response(200, headers, body)),
        repr(Request(Operation.MINT, "POST", "path", body=body)),
    ]
    assert all("JIT-CONFIG" not in text and "hunter2" not in text for text in shown)


def test_headers_are_found_by_their_names_in_lower_case() -> None:
    """One that came several times holds every value; bytes that are no ASCII break nothing."""
    raw = [(b"Retry-After", b"3"), (b"retry-after", b"11"), (b"ActivityId", b"\xff")]
    assert Response(429, raw, b"").named_headers() == {"retry-after": "3, 11", "activityid": "\xff"}
    assert retry_after(Response(429, raw, b"").named_headers(), NOW) == 11
