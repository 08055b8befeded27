"""One conversation as data: what the client is asked to do, and what the recording server answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.conformance.recorder import Reply, reply

__all__ = ["AGENTS", "ORG", "QUEUE", "SETS", "SPARE", "Scenario", "Step", "call", "listed", "sleep"]

TENANT: Final = "/tenant/x"
SETS: Final = f"{TENANT}/_apis/runtime/runnerscalesets"
AGENTS: Final = f"{TENANT}/_apis/distributedtask/pools/0/agents"
QUEUE: Final = "/queue/message"
ORG: Final = "/acme"
SPARE: Final = "RSPARE"
"""The registration token that every conversation starts with, unless it scripts another."""

Script = Sequence[tuple[str, Sequence[Reply]]]

CHAIN: Final[Script] = (
    (
        "POST */access_tokens",
        [reply(201, {"token": "INSTALLATION", "expires_at": "2999-01-01T00:00:00Z"})],
    ),
    ("POST */registration-token", [reply(201, {"token": SPARE, "expires_at": "2999-01-01T00:00:00Z"})]),
    ("POST */actions/runner-registration", [reply(200, {"url": "{base}" + TENANT, "token": "{jwt:3600}"})]),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One operation by its name, as both drivers know it."""

    op: str
    args: dict[str, Any] = field(default_factory=dict)


def call(op: str, **args: object) -> Step:
    """Return a step."""
    return Step(op, args)


def sleep(seconds: float) -> Step:
    """Return a step in which nothing is asked."""
    return Step("sleep", {"seconds": seconds})


def listed(*members: object, count: int | None = None) -> dict[str, object]:
    """Return a list as the service writes it."""
    return {"count": len(members) if count is None else count, "value": list(members)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A row of the table.

    Attributes:
        script: Answers by `METHOD /path` pattern; the token chain is answered besides.
        config: Path of the config URL.
        differs: Ids of the deliberate differences that this conversation has to show.
        retries: Repeats at most, for both clients; `None` leaves each its own.
        unordered: Requests come at once, so their order says nothing.
    """

    name: str
    steps: Sequence[Step]
    script: Script = ()
    config: str = ORG
    differs: tuple[str, ...] = ()
    retries: int | None = 1
    app: bool = False
    unordered: bool = False

    @property
    def answers(self) -> Script:
        """Everything the server answers."""
        return (*self.script, *CHAIN)
