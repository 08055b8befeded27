"""The fault language: what goes wrong, with which requests, how often. Parsed and decided without I/O.

A fault is `KIND:ACTION[=VALUE][:HOW OFTEN][@FROM+FOR]`:

- KIND: a kind of request (`mint`, `slice`, `registration`, `admin`, `poll`, …) or `*`.
- ACTION: `drop-before`, `drop-after`, `hang-before`, `hang-after` (before or after the commit), `status=503` and
  `status-after=502`, `retry=5` (429 with Retry-After in seconds), `retry-date=5` (as a date), `retry-none` (429
  without), `limit=30` (403 marked as rate limit), `conflict`, `slow=2s`, `truncate`, `html`, `text`, `empty` (each
  with another status as well, such as `html=502`), `bom`, `unauthorised`, `lose-session`, `partial` (slices: every
  other item fails).
- Of runners, with the KIND `connect` alone: `never-online` (the machine starts, the runner never comes online) and
  `lives-on` (its job is cancelled as it starts, and the runner outlives it).
- HOW OFTEN: `5%`, `every 7`, `first 3`, `once`; always if left out.
- FROM and FOR: seconds since the start, such as `@10+5`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["ACTIONS", "Fault", "FaultError", "Faults", "parse_fault"]

ACTIONS = frozenset(
    (
        "drop-before", "drop-after", "hang-before", "hang-after", "status", "status-after", "retry", "retry-date",
        "retry-none", "limit", "conflict", "slow", "truncate", "html", "text", "empty", "bom", "unauthorised",
        "lose-session", "partial", "never-online", "lives-on",
    )
)  # fmt: skip
OF_RUNNERS = frozenset(("never-online", "lives-on"))
KINDS = frozenset(
    (
        "*", "mint", "slice", "installation", "registration", "admin", "scale_sets", "find_scale_set", "scale_set",
        "create_scale_set", "update_scale_set", "delete_scale_set", "runner_group", "runners", "find_runner", "runner",
        "remove_runner", "open_session", "refresh_session", "close_session", "poll", "acknowledge", "acquire",
        "acquirable", "connect",
    )
)  # fmt: skip
_WITH_VALUE = frozenset(("status", "status-after", "retry", "retry-date", "limit", "slow"))
_MAYBE_STATUS = frozenset(("html", "text", "empty"))
_FAULT = re.compile(
    r"^(?P<kind>[a-z_*]+):(?P<action>[a-z-]+)(=(?P<value>[0-9.]+)s?)?"
    r"(:(?P<often>[^@]+))?(@(?P<start>[0-9.]+)s?\+(?P<length>[0-9.]+)s?)?$"
)


class FaultError(ValueError):
    """A fault that cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    Attributes:
        probability: Share of the requests struck.
        every: Strikes every so many requests instead.
        first: Strikes only so often.
        start: Seconds since the start before which it does not strike.
        length: Seconds for which it strikes; `None`: for good.
    """

    kind: str
    action: str
    value: float = 0.0
    probability: float = 1.0
    every: int | None = None
    first: int | None = None
    start: float = 0.0
    length: float | None = None


def parse_fault(text: str) -> Fault:
    """Read one fault.

    Raises:
        FaultError: With what was found and what is expected.
    """
    match = _FAULT.match(text.strip())
    if match is None:
        raise FaultError(
            f"fault {text!r}: expected KIND:ACTION[=VALUE][:HOW OFTEN][@FROM+FOR], such as mint:drop-after:5%"
        )
    action = match["action"]
    if action not in ACTIONS:
        raise FaultError(f"fault {text!r}: unknown action {action!r}; expected one of {', '.join(sorted(ACTIONS))}")
    if action not in _MAYBE_STATUS and (action in _WITH_VALUE) != (match["value"] is not None):
        raise FaultError(f"fault {text!r}: {action} {'needs' if action in _WITH_VALUE else 'takes no'} =VALUE")
    if match["kind"] not in KINDS:
        raise FaultError(f"fault {text!r}: unknown kind {match['kind']!r}; expected one of {', '.join(sorted(KINDS))}")
    if (match["kind"] == "connect") != (action in OF_RUNNERS):
        allowed = ", ".join(sorted(OF_RUNNERS))
        raise FaultError(f"fault {text!r}: `connect` goes with {allowed} alone, and they with it")
    of_status = action in {"status", "status-after"} or (action in _MAYBE_STATUS and match["value"] is not None)
    if of_status and not 400 <= _number(text, match["value"]) <= 599:
        raise FaultError(f"fault {text!r}: the status is {match['value']}; expected 400 to 599")
    often = _often(text, match["often"])
    return Fault(
        kind=match["kind"],
        action=action,
        value=_number(text, match["value"]),
        start=_number(text, match["start"]),
        length=None if match["length"] is None else _number(text, match["length"]),
        probability=float(often.get("probability", 1.0)),
        every=int(often["every"]) if "every" in often else None,
        first=int(often["first"]) if "first" in often else None,
    )


def _number(text: str, number: str | None) -> float:
    try:
        return float(number or 0.0)
    except ValueError:
        raise FaultError(f"fault {text!r}: {number!r} is no number") from None


def _often(text: str, often: str | None) -> dict[str, float]:
    if often is None:
        return {}
    if often == "once":
        return {"first": 1}
    match = re.match(r"^(?:(?P<share>[0-9.]+)%|every[ -](?P<every>[0-9]+)|first[ -](?P<first>[0-9]+))$", often)
    if match is None:
        raise FaultError(f"fault {text!r}: how often is {often!r}; expected 5%, every 7, first 3 or once")
    if match["share"] is not None:
        share = _number(text, match["share"])
        if share > 100:
            raise FaultError(f"fault {text!r}: {share:g}% is more than always")
        return {"probability": share / 100}
    if match["every"] is not None:
        return {"every": max(1, int(match["every"]))}
    return {"first": int(match["first"])}


@dataclass(slots=True)
class Faults:
    """The faults in force, with a seeded chance: the same requests in the same order meet the same faults."""

    chance: random.Random
    faults: list[Fault] = field(default_factory=list)
    _seen: dict[int, int] = field(default_factory=dict)
    _struck: dict[int, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def set(self, faults: Iterable[Fault]) -> None:
        """Replace the faults."""
        self.faults = list(faults)
        self._seen.clear()
        self._struck.clear()

    def strike(self, kind: str, elapsed: float) -> Fault | None:
        """Return the fault that strikes this request, if one does; the first that does wins."""
        for index, fault in enumerate(self.faults):
            if fault.kind not in ({kind} if kind == "connect" else {kind, "*"}) or elapsed < fault.start:
                continue
            if fault.length is not None and elapsed >= fault.start + fault.length:
                continue
            self._seen[index] = self._seen.get(index, 0) + 1
            if fault.first is not None and self._struck.get(index, 0) >= fault.first:
                continue
            if fault.every is not None and self._seen[index] % fault.every:
                continue
            if fault.probability < 1.0 and self.chance.random() >= fault.probability:
                continue
            self._struck[index] = self._struck.get(index, 0) + 1
            self.counts[fault.action] = self.counts.get(fault.action, 0) + 1
            return fault
        return None
