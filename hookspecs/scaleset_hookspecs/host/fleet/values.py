"""What a fleet is told, what it answers with, and what it may be: frozen values.

Three facts are the contract's own: `Statistics`, `JobStarted` and `JobCompleted`, as the service's messages say them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from scaleset_hookspecs.types import Answer, JobCompleted, JobStarted, MintFailure, RunnerInfo, RunnerRef, Statistics

__all__ = [
    "Action",
    "Adopted",
    "BurstEnded",
    "Drain",
    "End",
    "Fact",
    "FleetLimits",
    "KnownRunner",
    "Launched",
    "Life",
    "LookUp",
    "LookedUp",
    "Lower",
    "MachineEnded",
    "Mint",
    "Removal",
    "Remove",
    "RemoveAnswered",
    "Say",
    "Source",
    "Tick",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetLimits:
    """What a fleet may be. Also a fact: the limits are these from now on.

    Attributes:
        max_runners: Runners that may be alive at once, at most.
        min_idle: Runners kept ready beyond the jobs.
        start_timeout: Seconds a runner has to come online, or an offline one to come back; then it is replaced.
        scale_down_delay: Seconds for which there must be too many runners before idle ones are removed.
        event_lag: Seconds by which the service's events and counters may be behind what has happened.
    """

    max_runners: int
    min_idle: int = 0
    start_timeout: float = 300.0
    scale_down_delay: float = 60.0
    event_lag: float = 30.0

    def __post_init__(self) -> None:
        """Refuse limits that no fleet can keep."""
        if not 0 <= self.min_idle <= self.max_runners:
            raise ValueError(
                f"min_idle is {self.min_idle}; expected from 0 to max_runners, which is {self.max_runners}"
            )
        for name in ("start_timeout", "scale_down_delay", "event_lag"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; expected seconds, 0 or more")


# Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A runner that was asked for has been launched.

    Attributes:
        watched: Whether the host will be told when its machine, or process, ends.
    """

    runner: RunnerRef
    watched: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstEnded:
    """The answer to one `Mint`: every runner of it has been launched by now, or will not be.

    Attributes:
        asked: The count of the `Mint`.
        launched: How many of them were launched; each was told before, as `Launched`.
        failures: Why the others were not.
    """

    asked: int
    launched: int
    failures: tuple[MintFailure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineEnded:
    """A runner's machine, or process, has ended. Also the answer to `End`, even if there was no such machine."""

    runner: RunnerRef


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedUp:
    """The answer to `LookUp`, as `get_runner_info` gives it."""

    runner: RunnerRef
    answer: Answer[RunnerInfo]


class Removal(StrEnum):
    """What the service said to a removal."""

    REMOVED = "removed"
    """The registration was there, without a job, and is gone."""
    ABSENT = "absent"
    """There was none."""
    HAS_JOB = "has a job"
    """It stays: a job has been given to the runner."""
    FAILED = "failed"
    """Nobody knows: no answer, or a refusal that says nothing of the runner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveAnswered:
    """The answer to `Remove`.

    Attributes:
        retry_after: Seconds until asking again makes sense, if the service said so.
    """

    runner: RunnerRef
    removal: Removal
    retry_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """A runner that an earlier life of the host launched: the service lists it, or its machine lives.

    To be told before the first `Statistics`, so that the counters of both are not added up for long.

    Attributes:
        watched: Whether its machine was found, and the host will be told when it ends.
    """

    runner: RunnerRef
    watched: bool = False


@dataclass(frozen=True, slots=True)
class Drain:
    """The host stops: nothing new, idle runners go, those with a job finish it."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed: `Fleet.next_at` has come."""


Fact: TypeAlias = (
    Statistics
    | JobStarted
    | JobCompleted
    | Launched
    | BurstEnded
    | MachineEnded
    | LookedUp
    | RemoveAnswered
    | Adopted
    | FleetLimits
    | Drain
    | Tick
)


# Actions


@dataclass(frozen=True, slots=True, kw_only=True)
class Mint:
    """Ask for runners and launch them: `provision_runners`. Answered by `Launched` for each and one `BurstEnded`.

    Attributes:
        desired: How many runners there should be in all then, busy ones included.
    """

    count: int
    desired: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lower:
    """More are asked for than are wanted by now: `on_demand_changed`."""

    desired: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUp:
    """Ask what the service knows of a runner: `get_runner_info`. Answered by `LookedUp`."""

    runner: RunnerRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Remove a runner's registration, and nothing else. Answered by `RemoveAnswered`."""

    runner: RunnerRef


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """End a machine: its registration is gone, and it has no job. Answered by `MachineEnded`."""

    runner: RunnerRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """Something the operator should read.

    Attributes:
        level: As in `logging`.
    """

    level: int
    text: str


Action: TypeAlias = Mint | Lower | LookUp | Remove | End | Say


# What is known of one runner


class Life(StrEnum):
    """How far a runner is."""

    LAUNCHED = "launched"
    ONLINE = "online"
    """It was seen, and has no job that we know of."""
    BUSY = "busy"
    ENDED = "ended"
    """Its machine has ended; its registration may still be there."""


class Source(StrEnum):
    """Where the latest news of a runner came from."""

    LAUNCH = "own launch"
    MACHINE = "own machine"
    EVENT = "event"
    LOOK_UP = "look-up"
    REMOVAL = "removal"
    EARLIER = "an earlier life of the host"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRunner:
    """What the fleet knows of one runner, and from whom it heard last."""

    runner: RunnerRef
    life: Life
    source: Source
    since: float
