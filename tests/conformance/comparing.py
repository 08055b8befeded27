"""Two conversations held against each other: requests, outcomes, and the shape of the repeats."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import jwt

from tests.conformance.recorder import Received

__all__ = ["Finding", "Outcome", "Talk", "compare"]

SIGNIFICANT = ("content-type", "accept", "x-scalesetmaxcapacity")
EARLY = 0.05
"""Seconds by which a wait may seem too short, since clocks are not one clock."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one step: a class that both clients can be asked for, and the value if there is one."""

    kind: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class Talk:
    """One client's side of a scenario."""

    received: Sequence[Received]
    outcomes: Sequence[Outcome]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing in which the clients differ.

    Attributes:
        aspect: `requests`, `attempts`, `retry-after`, `query`, `body`, `class`, `value` or the name of a header.
        where: The request or the step.
    """

    aspect: str
    where: str
    official: Any
    ours: Any

    def __str__(self) -> str:
        """Return it on one line."""
        return f"{self.aspect} of {self.where}: official {self.official!r}, ours {self.ours!r}"


@dataclass(frozen=True, slots=True)
class Sent:
    """A request with its blind repeats."""

    line: str
    facts: dict[str, Any]
    attempts: int
    waits_kept: bool | None


def compare(official: Talk, ours: Talk, steps: Sequence[str], *, unordered: bool = False) -> list[Finding]:
    """Return what differs; nothing means that both clients said and understood the same."""
    found = list(_requests(_sent(official.received, unordered), _sent(ours.received, unordered)))
    for step, theirs, own in zip(steps, official.outcomes, ours.outcomes, strict=True):
        if theirs.kind != own.kind:
            found.append(Finding("class", step, theirs.kind, own.kind))
        elif theirs.value != own.value:
            found.append(Finding("value", step, theirs.value, own.value))
    return found


def _requests(official: list[Sent], ours: list[Sent]) -> Iterator[Finding]:
    lines, own_lines = [one.line for one in official], [one.line for one in ours]
    if lines != own_lines:
        yield Finding("requests", "the conversation", lines, own_lines)
    for theirs, own in zip(official, ours, strict=False):
        if theirs.line != own.line:
            return
        for aspect in theirs.facts.keys() | own.facts.keys():
            if theirs.facts.get(aspect) != own.facts.get(aspect):
                yield Finding(aspect, theirs.line, theirs.facts.get(aspect), own.facts.get(aspect))
        if theirs.attempts != own.attempts:
            yield Finding("attempts", theirs.line, theirs.attempts, own.attempts)
        elif theirs.waits_kept != own.waits_kept:
            yield Finding("retry-after", theirs.line, theirs.waits_kept, own.waits_kept)


def _sent(received: Sequence[Received], unordered: bool) -> list[Sent]:
    """Put repeats of one request together: same line, same facts, one after the other."""
    told = [(f"{one.method} {one.path}", _facts(one), one) for one in received]
    if unordered:
        told.sort(key=lambda one: (one[0], repr(one[1])))
    grouped = []
    for (line, facts), members in groupby(told, key=lambda one: (one[0], one[1])):
        tries = [one for _, _, one in members]
        grouped.append(Sent(line, facts, len(tries), _waits_kept(tries)))
    return grouped


def _waits_kept(tries: Sequence[Received]) -> bool | None:
    asked = [(now.at - before.at, before.retry_after) for before, now in pairwise(tries)]
    kept = [waited >= wait - EARLY for waited, wait in asked if wait is not None]
    return all(kept) if kept else None


def _facts(one: Received) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "query": one.query,
        "body": _body(one.body),
        "authorization": one.authorization,
        "user-agent": _agent(one.headers.get("user-agent", "")),
    }
    facts |= {name: one.headers.get(name) for name in SIGNIFICANT}
    if one.path.endswith("/access_tokens"):
        facts["authorization"], facts["jwt"] = "Bearer <App JWT>", _claims(one.authorization)
    return facts


def _body(raw: bytes) -> Any:  # noqa: ANN401  # whatever JSON says
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return raw


def _agent(text: str) -> Any:  # noqa: ANN401  # whatever JSON says
    try:
        said = json.loads(text)
    except ValueError:
        return text
    return {"names": sorted(said), "kind": said.get("kind"), "scale_set_id": said.get("scale_set_id")}


def _claims(authorization: str) -> dict[str, Any]:
    """Return what an App's JWT says, without its moment."""
    token = authorization.partition(" ")[2]
    claims = jwt.decode(token, options={"verify_signature": False})
    return {
        "alg": jwt.get_unverified_header(token)["alg"],
        "names": sorted(claims),
        "iss": claims["iss"],
        "lifetime": claims["exp"] - claims["iat"],
    }
