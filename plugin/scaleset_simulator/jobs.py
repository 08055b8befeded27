"""Jobs, message sessions and the queue between them (protocol sections 6 and 7). No I/O; the clock is passed in."""

from __future__ import annotations

import json
import random
import uuid
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from scaleset_simulator.clock import Clock
from scaleset_simulator.errors import closed_session, no_such_page, session_conflict, session_expired, session_lost
from scaleset_simulator.tenant import Runner, ScaleSet, Tenant, rfc3339

__all__ = ["Board", "Job", "Session"]

EVENTS_IN_MESSAGE = 50
FIRST_MESSAGE = 100_000_000
MOST_DEAD = 1000
"""Ended sessions of a scale set remembered at most, the newest."""


@dataclass(slots=True)
class Job:
    """One job, on its way: queued, offered, assigned, running, done."""

    id: str
    request_id: int
    queued_at: float
    state: str = "queued"
    runner: Runner | None = None
    ends_at: float = 0.0


@dataclass(slots=True)
class Session:
    """The one session of a scale set."""

    id: str
    owner: str
    seen_at: float
    polls: int = 0


@dataclass(slots=True)
class _Queue:
    jobs: dict[str, Job] = field(default_factory=dict)
    messages: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    pending: deque[dict[str, Any]] = field(default_factory=deque)
    session: Session | None = None
    dead: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_DEAD))


@dataclass(slots=True)
class Board:
    """The jobs of all scale sets."""

    clock: Clock
    tenant: Tenant
    chance: random.Random
    queues: dict[int, _Queue] = field(default_factory=dict)
    next_message: int = FIRST_MESSAGE
    next_request: int = 5000
    finished: int = 0

    @property
    def offers(self) -> bool:
        """Whether jobs are offered and have to be acquired."""
        return self.tenant.options.backend == "offer"

    def queue(self, scale_set_id: int) -> _Queue:
        """Return the queue of a scale set."""
        return self.queues.setdefault(scale_set_id, _Queue())

    def add(self, scale_set: ScaleSet, count: int) -> list[str]:
        """Queue jobs for a scale set."""
        queue = self.queue(scale_set.id)
        made = []
        for _ in range(count):
            self.next_request += 1
            job = Job(str(uuid.UUID(int=self.chance.getrandbits(128))), self.next_request, self.clock.time())
            queue.jobs[job.id] = job
            made.append(job.id)
        return made

    def statistics(self, scale_set_id: int) -> dict[str, int]:
        """Return the seven counters now."""
        jobs = self.queue(scale_set_id).jobs.values()
        runners = [one for one in self.tenant.runners.values() if one.scale_set_id == scale_set_id]
        busy = sum(1 for runner in runners if runner.busy)
        running = sum(1 for job in jobs if job.state == "running")
        return {
            "totalAvailableJobs": sum(1 for job in jobs if job.state in {"queued", "offered"}),
            "totalAcquiredJobs": sum(1 for job in jobs if job.state in {"assigned", "running"}),
            "totalAssignedJobs": running + sum(1 for job in jobs if job.state == "assigned"),
            "totalRunningJobs": running,
            "totalRegisteredRunners": len(runners),
            "totalBusyRunners": busy,
            "totalIdleRunners": sum(1 for runner in runners if runner.online and not runner.busy),
        }

    def open_session(self, scale_set: ScaleSet, owner: str) -> Session:
        """Open the session of a scale set; refused while another one lives, whoever owns it (protocol 6.1)."""
        queue = self.queue(scale_set.id)
        now = self.clock.monotonic()
        self._expire(queue)
        if queue.session is not None:
            raise session_conflict(scale_set.name, queue.session.owner)
        queue.session = Session(str(uuid.UUID(int=self.chance.getrandbits(128))), owner, now)
        return queue.session

    def session(self, scale_set_id: int, session_id: str) -> Session:
        """Return a live session, or say what has become of it."""
        queue = self.queue(scale_set_id)
        self._expire(queue)
        if queue.session is None or queue.session.id != session_id:
            raise session_expired() if session_id in queue.dead else session_lost()
        queue.session.seen_at = self.clock.monotonic()
        return queue.session

    def close_session(self, scale_set_id: int, session_id: str) -> None:
        """Close a session."""
        self.session(scale_set_id, session_id)
        queue = self.queue(scale_set_id)
        queue.session = None
        queue.dead.append(session_id)

    def lose_session(self, scale_set_id: int) -> None:
        """Forget the session, as the service sometimes does."""
        self.queue(scale_set_id).session = None

    def forget(self, scale_set_id: int) -> None:
        """Forget the jobs, the messages and the session of a scale set that is gone."""
        self.queues.pop(scale_set_id, None)

    def of_token(self, session_id: str) -> tuple[int, Session]:
        """Return the scale set and the live session that a queue token names, or refuse as the switch says."""
        for scale_set_id, queue in self.queues.items():
            if queue.session is not None and queue.session.id == session_id:
                self._expire(queue)
                if queue.session is not None:
                    queue.session.seen_at = self.clock.monotonic()
                    return scale_set_id, queue.session
        raise closed_session(self.tenant.options.closed_session)

    def step(self, scale_set_id: int, capacity: int | None = None) -> bool:
        """Move jobs on: offer or assign within the capacity, start on idle runners, complete; `True` if any moved."""
        queue = self.queue(scale_set_id)
        moved = self._complete(queue)
        if capacity is not None:
            moved |= self._let_in(queue, capacity)
        return self._start(scale_set_id, queue) or moved

    def acquire(self, scale_set_id: int, request_ids: Collection[int]) -> list[int]:
        """Acquire offered jobs; return those that were still on offer."""
        if not self.offers:
            raise no_such_page()
        got = []
        for job in self.queue(scale_set_id).jobs.values():
            if job.request_id in request_ids and job.state == "offered":
                job.state = "assigned"
                self._emit(self.queue(scale_set_id), "JobAssigned", job)
                got.append(job.request_id)
        return got

    def message(self, scale_set_id: int, after: int, acquire_url: str = "") -> dict[str, Any] | None:
        """Return the oldest message past the cursor that was not acknowledged, cutting new ones as needed.

        Offers name the address at which they are acquired (protocol section 7).
        """
        offer = {"acquireJobUrl": acquire_url}
        queue = self.queue(scale_set_id)
        while queue.pending:
            self.next_message += 1
            size = min(EVENTS_IN_MESSAGE, len(queue.pending))
            queue.messages[self.next_message] = [queue.pending.popleft() for _ in range(size)]
        for number, events in queue.messages.items():
            if number > after:
                shown = [one | offer if one["messageType"] == "JobAvailable" else one for one in events]
                return {
                    "messageId": number,
                    "messageType": "RunnerScaleSetJobMessages",
                    "body": json.dumps(shown),
                    "statistics": self.statistics(scale_set_id),
                }
        return None

    def acknowledge(self, scale_set_id: int, message_id: int) -> None:
        """Forget a message."""
        if self.queue(scale_set_id).messages.pop(message_id, None) is None:
            raise no_such_page()

    def next_end(self) -> float | None:
        """Return when the next job ends (monotonic)."""
        ends = [job.ends_at for queue in self.queues.values() for job in queue.jobs.values() if job.state == "running"]
        return min(ends, default=None)

    def _expire(self, queue: _Queue) -> None:
        session = queue.session
        idle = session is not None and not session.polls
        if (
            session is not None
            and idle
            and self.clock.monotonic() - session.seen_at >= self.tenant.options.session_seconds
        ):
            queue.dead.append(session.id)
            queue.session = None

    def _let_in(self, queue: _Queue, capacity: int) -> bool:
        inside = sum(1 for job in queue.jobs.values() if job.state in {"offered", "assigned", "running"})
        moved = False
        for job in queue.jobs.values():
            if inside >= capacity:
                break
            if job.state != "queued":
                continue
            job.state = "offered" if self.offers else "assigned"
            self._emit(queue, "JobAvailable" if self.offers else "JobAssigned", job)
            inside += 1
            moved = True
        return moved

    def _start(self, scale_set_id: int, queue: _Queue) -> bool:
        idle = [
            one
            for one in self.tenant.runners.values()
            if one.scale_set_id == scale_set_id and one.online and not one.busy
        ]
        moved = False
        waiting = (job for job in queue.jobs.values() if job.state == "assigned")
        for runner, job in zip(idle, waiting, strict=False):
            runner.busy = True
            job.runner, job.state = runner, "running"
            job.ends_at = self.clock.monotonic() + (0.0 if runner.lives_on else self.tenant.options.job_seconds)
            self._emit(queue, "JobStarted", job, runnerId=runner.id, runnerName=runner.name)
            moved = True
        return moved

    def _complete(self, queue: _Queue) -> bool:
        now = self.clock.monotonic()
        over = [job for job in queue.jobs.values() if job.state == "running" and job.ends_at <= now]
        for job in over:
            runner = job.runner
            job.state = "done"
            del queue.jobs[job.id]
            self.finished += 1
            if runner is not None:
                result = "canceled" if runner.lives_on else "succeeded"
                self.tenant.finish(runner)
                self._emit(queue, "JobCompleted", job, result=result, runnerId=runner.id, runnerName=runner.name)
        return bool(over)

    def _emit(self, queue: _Queue, kind: str, job: Job, **more: object) -> None:
        queue.pending.append(
            {
                "messageType": kind,
                "runnerRequestId": job.request_id if self.offers else 0,
                "jobId": job.id,
                "ownerName": "acme",
                "repositoryName": "app",
                "jobWorkflowRef": "acme/app/.github/workflows/ci.yml@refs/heads/main",
                "jobDisplayName": "build",
                "workflowRunId": 1,
                "eventName": "push",
                "requestLabels": [],
                "queueTime": rfc3339(job.queued_at),
                "scaleSetAssignTime": rfc3339(self.clock.time()),
                "runnerAssignTime": "0001-01-01T00:00:00Z",
                "finishTime": "0001-01-01T00:00:00Z",
                **more,
            }
        )
