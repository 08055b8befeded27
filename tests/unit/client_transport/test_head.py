"""What requests share is made once, and is the same on the wire as if it were made each time."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleset_client.transport import Head, NotSent
from scaleset_client.transport.exchange import REMEMBERED
from scaleset_client.transport.routes import Proxy, Route

URL = httpx.URL("https://service.example/a?b=c")
HERE = Route(host="service.example", port=443, tls=True)


@given(bodies=st.lists(st.binary(max_size=40), min_size=1, max_size=200))
def test_a_shared_head_reads_like_one_made_for_each_request(bodies: list[bytes]) -> None:
    """Whatever the lengths, and however often they come back."""
    head = Head("POST", URL, [(b"Authorization", b"Bearer x")])
    for body in bodies:
        sent = head.encoded(HERE, len(body)) + body
        lines, _, rest = sent.partition(b"\r\n\r\n")
        assert lines.split(b"\r\n") == [
            b"POST /a?b=c HTTP/1.1",
            b"Host: service.example",
            b"Authorization: Bearer x",
            b"Content-Length: %d" % len(body),
        ]
        assert rest == body


def test_a_head_is_encoded_once_for_a_length() -> None:
    """So that a burst, whose names have one length, encodes it once."""
    head = Head("POST", URL, [])
    assert head.encoded(HERE, 30) is head.encoded(HERE, 30)
    assert head.encoded(HERE, 30) is not head.encoded(HERE, 31)


def test_what_is_kept_ready_is_bounded() -> None:
    """A caller whose bodies all differ in length fills no memory."""
    head = Head("POST", URL, [])
    for length in range(1, 5 * REMEMBERED):
        head.encoded(HERE, length)
        assert len(head._encoded) <= REMEMBERED


def test_another_route_gets_its_own_encoding() -> None:
    """The credentials of a proxy must not go to an origin, nor the path of one to the other."""
    proxy = Proxy(host="p.example", port=3128, tls=False, authorization=b"Basic dTpw")
    plain, proxied = (
        Route(host="s.example", port=80, tls=False),
        Route(host="s.example", port=80, tls=False, proxy=proxy),
    )
    head = Head("GET", httpx.URL("http://s.example/a"), [])
    for _ in range(2):
        assert head.encoded(proxied, 0) == (
            b"GET http://s.example:80/a HTTP/1.1\r\nHost: s.example\r\nProxy-Authorization: Basic dTpw\r\n\r\n"
        )
        assert head.encoded(plain, 0) == b"GET /a HTTP/1.1\r\nHost: s.example\r\n\r\n"


@pytest.mark.parametrize("method", ["POST", "PATCH", "GET", "DELETE"])
def test_a_request_without_a_body_says_so_where_one_is_expected(method: str) -> None:
    assert (b"Content-Length: 0" in Head(method, URL, []).encoded(HERE, 0)) is (method in {"POST", "PATCH"})


@pytest.mark.parametrize(
    ("name", "value"), [(b"A", b"b\r\nEvil: 1"), (b"A", b"b\nEvil: 1"), (b"A\r\nEvil", b"1"), (b"A", b"b\r")]
)
def test_a_line_break_never_leaves(name: bytes, value: bytes) -> None:
    """Neither in a header nor in the method: the rest would be a request of its own."""
    with pytest.raises(NotSent, match="line break"):
        Head("GET", URL, [(name, value)]).encoded(HERE, 0)
    with pytest.raises(NotSent, match="line break"):
        Head("GET / HTTP/1.1\r\nA: b\r\n", URL, []).encoded(HERE, 0)
