"""Scenarios: every call of protocol 4.2 that both clients have, in its success form, and what stands in its query."""

from typing import Final

from tests.conformance.recorder import Reply, reply
from tests.conformance.scenario import AGENTS, SETS, Scenario, Step, call, listed

__all__ = ["SCENARIOS"]

LABELS: Final = [{"type": "System", "name": "linux"}]
SET: Final = {
    "id": 42,
    "name": "linux",
    "runnerGroupId": 1,
    "runnerGroupName": "Default",
    "labels": LABELS,
    "RunnerSetting": {"disableUpdate": True},
    "createdOn": "2026-05-05T12:00:00Z",
    "runnerJitConfigUrl": "https://example.com/generatejitconfig",
    "statistics": {"totalAvailableJobs": 3},
}
RUNNER: Final = {"id": 7, "name": "r-1", "runnerScaleSetId": 42}
MINTED: Final = {"runner": RUNNER, "encodedJITConfig": "Q09ORklH"}
GROUP: Final = {"id": 5, "name": "big", "size": 3, "isDefaultGroup": False}
GROUPS: Final = "/tenant/x/_apis/runtime/runnergroups/"
FIND: Final = call("get_scale_set", name="linux", runner_group_id=1)
MINT: Final = call("mint", scale_set_id=42, name="r-1", work_folder="_work")
CREATE: Final = call("create_scale_set", name="linux", runner_group_id=1, labels=LABELS, disable_update=True)
BARE: Final = call("create_scale_set", name="linux", runner_group_id=1, labels=[])
ODD: Final = "a&b #c+d%41/e?f=g"


def one(name: str, step: Step, route: str, *replies: Reply, differs: tuple[str, ...] = ()) -> Scenario:
    """Return a conversation of one call."""
    return Scenario(name=name, steps=[step], script=[(route, replies)], differs=differs)


def scoped(name: str, config: str) -> Scenario:
    """Return a conversation under another config URL."""
    return Scenario(name=name, steps=[FIND], script=[(f"GET {SETS}", [reply(200, listed(SET))])], config=config)


def based(name: str, url: str, path: str) -> Scenario:
    """Return a conversation with another base URL of the Actions service."""
    admin = reply(200, {"url": "{base}" + url, "token": "{jwt:3600}"})
    script = [
        ("POST */actions/runner-registration", [admin]),
        (f"GET {path}/_apis/runtime/runnerscalesets", [reply(200, listed(SET))]),
        (f"POST {path}/_apis/runtime/runnerscalesets/42/generatejitconfig", [reply(200, MINTED)]),
    ]
    return Scenario(name=name, steps=[FIND, MINT], script=script)


SCENARIOS: Final = (
    one("row 1: find a scale set", FIND, f"GET {SETS}", reply(200, listed(SET))),
    one("row 1: none of that name", FIND, f"GET {SETS}", reply(200, listed())),
    one("row 1: none, as null", FIND, f"GET {SETS}", reply(200, {"count": 0, "value": None})),
    one("row 1: none, without a list", FIND, f"GET {SETS}", reply(200, {"count": 0})),
    one("row 1: two of one name", FIND, f"GET {SETS}", reply(200, listed(SET, {**SET, "id": 43}))),
    one("row 3: get a scale set", call("get_scale_set_by_id", id=42), f"GET {SETS}/42", reply(200, SET)),
    one(
        "row 3: null for a scale set",
        call("get_scale_set_by_id", id=42),
        f"GET {SETS}/42",
        reply(200, b"null"),
        differs=("null-is-not-found",),
    ),
    one(
        "row 4: create a scale set",
        CREATE,
        f"POST {SETS}",
        reply(200, SET),
        differs=("unset-left-out",),
    ),
    one(
        "row 4: create without labels",
        BARE,
        f"POST {SETS}",
        reply(200, SET),
        differs=("unset-left-out",),
    ),
    one(
        "row 4: labels without a type",
        call("create_scale_set", name="linux", runner_group_id=2, labels=[{"name": "x", "type": ""}]),
        f"POST {SETS}",
        reply(200, {**SET, "runnerGroupId": 2}),
        differs=("unset-left-out",),
    ),
    one(
        "row 4: 201 is no success",
        CREATE,
        f"POST {SETS}",
        reply(201, SET),
        differs=("unset-left-out",),
    ),
    one(
        "row 5: rename",
        call("update_scale_set", id=42, name="l2"),
        f"PATCH {SETS}/42",
        reply(200, SET),
        differs=("unset-left-out",),
    ),
    one(
        "row 5: move",
        call("update_scale_set", id=42, runner_group_id=3),
        f"PATCH {SETS}/42",
        reply(200, SET),
        differs=("unset-left-out",),
    ),
    one(
        "row 5: labels",
        call("update_scale_set", id=42, labels=LABELS),
        f"PATCH {SETS}/42",
        reply(200, SET),
        differs=("unset-left-out",),
    ),
    one("row 6: delete a scale set", call("delete_scale_set", id=42), f"DELETE {SETS}/42", reply(204)),
    one(
        "row 6: 200 is no deletion",
        call("delete_scale_set", id=42),
        f"DELETE {SETS}/42",
        reply(200, {}),
        differs=("not-understood-repeated",),
    ),
    one("row 7: find a group", call("get_runner_group", name="big"), f"GET {GROUPS}", reply(200, listed(GROUP))),
    one("row 7: no such group", call("get_runner_group", name="big"), f"GET {GROUPS}", reply(200, listed())),
    one(
        "row 7: two such groups",
        call("get_runner_group", name="big"),
        f"GET {GROUPS}",
        reply(200, listed(GROUP, {**GROUP, "id": 6})),
    ),
    one(
        "row 7: the default group",
        call("get_runner_group", name="default"),
        f"GET {GROUPS}",
        reply(200, listed({"id": 1, "name": "Default", "size": 0, "isDefaultGroup": True})),
        differs=("default-group-known",),
    ),
    one("row 8: mint", MINT, f"POST {SETS}/42/generatejitconfig", reply(200, MINTED)),
    one("row 8: 201 is no mint", MINT, f"POST {SETS}/42/generatejitconfig", reply(201, MINTED)),
    one(
        "row 8: mint without a work folder",
        call("mint", scale_set_id=42, name="r-1"),
        f"POST {SETS}/42/generatejitconfig",
        reply(200, MINTED),
    ),
    one("row 9: get a runner", call("get_runner", id=7), f"GET {AGENTS}/7", reply(200, RUNNER)),
    one("row 10: find a runner", call("get_runner_by_name", name="r-1"), f"GET {AGENTS}", reply(200, listed(RUNNER))),
    one("row 10: no such runner", call("get_runner_by_name", name="r-1"), f"GET {AGENTS}", reply(200, listed())),
    one(
        "row 10: two such runners",
        call("get_runner_by_name", name="r-1"),
        f"GET {AGENTS}",
        reply(200, listed(RUNNER, {**RUNNER, "id": 8})),
    ),
    one("row 12: remove a runner", call("remove_runner", id=7), f"DELETE {AGENTS}/7", reply(204)),
    one(
        "row 12: 200 is no removal",
        call("remove_runner", id=7),
        f"DELETE {AGENTS}/7",
        reply(200, {}),
        differs=("not-understood-repeated",),
    ),
    one(
        "odd name of a scale set",
        call("get_scale_set", name=ODD, runner_group_id=1),
        f"GET {SETS}",
        reply(200, listed()),
        differs=("names-quoted",),
    ),
    one(
        "odd name of a runner",
        call("get_runner_by_name", name=ODD),
        f"GET {AGENTS}",
        reply(200, listed()),
        differs=("names-quoted",),
    ),
    one(
        "odd name of a group",
        call("get_runner_group", name="a+b c"),
        f"GET {GROUPS}",
        reply(200, listed()),
        differs=("names-quoted",),
    ),
    one(
        "name beyond ASCII",
        call("get_scale_set", name="größe", runner_group_id=1),
        f"GET {SETS}",
        reply(200, listed()),
    ),
    scoped("config URL of an organisation", "/acme/"),
    scoped("config URL of a repository", "/acme/app"),
    scoped("config URL of an enterprise", "/enterprises/big"),
    scoped("config URL with a query", "/acme?a=1&b=<2>"),
    based("base URL without a path", "", ""),
    based("base URL with a slash", "/deep/path/", "/deep/path"),
    based("base URL with a query", "/rest?sig=a%26b&x=1", "/rest"),
    based("base URL with its own api-version", "/rest?api-version=7.0", "/rest"),
    Scenario(
        name="fields unknown, times with 7 digits",
        steps=[FIND, call("get_runner", id=7)],
        script=[
            (
                f"GET {SETS}",
                [reply(200, listed({**SET, "new": {"x": [1]}, "createdOn": "2026-05-05T12:00:00.1234567Z"}))],
            ),
            (f"GET {AGENTS}/7", [reply(200, {**RUNNER, "status": 3, "busy": None, "labels": [], "os": "linux"})]),
        ],
    ),
    Scenario(
        name="unset times, members in small letters",
        steps=[FIND],
        script=[
            (
                f"GET {SETS}",
                [
                    reply(
                        200,
                        listed(
                            {
                                "id": 42,
                                "name": "linux",
                                "runnerGroupId": 1,
                                "labels": [],
                                "runnerSetting": {"disableUpdate": True},
                                "createdOn": "0001-01-01T00:00:00Z",
                            }
                        ),
                    )
                ],
            )
        ],
    ),
    Scenario(
        name="calls at once on a cold client",
        steps=[call("together", ops=[{"op": "get_runner", "args": {"id": number}} for number in range(1, 6)])],
        script=[(f"GET {AGENTS}/{number}", [reply(200, {**RUNNER, "id": number})]) for number in range(1, 6)],
        unordered=True,
    ),
)
