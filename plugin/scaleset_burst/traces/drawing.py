"""Spans of what has happened already, as values: a mint and its attempts from its outcome, a request from its record.

Nothing gets into a span but what is named here: no JIT config, no token, no address, no text that a service wrote.
"""

from typing import NamedTuple

from scaleset_client.observing import RequestRecord
from scaleset_hookspecs import JitConfig, MintAttempt, Outcome

__all__ = ["Attributes", "Finished", "mint", "nanoseconds", "request"]

SHORTEST_WAIT = 0.001
"""Seconds of waiting for a token or a connection that are worth an attribute."""

Attributes = dict[str, str | int | float]


class Finished(NamedTuple):
    """A span that has ended.

    Attributes:
        name: What it was.
        began: When, in nanoseconds of Unix time.
        ended: When, in nanoseconds of Unix time.
        attributes: What is known of it.
        error: What kind of failure it was, if one.
        sent: Whether it was a request.
    """

    name: str
    began: int
    ended: int
    attributes: Attributes
    error: str | None = None
    sent: bool = True


def nanoseconds(moment: float) -> int:
    """Return a Unix time in the nanoseconds of a span."""
    return int(moment * 1e9)


def mint(outcome: Outcome) -> tuple[Finished, tuple[Finished, ...]] | None:
    """Return the span of an outcome and those below it: none if its first request brought it, else each request's.

    An outcome for which nothing was sent has no span; the burst counts it.
    """
    attempts = outcome.attempts
    if not attempts:
        return None
    runner: Attributes = {}
    if isinstance(outcome, JitConfig):
        runner = {"cicd.worker.name": outcome.runner_name, "cicd.worker.id": str(outcome.runner_id)}
        if len(attempts) == 1:
            return _attempt("mint", attempts[0], runner), ()
        error = None
    else:
        error = runner["error.type"] = outcome.reason.value
    below = tuple(
        _attempt("attempt", attempt, {"http.request.resend_count": number} if number else {})
        for number, attempt in enumerate(attempts)
    )
    began, ended = min(one.began for one in below), max(one.ended for one in below)
    return Finished("mint", began, ended, runner, error, sent=False), below


def _attempt(name: str, attempt: MintAttempt, attributes: Attributes) -> Finished:
    began, seconds = attempt.started_at, attempt.seconds
    attributes["http.request.method"] = "POST"
    if attempt.status is not None:
        attributes["http.response.status_code"] = attempt.status
    if attempt.request_id is not None:
        attributes["github.request_id"] = attempt.request_id
    if attempt.token >= SHORTEST_WAIT:
        attributes["scaleset.token_seconds"] = attempt.token
    if attempt.connect >= SHORTEST_WAIT:
        attributes["scaleset.connect_seconds"] = attempt.connect
    error = None
    if attempt.result != "minted":
        error = attributes["error.type"] = attempt.result
    return Finished(name, nanoseconds(began), nanoseconds(began + seconds), attributes, error)


def request(record: RequestRecord, ended: float) -> Finished:
    """Return the span of a request that ended at that Unix time."""
    attributes: Attributes = {"http.request.method": record.method, "server.address": record.host}
    if record.status is not None:
        attributes["http.response.status_code"] = record.status
    if record.request_id is not None:
        attributes["github.request_id"] = record.request_id
    error = record.failure
    if error is None and record.status is not None and record.status >= 400:
        error = str(record.status)
    if error is not None:
        attributes["error.type"] = error
    return Finished(record.kind.value, nanoseconds(ended - record.seconds), nanoseconds(ended), attributes, error)
