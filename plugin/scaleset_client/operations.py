"""The operations of the service, and what is fixed about each (protocol sections 3 and 4.2)."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["RULES", "Audience", "Operation", "Rule"]


class Audience(StrEnum):
    """Who answers, and so which token is shown."""

    REST = "rest"
    """The GitHub API: personal, App, installation or registration token."""
    SERVICE = "service"
    """The Actions service: admin token."""
    QUEUE = "queue"
    """The message queue and acquiring: queue token."""


class Operation(StrEnum):
    """One operation; the value names it in counters and metrics."""

    INSTALLATION_TOKEN = "installation_token"  # noqa: S105  # a name
    REGISTRATION_TOKEN = "registration_token"  # noqa: S105  # a name
    ADMIN_CONNECTION = "admin_connection"
    FIND_SCALE_SET = "find_scale_set"
    LIST_SCALE_SETS = "list_scale_sets"
    GET_SCALE_SET = "get_scale_set"
    CREATE_SCALE_SET = "create_scale_set"
    UPDATE_SCALE_SET = "update_scale_set"
    DELETE_SCALE_SET = "delete_scale_set"
    FIND_RUNNER_GROUP = "find_runner_group"
    MINT = "mint"
    MINT_SLICE = "mint_slice"
    GET_RUNNER = "get_runner"
    FIND_RUNNER = "find_runner"
    LIST_RUNNERS = "list_runners"
    REMOVE_RUNNER = "remove_runner"
    OPEN_SESSION = "open_session"
    REFRESH_SESSION = "refresh_session"
    CLOSE_SESSION = "close_session"
    POLL = "poll"
    ACKNOWLEDGE = "acknowledge"
    ACQUIRE_JOBS = "acquire_jobs"
    ACQUIRABLE_JOBS = "acquirable_jobs"


@dataclass(frozen=True, slots=True)
class Rule:
    """What is fixed about an operation.

    Attributes:
        words: What it does, for error messages: "... failed".
        success: The statuses that mean success; any other is an error, 2xx or not (protocol 4.1).
        changes: Whether it can change anything, so that a lost answer is ambiguous.
        repeatable: Whether sending it twice has the effect of sending it once.
        audience: Who answers.
        session: Whether it belongs to a message session, and so uses the connections of the polls.
    """

    words: str
    success: frozenset[int] = frozenset({200})
    changes: bool = False
    repeatable: bool = True
    audience: Audience = Audience.SERVICE
    session: bool = False


OK, CREATED, GONE = frozenset({200}), frozenset({201}), frozenset({204})
ANY_2XX = frozenset(range(200, 300))

RULES: dict[Operation, Rule] = {
    # New tokens do no harm, so the three steps of the chain may be repeated (protocol 3.1 to 3.3).
    Operation.INSTALLATION_TOKEN: Rule("getting an installation token", CREATED, True, True, Audience.REST),
    Operation.REGISTRATION_TOKEN: Rule("getting a registration token", CREATED, True, True, Audience.REST),
    Operation.ADMIN_CONNECTION: Rule("getting the admin connection", ANY_2XX, True, True, Audience.REST),
    Operation.FIND_SCALE_SET: Rule("finding a scale set"),
    Operation.LIST_SCALE_SETS: Rule("listing scale sets"),
    Operation.GET_SCALE_SET: Rule("reading a scale set"),
    Operation.CREATE_SCALE_SET: Rule("creating a scale set", OK, True, False),
    Operation.UPDATE_SCALE_SET: Rule("updating a scale set", OK, True, True),
    Operation.DELETE_SCALE_SET: Rule("deleting a scale set", GONE, True, True),
    Operation.FIND_RUNNER_GROUP: Rule("finding a runner group"),
    Operation.MINT: Rule("minting a JIT config", OK, True, False),
    Operation.MINT_SLICE: Rule("minting a slice of JIT configs", OK, True, False),
    Operation.GET_RUNNER: Rule("reading a runner"),
    Operation.FIND_RUNNER: Rule("finding a runner"),
    Operation.LIST_RUNNERS: Rule("listing runners"),
    Operation.REMOVE_RUNNER: Rule("removing a runner", GONE, True, True),
    Operation.OPEN_SESSION: Rule("opening a message session", OK, True, False, session=True),
    Operation.REFRESH_SESSION: Rule("refreshing a message session", OK, True, True, session=True),
    Operation.CLOSE_SESSION: Rule("closing a message session", GONE, True, True, session=True),
    Operation.POLL: Rule("polling the message queue", frozenset({200, 202}), False, True, Audience.QUEUE, session=True),
    Operation.ACKNOWLEDGE: Rule("acknowledging a message", GONE, True, True, Audience.QUEUE, session=True),
    Operation.ACQUIRE_JOBS: Rule("acquiring jobs", OK, True, False, Audience.QUEUE, session=True),
    Operation.ACQUIRABLE_JOBS: Rule("listing acquirable jobs", frozenset({200, 204}), session=True),
}
