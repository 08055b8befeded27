"""What a simulator is made from."""

from __future__ import annotations

from dataclasses import dataclass, field

from scaleset_simulator.faults import Fault
from scaleset_simulator.latency import Latency, parse_latency

__all__ = ["OVERLOADS", "AppKey", "Options"]

OVERLOADS = ("queue", "refuse")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppKey:
    """The GitHub App whose JWTs are accepted."""

    client_id: str
    installation_id: int
    public_key: str


@dataclass(slots=True, kw_only=True)
class Options:
    """What can be chosen; times in seconds. Those marked * can be changed while it runs.

    Attributes:
        latency: * How long every answer of the Actions service takes, but polls.
        jitter: * Share of the latency by which it varies.
        capacity: * Mints worked on at once; 0 is no limit.
        overload: * Beyond the capacity: `queue` (latency grows) or `refuse` (503 before the commit).
        slices: * Whether several settings may come in one request.
        seed: * Of every chance; changed while it runs, of the latencies from then on.
        unready: Answers 401 to the first so many admin connections (protocol 3.3).
        bom: * Every body begins with a byte order mark.
        backend: * `assign` (jobs are assigned at once) or `offer` (they have to be acquired, as on older services).
        session_seconds: A session that nobody polls expires after this time.
        registrations: In any `window` seconds; 0 is no limit.
        group_capacity: Runners in a group.
        closed_session: * Status of polls, acknowledgements and acquisitions whose session is gone.
        running_status: * Status of the answer to removing a busy runner (protocol section 11, 1).
        absent_status: * Status of the answer to removing an absent one (section 11, 11).
        tenant_query: * Query of the Actions service's address (protocol 2.3); nothing where a client cannot bear one.
        event_keys: * What an admin connection's request may call its event: `runner_event`, or `any` (Appendix C).
    """

    latency: Latency = field(default_factory=lambda: parse_latency("0"))
    jitter: float = 0.0
    capacity: int = 0
    overload: str = "queue"
    slices: bool = False
    unready: int = 0
    bom: bool = False
    poll_seconds: float = 50.0
    token: str = "simulator-token"  # noqa: S105  # no secret: the simulator's own
    backend: str = "assign"
    admin_token_ttl: float = 3600.0
    queue_token_ttl: float = 3000.0
    job_seconds: float = 1.0
    session_seconds: float = 90.0
    registrations: int = 0
    window: float = 300.0
    group_capacity: int = 10_000
    closed_session: int = 401
    running_status: int = 400
    absent_status: int = 204
    tenant_query: str = "ring=1"
    event_keys: str = "runner_event"
    seed: int = 0
    speed: float = 1.0
    app: AppKey | None = None
    scale_sets: tuple[str, ...] = ("demo-linux",)
    faults: tuple[Fault, ...] = ()
