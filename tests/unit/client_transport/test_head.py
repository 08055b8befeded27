"""What requests share is made once, and is the same on the wire as if it were made each time."""

import httpx
from hypothesis import given
from hypothesis import strategies as st

from scaleset_client.transport.connection import Answer
from scaleset_client.transport.head import REMEMBERED, Head
from scaleset_client.transport.routes import Route
from scaleset_client.transport.wire import WholeRequest, encode, respond

URL = httpx.URL("https://service.example/a?b=c")
HERE = Route(host="service.example", port=443, tls=True)


@given(bodies=st.lists(st.binary(max_size=40), min_size=1, max_size=200))
def test_a_shared_head_reads_like_one_made_for_each_request(bodies: list[bytes]) -> None:
    """Whatever the lengths, and however often they come back."""
    head = Head("POST", URL, [(b"Authorization", b"Bearer x")])
    for body in bodies:
        sent = encode(WholeRequest(head, body, {}), body, HERE)
        lines, _, rest = sent.partition(b"\r\n\r\n")
        assert lines.split(b"\r\n") == [
            b"POST /a?b=c HTTP/1.1",
            b"Host: service.example",
            b"Authorization: Bearer x",
            b"Content-Length: %d" % len(body),
        ]
        assert rest == body


def test_headers_are_made_once_for_a_length() -> None:
    """So that a burst, whose names have one length, makes them once."""
    head = Head("POST", URL, [])
    assert head.headers(30) is head.headers(30)
    assert head.headers(30) is not head.headers(31)


def test_what_is_kept_ready_is_bounded() -> None:
    """A caller whose bodies all differ in length fills no memory."""
    head = Head("POST", URL, [])
    first = head.headers(1)
    for length in range(2, REMEMBERED + 2):
        head.headers(length)
    assert head.headers(1) is not first


def test_another_route_gets_its_own_encoding() -> None:
    """The credentials of a proxy must not go to an origin, nor the path of one to the other."""
    request = WholeRequest(Head("GET", URL, []), b"", {})
    other = Route(host="other.example", port=443, tls=True)
    encode(request, b"", HERE)
    headers = request.headers
    assert headers is not None
    encode(request, b"", other)
    assert getattr(headers, "encoded", (None,))[0] is other


def test_a_whole_request_is_one_for_any_transport() -> None:
    """A transport that reads bodies as streams gets the same one."""
    request = WholeRequest(Head("POST", URL, []), b"body", {"timeout": {}})
    assert b"".join(request.stream) == request.content == b"body"
    assert (request.method, request.url, request.headers["content-length"]) == ("POST", URL, "4")


def test_a_response_is_set_up_when_it_is_looked_at() -> None:
    """It has everything that httpx's own has, and keeps what a caller has set before."""
    request = httpx.Request("GET", URL)
    response = respond(Answer(200, [(b"X-Name", b"value")], b"[1]"), request, lambda: None)
    assert response.status_code == 200
    assert response.content == b"[1]"
    response.default_encoding = "latin-1"
    assert response.headers["x-name"] == "value"
    assert response.default_encoding == "latin-1"
    assert response.request is request
    assert response.json() == [1]
    assert not hasattr(response, "no_such_thing")
