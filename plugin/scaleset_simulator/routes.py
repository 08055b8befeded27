"""Which endpoint a request is for (protocol 4.2)."""

from __future__ import annotations

import re

from scaleset_simulator import messages, service
from scaleset_simulator.service import BASE, QUEUE, Handler

__all__ = ["route"]

_N = r"/(\d+)"
_SS = f"{BASE}/_apis/runtime/runnerscalesets"
_AG = f"{BASE}/_apis/distributedtask/pools/0/agents"
_REST = r"(?:/api/v3)?"
_SCOPE = r"(?:orgs/[^/]+|enterprises/[^/]+|repos/[^/]+/[^/]+)"

_ROUTES: list[tuple[str, str, str, Handler]] = [
    ("POST", f"{_SS}{_N}/generatejitconfig", "mint", service.mint),
    ("POST", f"{_REST}/app/installations{_N}/access_tokens", "installation", service.installation),
    ("POST", f"{_REST}/{_SCOPE}/actions/runners/registration-token", "registration", service.registration),
    ("POST", f"{_REST}/actions/runner-registration", "admin", service.admin),
    ("GET", _SS, "scale_sets", service.list_scale_sets),
    ("GET", f"{_SS}{_N}", "scale_set", service.get_scale_set),
    ("POST", _SS, "create_scale_set", service.create_scale_set),
    ("PATCH", f"{_SS}{_N}", "update_scale_set", service.update_scale_set),
    ("DELETE", f"{_SS}{_N}", "delete_scale_set", service.delete_scale_set),
    ("GET", f"{BASE}/_apis/runtime/runnergroups/", "runner_group", service.find_group),
    ("GET", _AG, "runners", service.list_runners),
    ("GET", f"{_AG}{_N}", "runner", service.get_runner),
    ("DELETE", f"{_AG}{_N}", "remove_runner", service.remove_runner),
    ("POST", f"{_SS}{_N}/sessions", "open_session", messages.open_session),
    ("PATCH", f"{_SS}{_N}/sessions/([^/]+)", "refresh_session", messages.refresh_session),
    ("DELETE", f"{_SS}{_N}/sessions/([^/]+)", "close_session", messages.close_session),
    ("GET", QUEUE, "poll", messages.poll),
    ("DELETE", f"{QUEUE}{_N}", "acknowledge", messages.acknowledge),
    ("POST", f"{_SS}{_N}/acquirejobs", "acquire", messages.acquire),
    ("GET", f"{_SS}{_N}/acquirablejobs", "acquirable", messages.acquirable),
]
_COMPILED = [(method, re.compile(f"^{pattern}$"), kind, handler) for method, pattern, kind, handler in _ROUTES]
_MET: dict[tuple[str, str], tuple[str, tuple[str, ...], Handler]] = {}
"""Requests met before: a burst sends the same path a thousand times."""


def route(method: str, path: str) -> tuple[str, tuple[str, ...], Handler] | None:
    """Return kind, parts of the path and handler of a request, if there is such an endpoint."""
    known = _MET.get((method, path))
    if known is not None:
        return known
    for wanted, pattern, kind, handler in _COMPILED:
        match = pattern.match(path) if wanted == method else None
        if match is not None:
            if len(_MET) < 1000:
                _MET[method, path] = (kind, match.groups(), handler)
            return kind, match.groups(), handler
    return None
