"""Scenarios: failures by name and by status, bodies of every form, and what is repeated (protocol sections 5 and 9)."""

from typing import Final

from tests.conformance.recorder import Reply, reply
from tests.conformance.scenario import AGENTS, SETS, Scenario, Step, call, listed

__all__ = ["SCENARIOS"]

RUNNER: Final = {"id": 7, "name": "r-1", "runnerScaleSetId": 42}
MINTED: Final = {"runner": RUNNER, "encodedJITConfig": "Q09ORklH"}
GET: Final = call("get_runner", id=7)
REMOVE: Final = call("remove_runner", id=7)
MINT: Final = call("mint", scale_set_id=42, name="r-1", work_folder="_work")
CREATE: Final = call("create_scale_set", name="linux", runner_group_id=1, labels=[])
RUNNER_7: Final = f"{AGENTS}/7"
MINTS: Final = f"POST {SETS}/42/generatejitconfig"
MADE: Final = {"id": 42, "name": "linux", "runnerGroupId": 1}
BOM: Final = b"\xef\xbb\xbf"
HTML: Final = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


def named(status: int, name: str, message: str = "said by the service", **headers: str) -> Reply:
    """Return an error as the service writes it."""
    full = f"GitHub.DistributedTask.WebApi.{name}, GitHub.DistributedTask.WebApi"
    return reply(status, {"$id": "1", "typeName": full, "typeKey": name, "message": message}, **headers)


def one(name: str, step: Step, route: str, *replies: Reply, differs: tuple[str, ...] = ()) -> Scenario:
    """Return a conversation of one call."""
    return Scenario(name=name, steps=[step], script=[(route, replies)], differs=differs)


def read(name: str, *replies: Reply, differs: tuple[str, ...] = (), retries: int | None = 1) -> Scenario:
    """Return a conversation that reads one runner."""
    return Scenario(name=name, steps=[GET], script=[(f"GET {RUNNER_7}", replies)], differs=differs, retries=retries)


GOOD: Final = reply(200, RUNNER)

SCENARIOS: Final = (
    read("get: AgentNotFoundException", named(404, "TaskAgentNotFoundException")),
    read("get: 400 with a name unknown", named(400, "SomethingNewException")),
    read("get: 400 without a name", reply(400, {"message": "no"})),
    read("get: 403", reply(403, {"message": "no"})),
    read("get: 404 as text/plain", reply(404, b"404 page not found", Content_Type="text/plain; charset=utf-8")),
    read("get: 404 empty", reply(404)),
    read("get: 409 without a name", reply(409, {"message": "no"})),
    read("get: 410", reply(410, {"message": "gone"}), differs=("gone-by-410",)),
    read("get: error with a BOM", Reply(404, BOM + b'{"typeName":"AgentNotFoundException","message":"x"}')),
    read("get: answer with a BOM", Reply(200, BOM + b'{"id":7,"name":"r-1","runnerScaleSetId":42}')),
    read("get: error with nesting unknown", reply(400, {"error": {"details": [1, {"x": None}]}})),
    read("get: 500 once", reply(500), GOOD),
    read("get: 502 in HTML once", reply(502, HTML, Content_Type="text/html"), GOOD),
    read("get: 503 with Retry-After once", reply(503, Retry_After="1"), GOOD),
    read("get: 429 with Retry-After once", reply(429, {"message": "slow down"}, Retry_After="1"), GOOD),
    read("get: 429 without Retry-After once", reply(429, {"message": "slow down"}), GOOD),
    read("get: 429 twice, each with Retry-After", *[reply(429, Retry_After="1")] * 2, GOOD, retries=2),
    read("get: 500 for good", reply(500, {"message": "down"}), retries=2),
    read("get: 500 for good, every repeat", reply(500, {"message": "down"}), retries=None),
    read("get: 429 for good", reply(429, {"message": "slow down"}), differs=("last-answer-kept",)),
    read("get: 501 is not repeated", reply(501, {"message": "no"})),
    read("get: 408 once", reply(408), GOOD, differs=("timeout-repeated",)),
    read("get: 200 empty", reply(200), GOOD, differs=("not-understood-repeated",)),
    read("get: 200 cut off", reply(200, b'{"id":7,"na'), GOOD, differs=("not-understood-repeated",)),
    read("get: 200 in HTML", reply(200, HTML, Content_Type="text/html"), GOOD, differs=("not-understood-repeated",)),
    read("get: 200 for another runner", reply(200, {**RUNNER, "id": 8}), differs=("another-refused",)),
    read("get: 204", reply(204), differs=("not-understood-repeated",)),
    read(
        "get: 403 that is a limit",
        reply(403, {"message": "API rate limit exceeded"}, Retry_After="1"),
        GOOD,
        differs=("limit-by-403",),
    ),
    one(
        "remove: JobStillRunning as 400", REMOVE, f"DELETE {RUNNER_7}", named(400, "TaskAgentJobStillRunningException")
    ),
    one(
        "remove: JobStillRunning as 409", REMOVE, f"DELETE {RUNNER_7}", named(409, "TaskAgentJobStillRunningException")
    ),
    one(
        "remove: no such runner",
        REMOVE,
        f"DELETE {RUNNER_7}",
        named(404, "TaskAgentNotFoundException"),
        differs=("gone-is-done",),
    ),
    one("remove: 500 once", REMOVE, f"DELETE {RUNNER_7}", reply(500), reply(204)),
    one("remove: 403", REMOVE, f"DELETE {RUNNER_7}", reply(403, {"message": "no"})),
    one("mint: AgentExistsException", MINT, MINTS, named(409, "TaskAgentExistsException")),
    one("mint: 409 without a name", MINT, MINTS, reply(409, {"message": "no"})),
    one("mint: RunnerScaleSetNotFoundException", MINT, MINTS, named(404, "RunnerScaleSetNotFoundException")),
    one("mint: 404 as text/plain", MINT, MINTS, reply(404, b"not found", Content_Type="text/plain")),
    one("mint: 400", MINT, MINTS, named(400, "ArgumentException")),
    one("mint: 403", MINT, MINTS, named(403, "AccessDeniedException")),
    one("mint: 500", MINT, MINTS, reply(500), reply(200, MINTED), differs=("mint-once",)),
    one(
        "mint: 503 with Retry-After",
        MINT,
        MINTS,
        reply(503, Retry_After="1"),
        reply(200, MINTED),
        differs=("mint-once",),
    ),
    one("mint: 429", MINT, MINTS, reply(429, Retry_After="1"), reply(200, MINTED), differs=("mint-once",)),
    one("mint: 200 empty", MINT, MINTS, reply(200)),
    one("mint: 200 cut off", MINT, MINTS, reply(200, b'{"runner":{"id":7')),
    one(
        "create: RunnerScaleSetExistsException",
        CREATE,
        f"POST {SETS}",
        named(400, "RunnerScaleSetExistsException"),
        differs=("unset-left-out", "conflict-by-name"),
    ),
    one(
        "create: 500",
        CREATE,
        f"POST {SETS}",
        reply(500),
        reply(200, MADE),
        differs=("unset-left-out", "change-once"),
    ),
    one(
        "create: 429 once",
        CREATE,
        f"POST {SETS}",
        reply(429, Retry_After="1"),
        reply(200, MADE),
        differs=("unset-left-out",),
    ),
    one(
        "delete: no such scale set",
        call("delete_scale_set", id=42),
        f"DELETE {SETS}/42",
        named(404, "RunnerScaleSetNotFoundException"),
        differs=("gone-is-done",),
    ),
    one(
        "update: no such scale set",
        call("update_scale_set", id=42, name="x"),
        f"PATCH {SETS}/42",
        named(404, "RunnerScaleSetNotFoundException"),
        differs=("unset-left-out",),
    ),
    one(
        "find: RunnerScaleSetNotFoundException",
        call("get_scale_set", name="x", runner_group_id=9),
        f"GET {SETS}",
        named(404, "RunnerScaleSetNotFoundException"),
    ),
    one(
        "find: list without members",
        call("get_scale_set", name="x", runner_group_id=9),
        f"GET {SETS}",
        reply(200, listed()),
    ),
)
