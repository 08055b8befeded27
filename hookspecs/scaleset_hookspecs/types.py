"""The values that cross a hook: frozen, slotted, keyword-only; secrets stay out of their reprs.

Times are seconds; points in time are Unix time (seconds since 1970, UTC).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeAlias, TypeVar

from scaleset_hookspecs.errors import UsageError

__all__ = [
    "Answer",
    "Certainty",
    "FailureReason",
    "JitConfig",
    "JobCompleted",
    "JobStarted",
    "Label",
    "MaybeAwaitable",
    "MintAttempt",
    "MintFailure",
    "OnReady",
    "Outcome",
    "ProvisionSettings",
    "RunnerInfo",
    "RunnerRef",
    "ScaleSetRef",
    "ScaleSetSettings",
    "Statistics",
]

LONGEST_NAME = 64
"""Characters in a runner's name at most (protocol 8.4)."""

T = TypeVar("T")
MaybeAwaitable: TypeAlias = T | Awaitable[T]
"""A value, or an awaitable of it: the only two shapes a request hook may return."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleSetRef:
    """Names a runner scale set, as the host knows it.

    Attributes:
        name: Unique inside its runner group; what `runs-on:` targets.
        id: The service's id, if the host has looked it up already.
        runner_group: Name of the runner group; `default` is the group with id 1.
    """

    name: str
    id: int | None = None
    runner_group: str = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerRef:
    """Names one runner by its name, its id, or both."""

    name: str | None = None
    id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionSettings:
    """What the host wants of one burst beyond a number. Every field may be left out.

    Attributes:
        desired: How many runners the scale set should have in all, busy ones included. With it a repeated
            demand mints nothing new: the surplus of the call is answered with `ALREADY_PROVIDED`.
        max_runners: The scale set's maximum; a `count` over it is refused before anything is sent.
        deadline: Seconds from the call after which what is still missing fails with `DEADLINE`.
        name_prefix: Start of the runners' names; the plugin's setting if `None`.
        names: The runners' names, one for each of `count`, where the host chooses them; drawn by the plugin if `None`.
        work_folder: Work folder on the runner; the plugin's setting if `None`.
        deliveries: Calls of `on_ready` under way at once, at most; the next config is handed out when one of them has
            ended. Until then it counts as nobody's: if the host dies, it is removed at once. No limit if `None`.
        on_wait: Called when the limits make a burst wait, with the seconds until the last of its runners is expected
            to be minted and how many are still missing. Must return at once.
    """

    desired: int | None = None
    max_runners: int | None = None
    deadline: float | None = None
    name_prefix: str | None = None
    names: tuple[str, ...] | None = None
    work_folder: str | None = None
    deliveries: int | None = None
    on_wait: Callable[[float, int], None] | None = None

    def __post_init__(self) -> None:
        """Refuse names that no runners can have, and a limit that would let nothing be handed out.

        Raises:
            UsageError: One is no name, two are the same but for their case, or `deliveries` is below 1.
        """
        if self.deliveries is not None and self.deliveries < 1:
            raise UsageError(f"deliveries is {self.deliveries}; expected 1 or more")
        seen: set[str] = set()
        for name in self.names or ():
            if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
                raise UsageError(f"the name {name!r} cannot be a runner's; expected 1 to {LONGEST_NAME} characters")
            if name.lower() in seen:
                raise UsageError(f"the name {name!r} is given twice; expected each once, whatever its case")
            seen.add(name.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class MintAttempt:
    """One request that asked for a runner, for whoever shows where the seconds of a burst went.

    Attributes:
        started_at: Unix time when its turn came.
        seconds: From then until it was answered, or given up.
        result: `minted`, or what kind of failure its answer was.
        token: Seconds of it spent waiting for credentials.
        connect: Seconds of it spent waiting for a connection.
        status: HTTP status of the answer, if there was one.
        request_id: `X-GitHub-Request-Id` of the answer, if there was one.
    """

    started_at: float
    seconds: float
    result: str
    token: float = 0.0
    connect: float = 0.0
    status: int | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JitConfig:
    """Everything one ephemeral runner needs to connect; its registration exists already.

    Attributes:
        runner_id: The service's id, needed to remove the runner.
        runner_name: Unique in the whole tenant.
        scale_set: The scale set the runner belongs to, with its id.
        encoded: The JIT config itself (base64). A secret: it holds the runner's private key.
        minted_at: Unix time when the service's answer arrived.
        attempts: The last requests sent for it, in the order of their answers; none if the plugin does not tell.
    """

    runner_id: int
    runner_name: str
    scale_set: ScaleSetRef
    encoded: str = field(repr=False)
    minted_at: float
    attempts: tuple[MintAttempt, ...] = field(default=(), repr=False, compare=False)


class FailureReason(StrEnum):
    """Why one of the N asked for did not become a JIT config."""

    REJECTED = "rejected"
    """The service refused this one for good."""
    UNAVAILABLE = "unavailable"
    """The service did not deliver within the attempts allowed."""
    RATE_LIMITED = "rate_limited"
    """The limits do not allow it before the deadline."""
    DEADLINE = "deadline"
    """The host's deadline passed first."""
    DEMAND_FELL = "demand_fell"
    """The host asked for fewer while this one had not been sent."""
    ALREADY_PROVIDED = "already_provided"
    """`desired` is met by runners delivered, or under way, for an earlier call."""
    NAME_TAKEN = "name_taken"
    """Another runner has the name that the host chose; it was left alone."""
    DELIVERY = "delivery"
    """`on_ready` raised; the registration was undone."""
    STOPPED = "stopped"
    """The host is stopping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MintFailure:
    """One of the N asked for that did not become a JIT config.

    Attributes:
        reason: What kind of failure, for programs.
        message: What happened and what to do next, for people.
        retry_after: Seconds until asking again makes sense, if known.
        status: Last HTTP status, if there was an answer.
        request_id: `X-GitHub-Request-Id` of the last answer, if there was one.
        attempts: The last requests sent for it, in the order of their answers; none if the plugin does not tell.
    """

    reason: FailureReason
    message: str
    retry_after: float | None = None
    status: int | None = None
    request_id: str | None = None
    attempts: tuple[MintAttempt, ...] = field(default=(), repr=False, compare=False)


Outcome: TypeAlias = JitConfig | MintFailure
"""What became of one of the N asked for."""

OnReady: TypeAlias = Callable[[JitConfig], MaybeAwaitable[None]]
"""Called with each JIT config as it arrives. What it raises counts as a failed delivery of that config."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A label of a scale set; `type` is `System` unless the service says otherwise."""

    name: str
    type: str = "System"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """The seven counters of a scale set at one moment."""

    available_jobs: int = 0
    acquired_jobs: int = 0
    assigned_jobs: int = 0
    running_jobs: int = 0
    registered_runners: int = 0
    busy_runners: int = 0
    idle_runners: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleSetSettings:
    """The settings of a scale set, as the service has them.

    Attributes:
        statistics: The counters that came with the settings; `None` unless the plugin was told to keep them.
    """

    id: int
    name: str
    runner_group_id: int
    runner_group_name: str
    labels: tuple[Label, ...] = ()
    disable_update: bool = False
    created_at: float | None = None
    statistics: Statistics | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerInfo:
    """One registered runner.

    Attributes:
        scale_set_id: The scale set it belongs to, `None` for a classic runner.
        status: The service's text, such as `online` or `offline`; `None` if it did not say.
        busy: Whether a job runs on it; `None` if the service did not say, which is not "idle".
    """

    id: int
    name: str
    scale_set_id: int | None = None
    status: str | None = None
    busy: bool | None = None


class Certainty(StrEnum):
    """How much an answer can be relied on."""

    FRESH = "fresh"
    """Within its lifetime."""
    STALE = "stale"
    """Past its lifetime, and the service could not be asked again."""
    ABSENT = "absent"
    """The service was asked and said that it does not exist."""
    UNKNOWN = "unknown"
    """Nobody has looked, or the look failed. Never read this as absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[T]):
    """A value with how certain and how old it is.

    Attributes:
        certainty: See `Certainty`.
        value: The value; `None` exactly when `certainty` is `ABSENT` or `UNKNOWN`.
        age: Seconds since the service said so; `None` when `UNKNOWN`.
        source: Who said so: `service`, `cache`, `event` or `mint`.
        reason: Why the answer is stale, absent or unknown, for people.
    """

    certainty: Certainty
    value: T | None = None
    age: float | None = None
    source: str = "service"
    reason: str | None = None

    def __post_init__(self) -> None:
        """Refuse an answer that says two things at once."""
        has_value = self.certainty in {Certainty.FRESH, Certainty.STALE}
        if has_value != (self.value is not None):
            raise ValueError(f"an answer that is {self.certainty} must {'' if has_value else 'not '}have a value")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarted:
    """A runner took a job: the only authoritative binding of the two (protocol section 7)."""

    job_id: str
    runner: RunnerRef
    request_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCompleted:
    """A job is over; `runner` is `None` if no runner ever had it (protocol section 7)."""

    job_id: str
    result: str
    runner: RunnerRef | None = None
    request_id: int = 0
