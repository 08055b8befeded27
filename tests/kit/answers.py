"""Strategies for answers that no service should give: arbitrary ones, and right ones with something wrong."""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

__all__ = ["ADMIN", "CONFIG", "QUEUE", "REGISTRATION", "SAMPLES", "STATUS", "Given", "answers_to", "raw_answers"]

CONFIG = "eyJTM0NSM1QtT0YtVEhFLUNPTkZJRyI6MX0="
QUEUE = "S3CR3T-OF-THE-QUEUE"
REGISTRATION = "S3CR3T-OF-THE-REGISTRATION"
ADMIN = "S3CR3T-OF-THE-ADMIN"

_RUNNER = {"id": 7, "name": "burst-a", "runnerScaleSetId": 42, "os": "linux", "status": 0, "busy": False}
_STATISTICS = {"totalAvailableJobs": 1, "totalAssignedJobs": 2, "totalRegisteredRunners": 3, "totalIdleRunners": 1}
_SCALE_SET = {
    "id": 42,
    "name": "linux",
    "runnerGroupId": 1,
    "runnerGroupName": "Default",
    "labels": [{"id": 1, "name": "linux", "type": "System"}],
    "RunnerSetting": {"disableUpdate": True},
    "createdOn": "2026-01-02T03:04:05.678Z",
    "statistics": _STATISTICS,
}
_EVENT = {
    "messageType": "JobStarted",
    "jobId": "j1",
    "runnerRequestId": 5001,
    "runnerId": 7,
    "runnerName": "burst-a",
    "requestLabels": ["linux"],
    "queueTime": "2026-01-02T03:04:05Z",
    "result": "succeeded",
}
_SESSION = {
    "sessionId": "11111111-2222-3333-4444-555555555555",
    "ownerName": "me",
    "runnerScaleSet": _SCALE_SET,
    "messageQueueUrl": "https://queue.invalid/message?sessionId=1",
    "messageQueueAccessToken": QUEUE,
    "statistics": _STATISTICS,
}
_MINT = {"runner": _RUNNER, "encodedJITConfig": CONFIG}


def _listed(*items: object) -> dict[str, object]:
    return {"count": len(items), "value": list(items)}


SAMPLES: dict[str, Any] = {
    "registration": {"token": REGISTRATION, "expires_at": "2026-01-02T03:04:05Z"},
    "admin": {"url": "https://service.invalid/tenant/?x=1", "token": ADMIN},
    "scale_sets": _listed(_SCALE_SET),
    "scale_set": _SCALE_SET,
    "groups": _listed({"id": 3, "name": "gpu", "size": 1, "isDefaultGroup": False}),
    "runners": _listed(_RUNNER),
    "runner": _RUNNER,
    "mint": _MINT,
    "slice": _listed(_MINT, {"runner": {**_RUNNER, "name": "burst-b"}, "encodedJITConfig": CONFIG}),
    "session": _SESSION,
    "message": {
        "messageId": 2**40,
        "messageType": "RunnerScaleSetJobMessages",
        "body": json.dumps([_EVENT]),
        "statistics": _STATISTICS,
    },
    "acquired": _listed(5001),
    "offers": _listed({**_EVENT, "messageType": "JobAvailable"}),
    "nothing": None,
}
"""A right answer to each kind of request."""

STATUS = {"registration": 201, "nothing": 204}
"""The right status, where it is not 200."""

_SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["", "0", "-1", "1e400", "2026-13-45T99:99:99Z", "0001-01-01T00:00:00Z", "\ud800"]),
    st.sampled_from(
        (
            "https://[::bad",
            "https://xn--a.invalid/",
            "https://a\ud800.invalid/",
            "https://a.invalid:99999/",
            "https://a.invalid/\r\nX: y",
            "http://service.invalid/",
            "ftp://service.invalid/",
            "//service.invalid",
            f"https://{'a' * 300}.invalid/",
        )
    ),
)
_JSON: st.SearchStrategy[Any] = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
_KINDS: dict[type, st.SearchStrategy[Any]] = {
    str: st.sampled_from(("", " ", "null", "[]", "{}", "https://", "/message", "https:///x", "not-what-was-asked")),
    int: st.integers(-(2**70), 2**70).flatmap(lambda number: st.sampled_from((number, str(number), float(number)))),
    bool: st.sampled_from((0, 1, "true", "false", "")),
    list: st.sampled_from((None, {}, "", 0, [[]], [{}], [None], [[], {}])),
    dict: st.sampled_from((None, [], "", 0, [{}], {"id": []}, {"value": {}})),
}


def _nonsense(draw: st.DrawFn, right: object) -> Any:  # noqa: ANN401  # JSON
    """Return what a careless implementation writes there: the right thing in a list, as text, empty, or half of it."""
    wrapped = st.sampled_from(([right], {"value": right}, json.dumps(right), str(right), [right, right]))
    return draw(st.one_of(wrapped, _KINDS.get(type(right), _SCALARS)))


_STATUSES = st.one_of(
    st.sampled_from((200, 200, 200, 200, 201, 202, 204, 301, 307, 400, 401, 403, 404, 409, 422, 429, 500, 502, 503)),
    st.integers(200, 599),
)
_VALUES = st.one_of(
    st.sampled_from(
        ("", "0", "-1", "3", "1e9", "99999999999999999999", "Wed, 21 Oct 2026 07:28:00 GMT", "soon", "NaN", "٣")
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20),
)
_HEADERS = st.dictionaries(
    st.one_of(
        st.sampled_from(
            (
                "Retry-After",
                "ActivityId",
                "X-GitHub-Request-Id",
                "x-ratelimit-reset",
                "x-ratelimit-remaining",
                "Location",
            )
        ),
        st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True),
    ),
    _VALUES,
    max_size=3,
).filter(lambda headers: not {name.lower() for name in headers} & {"content-length", "transfer-encoding", "connection"})
_TYPES = st.sampled_from(
    (
        "application/json", "application/json; charset=utf-8", "text/plain", "text/html",
        "application/json; charset=hex", "text/plain; charset=nonsense", "application/json; charset=utf-16", "; ;=", "",
    )
)  # fmt: skip
_ENCODINGS = st.sampled_from(("gzip", "deflate", "br", "zstd", "identity", "nonsense"))


@dataclass(frozen=True, slots=True)
class Given:
    """One answer as it will be given."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    echoes: bool = field(default=False)
    """The service repeats the credentials it was sent in its error text, as careless proxies do."""


def _paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401  # JSON
    yield at
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(inner, (*at, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _paths(inner, (*at, index))


def _garbled(draw: st.DrawFn, value: Any) -> Any:  # noqa: ANN401  # JSON
    """Return a right answer with nonsense in some places; the body of a message is JSON inside a text."""
    if isinstance(value, dict) and "body" in value and draw(st.booleans()):
        return {**value, "body": json.dumps(_garbled(draw, json.loads(value["body"])))}
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(_paths(value))))
        value = _changed(value, path, _nonsense(draw, _at(value, path)), drop=False)
    return value


def _at(value: Any, path: tuple[Any, ...]) -> Any:  # noqa: ANN401  # JSON
    for step in path:
        value = value[step]
    return value


def _changed(sample: Any, path: tuple[Any, ...], value: Any, *, drop: bool) -> Any:  # noqa: ANN401  # JSON
    if not path:
        return value
    root = copy.deepcopy(sample)
    holder = root
    for step in path[:-1]:
        holder = holder[step]
    if drop:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return root


WAYS = ("right", "changed", "changed", "twice", "nonsense", "nonsense", "json", "error", "bytes", "deep", "encoded")


@st.composite
def _bodies(draw: st.DrawFn, sample: Any) -> bytes:  # noqa: ANN401  # JSON
    way = draw(st.sampled_from(WAYS))
    value = sample
    if way == "bytes":
        return draw(st.binary(max_size=60))
    if way == "deep":
        return b"[" * draw(st.integers(1, 100_000))
    if way == "json":
        value = draw(_JSON)
    elif way == "error":
        value = draw(st.fixed_dictionaries({}, optional={"typeName": _JSON, "message": _JSON, "errors": _JSON}))
    elif way == "nonsense":
        value = _garbled(draw, value)
    elif way in {"changed", "twice"}:
        for _ in range(2 if way == "twice" else 1):
            path = draw(st.sampled_from(list(_paths(value))))
            value = _changed(value, path, draw(_JSON), drop=draw(st.booleans()))
    text = "" if value is None else json.dumps(value)
    if way == "encoded":
        return text.encode(draw(st.sampled_from(("utf-16", "utf-32", "utf-8-sig", "cp037"))))
    data = text.encode()
    cut = draw(st.one_of(st.none(), st.integers(0, len(data))))
    return data if cut is None or draw(st.booleans()) else data[:cut]


@st.composite
def answers_to(draw: st.DrawFn, kind: str) -> Given:
    """Return an answer to a request of that kind; about one in four is right."""
    sample = SAMPLES[kind]
    if draw(st.integers(0, 3)) == 0:
        body = b"" if sample is None else json.dumps(sample).encode()
        return Given(STATUS.get(kind, 200), (("Content-Type", "application/json"),), body)
    headers = dict(draw(_HEADERS))
    headers["Content-Type"] = draw(_TYPES)
    if draw(st.integers(0, 7)) == 0:
        headers["Content-Encoding"] = draw(_ENCODINGS)
    echoes = draw(st.integers(0, 4)) == 0
    # What stands in a body is mostly looked at if the status is right.
    status = draw(_STATUSES) if draw(st.booleans()) else STATUS.get(kind, 200)
    return Given(status, tuple(headers.items()), draw(_bodies(sample)), echoes)


@st.composite
def raw_answers(draw: st.DrawFn, kind: str) -> bytes:
    """Return bytes in place of an HTTP answer: cut off, with framing that lies, or not HTTP at all."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.binary(max_size=200))
    given = draw(answers_to(kind))
    version = draw(st.sampled_from((b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/9.9", b"ICY")))
    lines = [b"%s %d %s" % (version, given.status, draw(st.sampled_from((b"OK", b"", b"\xff\xfe"))))]
    lines += [f"{name}: {value}".encode("latin-1", "replace") for name, value in given.headers]
    body = given.body
    framing = draw(st.sampled_from(("length", "length", "long", "short", "bad", "twice", "chunked", "chunks", "none")))
    length = len(body)
    if framing == "chunked":
        lines.append(b"Transfer-Encoding: chunked")
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (length, body) if body else b"0\r\n\r\n"
    elif framing == "chunks":
        lines.append(b"Transfer-Encoding: chunked")
        body = draw(st.sampled_from((b"zz\r\n", b"-1\r\n", b"ffffffffffffffffffff\r\n", b"5;x\r\nab"))) + body
    elif framing != "none":
        wrong = {"long": length + draw(st.integers(1, 9)), "short": max(0, length - 3), "bad": -1}
        lines.append(b"Content-Length: %d" % wrong.get(framing, length))
        if framing == "twice":
            lines.append(b"Content-Length: %d" % (length + 1))
    data = b"\r\n".join(lines) + b"\r\n\r\n" + body
    return data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 3)) == 0 else data
