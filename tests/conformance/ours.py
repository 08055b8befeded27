"""Drives our client by name: the same lines as the program in `go`, so that the two can be compared.

Run as `python -m tests.conformance.ours`.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any

from scaleset_client import AppCredentials, MessageSession, ScaleSetClient, TokenCredentials
from scaleset_client.types import (
    AnyJobEvent,
    JobAssigned,
    JobAvailable,
    JobCompletedEvent,
    Message,
    Runner,
    ScaleSet,
)
from scaleset_hookspecs import Label, NotFound, ServiceError

Arguments = dict[str, Any]

ERROR_KINDS = (
    ("AgentExistsException", "runner_exists"),
    ("AgentNotFoundException", "runner_not_found"),
    ("JobStillRunningException", "job_still_running"),
)


def scale_set_value(found: ScaleSet | None) -> Arguments | None:
    """Return a scale set as both drivers print it."""
    if found is None:
        return None
    return {
        "id": found.id,
        "name": found.name,
        "runner_group_id": found.runner_group_id,
        "runner_group_name": found.runner_group_name,
        "labels": [{"name": label.name, "type": label.type} for label in found.labels],
        "disable_update": found.disable_update,
    }


def runner_value(found: Runner | None) -> Arguments | None:
    """Return a runner as both drivers print it."""
    return None if found is None else {"id": found.id, "name": found.name, "scale_set_id": found.scale_set_id or 0}


def event_value(event: AnyJobEvent) -> Arguments:
    """Return a job event as both drivers print it."""
    kinds = {JobAvailable: "available", JobAssigned: "assigned", JobCompletedEvent: "completed"}
    return {
        "kind": kinds.get(type(event), "started"),
        "request_id": event.request_id,
        "job_id": event.job_id,
        "runner_id": getattr(event, "runner_id", 0),
        "runner_name": getattr(event, "runner_name", ""),
        "result": getattr(event, "result", ""),
    }


class Driver:
    """Holds the one client, and the one session, that the operations work on."""

    def __init__(self) -> None:
        self._client: ScaleSetClient | None = None
        self._session: MessageSession | None = None
        self._messages: dict[int, Message] = {}

    @property
    def client(self) -> ScaleSetClient:
        """The client; connect first."""
        assert self._client is not None, "connect first"
        return self._client

    @property
    def message_session(self) -> MessageSession:
        """The session; open it first."""
        assert self._session is not None, "open a session first"
        return self._session

    async def connect(self, a: Arguments) -> None:
        """Make a client."""
        credentials = AppCredentials(**a["app"]) if a.get("app") else TokenCredentials(token=a["token"])
        self._client = ScaleSetClient(a["config_url"], credentials)

    async def get_runner_group(self, a: Arguments) -> Arguments:
        """Find a runner group."""
        group = await self.client.get_runner_group(a["name"])
        return {"id": group.id, "name": group.name, "size": group.size or 0, "is_default": group.is_default}

    async def get_scale_set(self, a: Arguments) -> Arguments | None:
        """Find a scale set by name."""
        return scale_set_value(await self.client.get_scale_set_by_name(a["name"], a["runner_group_id"]))

    async def get_scale_set_by_id(self, a: Arguments) -> Arguments | None:
        """Get a scale set."""
        return scale_set_value(await self.client.get_scale_set(a["id"]))

    async def create_scale_set(self, a: Arguments) -> Arguments | None:
        """Create a scale set."""
        labels = [Label(**label) for label in a.get("labels", ())]
        created = await self.client.create_scale_set(
            a["name"],
            runner_group_id=a["runner_group_id"],
            labels=labels,
            disable_update=a.get("disable_update", False),
        )
        return scale_set_value(created)

    async def update_scale_set(self, a: Arguments) -> Arguments | None:
        """Change a scale set."""
        labels = [Label(**label) for label in a["labels"]] if a.get("labels") else None
        changed = await self.client.update_scale_set(
            a["id"], name=a.get("name") or None, runner_group_id=a.get("runner_group_id") or None, labels=labels
        )
        return scale_set_value(changed)

    async def delete_scale_set(self, a: Arguments) -> None:
        """Delete a scale set."""
        await self.client.delete_scale_set(a["id"])

    async def mint(self, a: Arguments) -> Arguments:
        """Mint a JIT config."""
        minted = await self.client.generate_jit_config(a["scale_set_id"], a["name"], a.get("work_folder", ""))
        return {"runner": runner_value(minted.runner), "encoded_jit_config": minted.encoded_jit_config}

    async def get_runner(self, a: Arguments) -> Arguments | None:
        """Get a runner."""
        return runner_value(await self.client.get_runner(a["id"]))

    async def get_runner_by_name(self, a: Arguments) -> Arguments | None:
        """Find a runner."""
        return runner_value(await self.client.find_runner(a["name"]))

    async def remove_runner(self, a: Arguments) -> None:
        """Remove a runner."""
        await self.client.remove_runner(a["id"])

    async def open_session(self, a: Arguments) -> Arguments:
        """Open the session."""
        self._session = await self.client.open_session(a["scale_set_id"], a["owner"])
        return await self.session(a)

    async def session(self, _a: Arguments) -> Arguments:
        """Describe the session."""
        session = self.message_session
        return {"id": session.id, "owner": session.owner, "statistics": asdict(session.statistics)}

    async def poll(self, a: Arguments) -> Arguments | None:
        """Wait for a message; the cursor is the session's own."""
        message = await self.message_session.poll(a["capacity"])
        if message is None:
            return None
        self._messages[message.id] = message
        events = [event_value(event) for event in message.events]
        order = ["available", "assigned", "started", "completed"]
        events.sort(key=lambda event: order.index(event["kind"]))
        return {"id": message.id, "statistics": asdict(message.statistics), "events": events}

    async def acknowledge(self, a: Arguments) -> None:
        """Delete a message."""
        await self.message_session.acknowledge(self._messages[a["message_id"]])

    async def acquire(self, a: Arguments) -> list[int]:
        """Take jobs."""
        return list(await self.message_session.acquire(a["request_ids"]))

    async def close_session(self, _a: Arguments) -> None:
        """Close the session."""
        session, self._session = self.message_session, None
        await session.close()

    async def aclose(self) -> None:
        """Close the client."""
        if self._client is not None:
            await self._client.aclose()

    async def run(self, line: Arguments) -> Arguments:
        """Run one line and return its reply."""
        operation: Callable[[Arguments], Coroutine[Any, Any, Any]] = getattr(self, line["op"])
        arguments = line.get("args") or {}
        try:
            value = await asyncio.wait_for(operation(arguments), arguments.get("timeout", 60))
        except Exception as error:  # noqa: BLE001  # what failed is the answer
            return {"id": line["id"], "ok": False, "error": {"kind": kind_of(error), "message": str(error)}}
        return {"id": line["id"], "ok": True, "value": value}


def kind_of(error: Exception) -> str:
    """Return the word both drivers have for an error."""
    if isinstance(error, ServiceError):
        for type_name, kind in ERROR_KINDS:
            if type_name in (error.type_name or ""):
                return kind
    return "error" if not isinstance(error, NotFound) else "not_found"


async def converse() -> None:
    """Answer the lines of standard input until it ends."""
    driver = Driver()
    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await driver.run(json.loads(line))), flush=True)
    finally:
        await driver.aclose()


if __name__ == "__main__":
    asyncio.run(converse())
