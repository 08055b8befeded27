"""The operator's side: counters, jobs, faults and settings under `/_sim/`, a page for people at `/`."""

from __future__ import annotations

import html
from dataclasses import asdict, fields
from typing import Any

from scaleset_burst.simulator.errors import Refusal
from scaleset_burst.simulator.faults import FaultError, parse_fault
from scaleset_burst.simulator.service import Answer, Received
from scaleset_burst.simulator.tenant import read_jit_config
from scaleset_burst.simulator.world import World

__all__ = ["Control"]

CHANGEABLE = ("latency", "jitter", "capacity", "overload", "slices", "bom", "unready")


class Control:
    """Answers the operator."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def answer(self, request: Received) -> Answer:
        """Answer one request of the operator's."""
        action = (request.method, request.path.removeprefix("/_sim").rstrip("/") or "/")
        try:
            match action:
                case "GET", "/":
                    return Answer(200, text=self._page(), headers={"content-type": "text/html; charset=utf-8"})
                case "GET", "/health":
                    return Answer(200, {"ready": True})
                case "GET", "/counters":
                    return Answer(200, self._counters())
                case "POST", "/counters/reset":
                    self._world.gauge.reset()
                    return Answer(200, {})
                case "GET", "/runners":
                    return Answer(200, self._runners())
                case "POST", "/jobs":
                    return await self._jobs(request.json())
                case "POST", "/connect":
                    return await self._connect(request)
                case "POST", "/faults":
                    self._world.faults.set([parse_fault(text) for text in request.json()])
                    return Answer(200, {})
                case "POST", "/settings":
                    return self._settings(request.json())
                case "POST", "/tokens/expire":
                    self._world.tokens.expire()
                    return Answer(200, {})
                case "POST", "/scale-sets/recreate":
                    return self._recreate(request.json())
                case _:
                    return Answer(404, {"message": f"no such control: {request.method} {request.path}"})
        except Refusal as refusal:
            return Answer(refusal.status, {"message": refusal.message})
        except (FaultError, KeyError, TypeError, ValueError) as error:
            return Answer(400, {"message": f"{type(error).__name__}: {error}"})

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

    async def _jobs(self, body: dict[str, Any]) -> Answer:
        tenant, board = self._world.tenant, self._world.board
        group = tenant.group_id(str(body.get("group", "default")))
        scale_set = tenant.find_scale_set(str(body["scale_set"]), group)
        if scale_set is None:
            raise Refusal(404, None, f"no scale set {body['scale_set']!r}")
        made = board.add(scale_set, int(body.get("count", 1)))
        board.step(scale_set.id)
        await self._world.notify()
        return Answer(200, {"jobs": made})

    async def _connect(self, request: Received) -> Answer:
        """A runner comes online with its JIT config: once, and only while it is registered."""
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
        runner.online = True
        self._world.board.step(runner.scale_set_id)
        await self._world.notify()
        return Answer(200, {"id": runner.id, "name": runner.name})

    def _settings(self, body: dict[str, Any]) -> Answer:
        options = self._world.options
        for name, value in body.items():
            if name not in CHANGEABLE:
                raise ValueError(f"{name} cannot be changed; can be: {', '.join(CHANGEABLE)}")
            setattr(options, name, value)
        self._world.unready_left = int(body.get("unready", self._world.unready_left))
        return Answer(200, {name: getattr(options, name) for name in CHANGEABLE})

    def _recreate(self, body: dict[str, Any]) -> Answer:
        """Delete a scale set and create it again under the same name: it has another id then."""
        tenant = self._world.tenant
        group = tenant.group_id(str(body.get("group", "default")))
        old = tenant.find_scale_set(str(body["scale_set"]), group)
        if old is not None:
            del tenant.scale_sets[old.id]
        made = tenant.create_scale_set(str(body["scale_set"]), group)
        return Answer(200, {"id": made.id, "was": old.id if old is not None else None})

    def _page(self) -> bytes:
        world = self._world
        sets = [
            [str(one.id), one.name, *(str(number) for number in world.board.statistics(one.id).values())]
            for one in world.tenant.scale_sets.values()
        ]
        runners = [
            [str(one.id), one.name, "busy" if one.busy else "online" if one.online else "offline"]
            for one in list(world.tenant.runners.values())[:200]
        ]
        counters = [[name, str(value)] for name, value in self._counters().items() if value not in ({}, None)]
        faults = [
            [f.kind, f.action, *(str(asdict(f)[name.name]) for name in fields(f)[2:])] for f in world.faults.faults
        ]
        statistics = ("available", "acquired", "assigned", "running", "registered", "busy", "idle")
        parts = [
            _table("Scale sets", ["id", "name", *statistics], sets),
            _table("Counters", ["what", "value"], counters),
            _table("Faults", ["kind", "action", "value", "share", "every", "first", "from", "for"], faults),
            _table(f"Runners ({len(world.tenant.runners)}, at most 200 shown)", ["id", "name", "state"], runners),
        ]
        style = "body{font:14px system-ui;margin:2em;color:#222}table{border-collapse:collapse}td,th{padding:2px 12px 2px 0;text-align:left;border-bottom:1px solid #ddd}h2{font-size:16px}"
        head = f"<title>scale set simulator</title><meta http-equiv=refresh content=2><style>{style}</style>"
        return f"<!doctype html><html lang=en><head>{head}</head><body><h1>scale set simulator</h1>{''.join(parts)}</body></html>".encode()


def _table(title: str, heads: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return f"<h2>{html.escape(title)}</h2><p>none</p>"
    head = "".join(f"<th>{html.escape(each)}</th>" for each in heads)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<h2>{html.escape(title)}</h2><table><tr>{head}</tr>{body}</table>"
