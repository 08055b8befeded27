"""The operator's side: counters, jobs, faults and settings under `/_sim/`, a page for people at `/`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from ipaddress import ip_address
from math import inf
from typing import Any
from urllib.parse import urlsplit

from scaleset_simulator.errors import Refusal
from scaleset_simulator.faults import FaultError, parse_fault
from scaleset_simulator.latency import parse_latency
from scaleset_simulator.options import OVERLOADS
from scaleset_simulator.service import Answer, Handler, Received
from scaleset_simulator.statuspage import CONTENT_SECURITY_POLICY, Status, page
from scaleset_simulator.switches import SWITCHES
from scaleset_simulator.tenant import ScaleSet, read_jit_config
from scaleset_simulator.world import World

__all__ = ["Control"]

MOST_JOBS = 10_000
"""Jobs queued by one request at most."""

MOST_OPEN_JOBS = 100_000

MOST_FAULTS = 100

STATES = ("offline", "online", "busy")

_OF_BROWSERS = ("origin", "sec-fetch-site", "sec-fetch-mode")
"""Headers that browsers send, and command lines do not."""

CHANGEABLE = ("latency", "jitter", "capacity", "overload", "slices", "bom", "unready", "seed", *SWITCHES)


class Control:
    """Answers the operator."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._actions: Mapping[str, Handler] = {
            "GET /": self._show,
            "GET /health": lambda _request: Answer(200, {"ready": True}),
            "GET /counters": lambda _request: Answer(200, self._counters()),
            "POST /counters/reset": self._reset,
            "GET /runners": lambda _request: Answer(200, self._runners()),
            "POST /runners": lambda request: self._add_runners(request.json()),
            "POST /runners/drop": self._drop_runners,
            "POST /jobs": lambda request: self._jobs(request.json()),
            "POST /connect": self._connect,
            "POST /faults": self._set_faults,
            "POST /settings": lambda request: self._settings(request.json()),
            "POST /tokens/expire": self._expire,
            "POST /scale-sets/recreate": lambda request: self._recreate(request.json()),
        }

    async def answer(self, request: Received) -> Answer:
        """Answer one request of the operator's; not of a web page that happens to be open on this machine."""
        if (why := _foreign(request)) is not None:
            return Answer(403, {"message": why})
        path = request.path.removeprefix("/_sim").rstrip("/") or "/"
        action = self._actions.get(f"{request.method} {path}")
        if action is None:
            return Answer(404, {"message": f"no such control: {request.method} {request.path}"})
        try:
            answer = action(request)
            return await answer if inspect.isawaitable(answer) else answer
        except Refusal as refusal:
            return Answer(refusal.status, {"message": refusal.message})
        except (FaultError, KeyError, TypeError, ValueError) as error:
            return Answer(400, {"message": f"{type(error).__name__}: {error}"})

    def _show(self, _request: Received) -> Answer:
        world, now = self._world, self._world.clock.time()
        status = Status(
            config_url=world.config_url,
            token=world.options.token,
            elapsed=world.clock.monotonic() - world.started,
            counted=self._counters(),
            lately=world.gauge.lately(world.clock.monotonic()),
            scale_sets=[(one.id, one.name) for one in world.tenant.scale_sets.values()],
            runners=[
                (one.name, one.scale_set_id, STATES[one.online + (one.online and one.busy)], now - one.created_at)
                for one in reversed(world.tenant.runners.values())
            ],
            jobs=((number, job.state) for number, queue in world.board.queues.items() for job in queue.jobs.values()),
            faults=world.faults.faults,
        )
        headers = {"content-type": "text/html; charset=utf-8", "content-security-policy": CONTENT_SECURITY_POLICY}
        return Answer(200, text=page(status), headers=headers)

    def _reset(self, _request: Received) -> Answer:
        self._world.gauge.reset()
        return Answer(200, {})

    def _set_faults(self, request: Received) -> Answer:
        texts = request.json()
        if not isinstance(texts, list) or len(texts) > MOST_FAULTS:
            raise ValueError(f"expected a list of at most {MOST_FAULTS} faults")
        self._world.faults.set([parse_fault(text) for text in texts])
        return Answer(200, {})

    def _expire(self, _request: Received) -> Answer:
        self._world.tokens.expire()
        return Answer(200, {})

    def _counters(self) -> dict[str, Any]:
        tenant, board = self._world.tenant, self._world.board
        return self._world.gauge.value() | {
            "registrations": tenant.registrations,
            "max_registrations_in_window": tenant.most_recent,
            "duplicate_names": tenant.duplicates,
            "runners": len(tenant.runners),
            "jobs_finished": board.finished,
            "jobs_open": sum(len(queue.jobs) for queue in board.queues.values()),
            "faults": dict(self._world.faults.counts),
            "time": self._world.clock.monotonic(),
        }

    def _runners(self) -> list[dict[str, Any]]:
        return [
            runner.value() | {"registered_at": runner.registered_at} for runner in self._world.tenant.runners.values()
        ]

    def _add_runners(self, body: dict[str, Any]) -> Answer:
        """Register runners as they may have been left behind: some time ago, offline, online or with a job."""
        scale_set, names = self._scale_set(body), body["names"]
        age, state = float(body.get("age", 0)), body.get("state", "offline")
        if state not in STATES:
            raise ValueError(f"state is {state!r:.100}; expected one of {', '.join(STATES)}")
        if not isinstance(names, list) or len(names) > MOST_JOBS:
            raise ValueError(f"names are a list of at most {MOST_JOBS}")
        for name in names:
            runner = self._world.tenant.register(scale_set.id, str(name))
            runner.created_at -= age
            runner.online, runner.busy = state != "offline", state == "busy"
        return Answer(200, {})

    def _drop_runners(self, _request: Received) -> Answer:
        """Drop every registration, as an incident does; a job that runs goes on to its end."""
        return Answer(200, {"dropped": self._world.tenant.drop_runners()})

    def _scale_set(self, body: dict[str, Any]) -> ScaleSet:
        tenant = self._world.tenant
        found = tenant.find_scale_set(str(body["scale_set"]), tenant.group_id(str(body.get("group", "default"))))
        if found is None:
            raise Refusal(404, None, f"no scale set {body['scale_set']!r}")
        return found

    async def _jobs(self, body: dict[str, Any]) -> Answer:
        scale_set, board = self._scale_set(body), self._world.board
        count, open_jobs = body.get("count", 1), sum(len(queue.jobs) for queue in board.queues.values())
        if type(count) is not int or not 1 <= count <= MOST_JOBS:
            raise ValueError(f"count is {count!r:.100}; expected a whole number from 1 to {MOST_JOBS}")
        if open_jobs + count > MOST_OPEN_JOBS:
            raise ValueError(f"{open_jobs} jobs are open, and {count} more are over the {MOST_OPEN_JOBS} there may be")
        made = board.add(scale_set, count)
        board.step(scale_set.id)
        await self._world.notify()
        return Answer(200, {"jobs": made})

    async def _connect(self, request: Received) -> Answer:
        """A runner comes online with its JIT config, if no fault keeps it away: once, and only while registered."""
        text = request.body.decode("ascii", "replace").strip()
        if text.startswith("{"):
            text = str(request.json()["jit"])
        try:
            number, secret = read_jit_config(text)
        except (ValueError, KeyError) as error:
            raise Refusal(400, None, "this is no JIT config") from error
        runner = self._world.tenant.runners.get(number)
        if runner is None or runner.secret != secret:
            raise Refusal(404, None, "no such registration")
        if runner.online:
            raise Refusal(409, None, "this JIT config is in use")
        fault = self._world.faults.strike("connect", self._world.clock.monotonic() - self._world.started)
        runner.online = fault is None or fault.action != "never-online"
        runner.lives_on = fault is not None and fault.action == "lives-on"
        self._world.board.step(runner.scale_set_id)
        await self._world.notify()
        return Answer(200, {"id": runner.id, "name": runner.name})

    def _settings(self, body: dict[str, Any]) -> Answer:
        options = self._world.options
        changes: dict[str, object] = {}
        for name, value in body.items():
            if name not in CHANGEABLE:
                raise ValueError(f"{name} cannot be changed; can be: {', '.join(CHANGEABLE)}")
            changes[name] = parse_latency(f"{value}") if name == "latency" else value
            _fits(name, changes[name], type(getattr(options, name)))
        for name, value in changes.items():
            setattr(options, name, value)
        if "seed" in body:
            self._world.draw_anew()
        self._world.unready_left = int(body.get("unready", self._world.unready_left))
        values = {name: getattr(options, name) for name in CHANGEABLE}
        return Answer(200, values | {"latency": options.latency.text})

    async def _recreate(self, body: dict[str, Any]) -> Answer:
        """Delete a scale set and create it again under the same name: it has another id then."""
        tenant = self._world.tenant
        group = tenant.group_id(str(body.get("group", "default")))
        old = tenant.find_scale_set(str(body["scale_set"]), group)
        if old is not None:
            await self._world.delete_scale_set(old.id)
        made = tenant.create_scale_set(str(body["scale_set"]), group)
        return Answer(200, {"id": made.id, "was": old.id if old is not None else None})


def _foreign(request: Received) -> str | None:
    """Say why a request comes from a page of another site: by its origin, or by a name that leads here (rebinding)."""
    host = request.headers.get("host", "")
    name = urlsplit(f"//{host}").hostname or ""
    try:
        ours = name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        ours = False
    if not ours:
        return f"Host is {host[:100]!r}; the operator's side answers to localhost and loopback addresses only"
    origin = request.headers.get("origin")
    if origin is not None and origin not in {f"http://{host}", f"https://{host}"}:
        return f"Origin is {origin[:100]!r}; pages of other sites may not drive the simulator"
    if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        return "the request comes from a page of another site, which may not drive the simulator"
    json = request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
    if request.method == "POST" and not json and any(each in request.headers for each in _OF_BROWSERS):
        return "a browser may send application/json only, for which a page of another site has to ask first"
    return None


def _fits(name: str, value: object, wanted: type) -> None:
    """Raise if a setting cannot have that value."""
    if name in SWITCHES:
        SWITCHES[name].checked(value)
        return
    right = isinstance(value, wanted | int if wanted is float else wanted)
    if not right or isinstance(value, bool) != (wanted is bool):
        raise TypeError(f"{name} is {value!r}; expected a {wanted.__name__}")
    if isinstance(value, int | float) and not 0 <= value < inf:
        raise ValueError(f"{name} is {value!r}; expected a number from 0")
    if name == "overload" and value not in OVERLOADS:
        raise ValueError(f"overload is {value!r}; expected one of {', '.join(OVERLOADS)}")
