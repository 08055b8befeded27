"""The endpoints of the protocol: each takes a request's values and returns an answer, or raises a `Refusal`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import parse_qs

from scaleset_simulator.errors import Refusal, bad_request, scale_set_exists
from scaleset_simulator.tenant import checked, jit_config, rfc3339
from scaleset_simulator.world import World

__all__ = ["BASE", "QUEUE", "Answer", "Handler", "Received", "address"]

BASE = "/tenant-1/rest"
QUEUE = "/scalesets/message"

MOST_IN_SLICE = 1000


@dataclass(slots=True)
class Received:
    """One request, read whole."""

    world: World
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    numbers: tuple[str, ...] = ()
    partial: bool = False
    gone: Callable[[], Awaitable[object]] | None = None

    @property
    def authorization(self) -> str:
        """The header of this name."""
        return self.headers.get("authorization", "")

    def argument(self, name: str) -> str | None:
        """Return a query parameter."""
        return parse_qs(self.query, keep_blank_values=True).get(name, [None])[0]

    def json(self) -> Any:  # noqa: ANN401  # whatever the client sent
        """Return the body as JSON."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise bad_request("The body is no JSON.") from error


@dataclass(slots=True)
class Answer:
    """What is sent back."""

    status: int
    value: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    text: bytes | None = None


Handler: TypeAlias = Callable[[Received], Answer | Awaitable[Answer]]


def _listed(values: list[Any]) -> Answer:
    return Answer(200, {"count": len(values), "value": values})


# The token chain (protocol section 3)


def installation(request: Received) -> Answer:
    """POST /app/installations/{id}/access_tokens."""
    token, expires = request.world.tokens.installation(request.authorization, int(request.numbers[0]))
    return Answer(201, {"token": token, "expires_at": rfc3339(expires)[:19] + "Z"}, _rest_headers(request))


def registration(request: Received) -> Answer:
    """POST /…/actions/runners/registration-token."""
    token, expires = request.world.tokens.registration(request.authorization)
    return Answer(201, {"token": token, "expires_at": rfc3339(expires)[:19] + "Z"}, _rest_headers(request))


def admin(request: Received) -> Answer:
    """POST /actions/runner-registration."""
    world = request.world
    if world.unready_left > 0:
        world.unready_left -= 1
        raise Refusal(401, None, "Invalid token (not yet known to this service)")
    body = request.json()
    either = body.get("runnerEvent") if world.options.event_keys == "any" else None
    if body.get("runner_event", either) != "register" or not str(body.get("url", "")).startswith("http"):
        raise Refusal(400, None, "url and runner_event are needed")
    token = world.tokens.admin(request.authorization)
    return Answer(200, {"url": address(world), "token": token, "token_schema": "OAuthAccessToken"})


def address(world: World, path: str = "") -> str:
    """Return an address of the Actions service, with the query that it may have (protocol 2.3)."""
    query = f"?{world.options.tenant_query}" if world.options.tenant_query else ""
    return f"{world.origin}{BASE}{path}{query}"


def _rest_headers(request: Received) -> dict[str, str]:
    used = sum(request.world.gauge.requests[kind] for kind in ("registration", "installation"))
    reset = int(request.world.clock.time()) + 3600
    return {
        "x-ratelimit-limit": "5000",
        "x-ratelimit-remaining": str(max(0, 5000 - used)),
        "x-ratelimit-used": str(used),
        "x-ratelimit-reset": str(reset),
        "x-ratelimit-resource": "core",
    }


# Scale sets and groups (protocol 4.2, rows 1 to 7)


def _scale_set(request: Received, number: int) -> dict[str, Any]:
    one = request.world.tenant.scale_set(number)
    return request.world.tenant.scale_set_value(one, request.world.board.statistics(number))


def list_scale_sets(request: Received) -> Answer:
    """GET SS: by group and name, by group, or all."""
    group, name = request.argument("runnerGroupId"), request.argument("name")
    found = [
        one
        for one in request.world.tenant.scale_sets.values()
        if (group is None or one.group_id == int(group)) and (name is None or one.name.lower() == name.lower())
    ]
    return _listed([_scale_set(request, one.id) for one in found])


def get_scale_set(request: Received) -> Answer:
    """GET SS/{id}."""
    return Answer(200, _scale_set(request, int(request.numbers[0])))


def create_scale_set(request: Received) -> Answer:
    """POST SS."""
    body = request.json()
    setting = body.get("RunnerSetting") or body.get("runnerSetting") or {}
    made = request.world.tenant.create_scale_set(
        str(body.get("name") or ""),
        int(body.get("runnerGroupId") or 1),
        body.get("labels"),
        disable_update=bool(setting.get("disableUpdate")),
    )
    return Answer(200, _scale_set(request, made.id))


def update_scale_set(request: Received) -> Answer:
    """PATCH SS/{id}: partial."""
    one = request.world.tenant.scale_set(int(request.numbers[0]))
    body = request.json()
    name, group_id = str(body.get("name") or one.name), int(body.get("runnerGroupId") or one.group_id)
    request.world.tenant.check_group(group_id)
    other = request.world.tenant.find_scale_set(name, group_id)
    if other is not None and other is not one:
        raise scale_set_exists(name)
    labels = checked(name, body.get("labels"))
    one.name, one.group_id = name, group_id
    one.labels = labels or one.labels
    setting = body.get("RunnerSetting") or body.get("runnerSetting") or {}
    one.disable_update = setting.get("disableUpdate", one.disable_update)
    return Answer(200, _scale_set(request, one.id))


async def delete_scale_set(request: Received) -> Answer:
    """DELETE SS/{id}."""
    await request.world.delete_scale_set(int(request.numbers[0]))
    return Answer(204)


def find_group(request: Received) -> Answer:
    """GET runnergroups/?groupName=."""
    name = request.argument("groupName")
    groups = request.world.tenant.groups
    chosen = [(each, number) for each, number in groups.items() if name is None or each == name.lower()]
    size = len(request.world.tenant.runners)
    return _listed(
        [
            {
                "id": number,
                "name": "Default" if each == "default" else each,
                "size": size,
                "isDefaultGroup": number == 1,
            }
            for each, number in chosen
        ]
    )


# Runners (rows 8 to 12)


def _minted(request: Received, scale_set_id: int, name: str) -> dict[str, Any]:
    runner = request.world.tenant.register(scale_set_id, name)
    reference = {"id": runner.id, "name": runner.name, "runnerScaleSetId": runner.scale_set_id}
    return {"runner": reference, "encodedJITConfig": jit_config(runner)}


def _within_limits(request: Received) -> None:
    wait = request.world.tenant.wait_for_next()
    if wait is not None:
        seconds = int(wait) + 1
        request.world.gauge.told_to_wait(request.world.clock.monotonic(), seconds)
        raise Refusal(429, None, "Too many registrations.", {"retry-after": str(seconds)})


def mint(request: Received) -> Answer:
    """POST SS/{id}/generatejitconfig: one setting, or a slice of them where that is switched on."""
    body = request.json()
    _within_limits(request)
    scale_set_id = int(request.numbers[0])
    if not isinstance(body, list):
        return Answer(200, _minted(request, scale_set_id, str(body.get("name") or "")))
    if len(body) > MOST_IN_SLICE:
        raise bad_request(f"A slice has {MOST_IN_SLICE} items at most.")
    if not request.world.options.slices:
        raise bad_request("Cannot deserialize the current JSON array into type 'RunnerScaleSetJitRunnerSetting'.")
    request.world.tenant.scale_set(scale_set_id)
    return _listed(
        [_item(request, scale_set_id, str(each.get("name") or ""), index) for index, each in enumerate(body)]
    )


def _item(request: Received, scale_set_id: int, name: str, index: int) -> dict[str, Any]:
    try:
        _struck(request, index)
        return _minted(request, scale_set_id, name)
    except Refusal as refusal:
        return {"name": name, "typeName": refusal.type_name, "message": refusal.message, "status": refusal.status}


def _struck(request: Received, index: int) -> None:
    if request.world.tenant.wait_for_next() is not None:
        raise Refusal(429, None, "Too many registrations.")
    if request.partial and index % 2:
        raise Refusal(503, None, "The item failed.")


def list_runners(request: Received) -> Answer:
    """GET AG, all or by name."""
    name = request.argument("agentName")
    if name is not None:
        found = request.world.tenant.by_name.get(name.lower())
        return _listed([found.value()] if found is not None else [])
    return _listed([runner.value() for runner in request.world.tenant.runners.values()])


def get_runner(request: Received) -> Answer:
    """GET AG/{id}."""
    return Answer(200, request.world.tenant.runner(int(request.numbers[0])).value())


def remove_runner(request: Received) -> Answer:
    """DELETE AG/{id}."""
    number = int(request.numbers[0])
    tenant = request.world.tenant
    if number not in tenant.runners and tenant.options.absent_status == 204:
        return Answer(204)
    tenant.remove(number)
    return Answer(204)
