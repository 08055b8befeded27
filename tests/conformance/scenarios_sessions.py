"""Scenarios: message sessions, polls, acknowledgements and acquisitions (protocol section 6)."""

import json
from typing import Any, Final

from tests.conformance.recorder import Reply, reply
from tests.conformance.scenario import QUEUE, SETS, Scenario, Step, call, listed

__all__ = ["SCENARIOS"]

SESSION: Final = "7d0c1c1e-0000-4000-8000-00000000000a"
SECOND: Final = "7d0c1c1e-0000-4000-8000-00000000000b"
STATISTICS: Final = {
    "totalAvailableJobs": 1,
    "totalAcquiredJobs": 2,
    "totalAssignedJobs": 3,
    "totalRunningJobs": 4,
    "totalRegisteredRunners": 5,
    "totalBusyRunners": 6,
    "totalIdleRunners": 7,
}
SESSIONS: Final = f"{SETS}/42/sessions"
OPEN: Final = call("open_session", scale_set_id=42, owner="host-17")
CLOSE: Final = call("close_session")
SENT: Final = ("unset-left-out",)
"""The official client sends an empty session id with every opening."""


def session(token: str, queue: str = QUEUE, number: str = SESSION) -> dict[str, Any]:
    """Return a session as the service writes it."""
    return {
        "sessionId": number,
        "ownerName": "host-17",
        "runnerScaleSet": {"id": 42, "name": "linux"},
        "messageQueueUrl": "{base}" + queue,
        "messageQueueAccessToken": token,
        "statistics": STATISTICS,
    }


def poll(last: int = 0, capacity: int = 25) -> Step:
    """Return a poll after a message."""
    return call("poll", last_message_id=last, capacity=capacity)


def job(kind: str, number: int, **more: object) -> dict[str, object]:
    """Return a job event as the service writes it."""
    return {
        "messageType": kind,
        "runnerRequestId": number,
        "jobId": f"job-{number}",
        "ownerName": "acme",
        "repositoryName": "app",
        "jobWorkflowRef": "acme/app/.github/workflows/x.yml@refs/heads/main",
        "jobDisplayName": "build",
        "workflowRunId": 3000000001,
        "eventName": "push",
        "requestLabels": ["linux"],
        "queueTime": "2026-05-05T12:00:00.1234567Z",
        "finishTime": "0001-01-01T00:00:00Z",
        **more,
    }


def message(number: int, *events: object, kind: str = "RunnerScaleSetJobMessages") -> Reply:
    """Return a message as the service writes it: the events are JSON inside JSON."""
    body = json.dumps(events) if events else ""
    return reply(200, {"messageId": number, "messageType": kind, "body": body, "statistics": STATISTICS})


def talk(
    name: str,
    steps: list[Step],
    *script: tuple[str, list[Reply]],
    differs: tuple[str, ...] = (),
    queue: str = QUEUE,
    unordered: bool = False,
    sent: tuple[str, ...] = SENT,
) -> Scenario:
    """Return a conversation over an open session, whose queue token is Q1, and Q2 after a refresh."""
    usual = (
        (f"PATCH {SESSIONS}/{SESSION}", [reply(200, session("Q2", queue))]),
        (f"POST {SESSIONS}", [reply(200, session("Q1", queue))]),
        (f"DELETE {SESSIONS}/*", [reply(204)]),
    )
    return Scenario(
        name=name, steps=[OPEN, *steps], script=(*script, *usual), differs=(*sent, *differs), unordered=unordered
    )


POLL: Final = f"GET {QUEUE}"
EMPTY: Final = reply(202)
DEAD: Final = reply(401, {"typeName": "InvalidTokenException", "message": "expired"}, only="Q1")
LARGE: Final = 5_000_000_000
OFFERS: Final = message(11, job("JobAvailable", 101), job("JobAvailable", 102))
ACQUIRE: Final = f"POST {SETS}/42/acquirejobs"
TAKE: Final = call("acquire", request_ids=[101, 102])


def conflict(status: int = 409) -> Reply:
    """Return the refusal of a second session."""
    name = "GitHub.Actions.Runtime.WebApi.RunnerScaleSetSessionConflictException, GitHub.Actions.Runtime.WebApi"
    return reply(status, {"typeName": name, "message": "already has an active session"})


def expired(status: int = 400) -> Reply:
    """Return the refusal of a session that is over."""
    name = "GitHub.Actions.Runtime.WebApi.RunnerScaleSetSessionExpiredException, GitHub.Actions.Runtime.WebApi"
    return reply(status, {"typeName": name, "message": "the session has expired"})


SCENARIOS: Final = (
    talk("row 13 and 15: open and close", [call("session"), CLOSE]),
    talk("open: 201 is no success", [], (f"POST {SESSIONS}", [reply(201, session("Q1"))])),
    talk("open: conflict", [], (f"POST {SESSIONS}", [conflict()])),
    talk(
        "open: no such scale set",
        [],
        (f"POST {SESSIONS}", [reply(404, {"typeName": "RunnerScaleSetNotFoundException"})]),
    ),
    talk("open: 500", [], (f"POST {SESSIONS}", [reply(500), reply(200, session("Q1"))]), differs=("change-once",)),
    Scenario(
        name="open: conflict that passes",
        steps=[call("open_session", scale_set_id=42, owner="host-17", conflict_limit=5.0)],
        script=[(f"POST {SESSIONS}", [conflict(), reply(200, session("Q1"))])],
        differs=(*SENT, "conflict-waited-out"),
    ),
    talk("close: session expired", [CLOSE], (f"DELETE {SESSIONS}/*", [expired()]), differs=("gone-is-done",)),
    talk(
        "close: 400 with another name",
        [CLOSE],
        (f"DELETE {SESSIONS}/*", [reply(400, {"typeName": "ArgumentException"})]),
    ),
    talk("close: 500 once", [CLOSE], (f"DELETE {SESSIONS}/*", [reply(500), reply(204)])),
    talk("row 16: poll, nothing happened", [poll()], (POLL, [EMPTY])),
    talk("poll: capacity 0", [poll(capacity=0)], (POLL, [EMPTY])),
    talk("poll: queue URL with a query", [poll()], (POLL, [EMPTY]), queue=f"{QUEUE}?s=1&t=a%26b"),
    talk("poll: offers", [poll()], (POLL, [OFFERS])),
    talk("poll: jobs assigned", [poll()], (POLL, [message(12, job("JobAssigned", 0))])),
    talk(
        "poll: job started",
        [poll()],
        (POLL, [message(13, job("JobStarted", 103, runnerId=7, runnerName="r-1"))]),
    ),
    talk(
        "poll: job completed",
        [poll()],
        (POLL, [message(14, job("JobCompleted", 103, runnerId=7, runnerName="r-1", result="succeeded"))]),
    ),
    talk(
        "poll: every kind, and one unknown",
        [poll()],
        (
            POLL,
            [
                message(
                    15,
                    job("JobAvailable", 1),
                    job("JobAssigned", 2),
                    job("JobStarted", 3, runnerId=7, runnerName="r-1"),
                    job("JobCompleted", 4, runnerId=7, runnerName="r-1", result="failed"),
                    job("JobFromTheFuture", 5),
                )
            ],
        ),
    ),
    talk("poll: no events", [poll()], (POLL, [message(16)])),
    talk("poll: ids beyond 32 bits", [poll()], (POLL, [message(LARGE, job("JobAvailable", LARGE + 1))])),
    talk("poll: type of message unknown", [poll()], (POLL, [message(17, kind="Other")]), differs=("message-unknown",)),
    talk(
        "row 17: acknowledge, then go on after it",
        [poll(), call("acknowledge", message_id=LARGE), poll(LARGE)],
        (POLL, [message(LARGE, job("JobAvailable", 1)), EMPTY]),
        (f"DELETE {QUEUE}/*", [reply(204)]),
    ),
    talk(
        "acknowledge below a queue URL with a query",
        [poll(), call("acknowledge", message_id=11), poll(11)],
        (POLL, [OFFERS, EMPTY]),
        (f"DELETE {QUEUE}/11", [reply(204)]),
        queue=f"{QUEUE}?s=1",
    ),
    talk(
        "acknowledge: gone already",
        [poll(), call("acknowledge", message_id=11)],
        (POLL, [OFFERS]),
        (f"DELETE {QUEUE}/11", [reply(404, {"message": "no such message"})]),
        differs=("doubt-settled",),
    ),
    talk(
        "acknowledge: 500 once",
        [poll(), call("acknowledge", message_id=11)],
        (POLL, [OFFERS]),
        (f"DELETE {QUEUE}/11", [reply(500), reply(204)]),
    ),
    talk(
        "acknowledge: token ended",
        [poll(), call("acknowledge", message_id=11)],
        (POLL, [OFFERS]),
        (f"DELETE {QUEUE}/11", [DEAD, reply(204)]),
    ),
    talk(
        "acknowledge: token ended, three at once",
        [
            poll(),
            poll(),
            poll(),
            call("together", ops=[{"op": "acknowledge", "args": {"message_id": one}} for one in (21, 22, 23)]),
        ],
        (POLL, [message(21), message(22), message(23)]),
        (f"DELETE {QUEUE}/*", [DEAD, reply(204)]),
        sent=(),
        differs=("side-by-side",),
        unordered=True,
    ),
    talk("row 14: poll, token ended", [poll()], (POLL, [DEAD, EMPTY])),
    talk("poll: token ended, its successor too", [poll()], (POLL, [reply(401)]), differs=("doubt-settled",)),
    talk(
        "poll: session lost right after its refresh",
        [poll()],
        (POLL, [DEAD, reply(401), EMPTY]),
        (f"PATCH {SESSIONS}/{SESSION}", [reply(200, session("Q2")), reply(404)]),
        (f"POST {SESSIONS}", [reply(200, session("Q1")), reply(200, session("Q3", number=SECOND))]),
        differs=("doubt-settled",),
    ),
    talk("poll: 400 empty, the session lives", [poll()], (POLL, [reply(400), EMPTY]), differs=("doubt-settled",)),
    talk(
        "poll: 400 cut off, the session is over",
        [poll()],
        (POLL, [reply(400, b'{"typeName":"GitHub.Actions.Runtime.WebApi.RunnerScaleSetSessionExp'), EMPTY]),
        (f"PATCH {SESSIONS}/{SESSION}", [expired()]),
        (f"POST {SESSIONS}", [reply(200, session("Q1")), reply(200, session("Q3", number=SECOND))]),
        differs=("doubt-settled",),
    ),
    talk(
        "poll: token ended, refresh refused",
        [poll()],
        (POLL, [DEAD, EMPTY]),
        (f"PATCH {SESSIONS}/{SESSION}", [reply(404, {"typeName": "RunnerAdminException", "message": "not in redis"})]),
        (f"POST {SESSIONS}", [reply(200, session("Q1")), reply(200, session("Q3", number=SECOND))]),
        differs=("lost-session-replaced",),
    ),
    talk(
        "poll: 404", [poll()], (POLL, [reply(404, b"no", Content_Type="text/plain"), EMPTY]), differs=("doubt-settled",)
    ),
    talk("poll: 400", [poll()], (POLL, [reply(400, {"message": "bad capacity"})])),
    talk("poll: 403", [poll()], (POLL, [reply(403, {"message": "no"})])),
    talk("poll: 500 once", [poll(), poll()], (POLL, [reply(500), EMPTY]), differs=("poll-once",)),
    talk("poll: 200 empty", [poll()], (POLL, [reply(200)])),
    talk("row 18: acquire", [poll(), TAKE], (POLL, [OFFERS]), (ACQUIRE, [reply(200, listed(101))])),
    talk("acquire: none of them", [TAKE], (ACQUIRE, [reply(200, listed())])),
    talk(
        "acquire: nothing to ask for",
        [call("acquire", request_ids=[])],
        (ACQUIRE, [reply(200, listed())]),
        differs=("nothing-to-acquire",),
    ),
    talk("acquire: token ended", [TAKE], (ACQUIRE, [DEAD, reply(200, listed(101, 102))])),
    talk(
        "acquire: 404 from the router",
        [TAKE],
        (ACQUIRE, [reply(404, b"no", Content_Type="text/plain")]),
        differs=("doubt-settled", "assigning-service"),
    ),
    talk("acquire: 500", [TAKE], (ACQUIRE, [reply(500), reply(200, listed(101))]), differs=("change-once",)),
)
