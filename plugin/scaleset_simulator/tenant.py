"""What the service keeps for one scope: groups, scale sets, runners. No I/O; the clock is passed in."""

from __future__ import annotations

import base64
import json
import random
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from scaleset_simulator.clock import Clock
from scaleset_simulator.errors import (
    Refusal,
    absent_group,
    absent_runner,
    absent_scale_set,
    bad_request,
    job_running,
    scale_set_exists,
    taken,
)
from scaleset_simulator.options import Options

__all__ = ["Runner", "ScaleSet", "Tenant", "rfc3339"]


LONGEST = 256
"""Characters of a name or label at most; a runner's has fewer."""

MOST_LABELS = 100

MOST_SCALE_SETS = 1000
"""The same for groups."""

MOST_RUNNERS = 100_000

MOST_MINTED = 1_000_000
"""Names remembered to count those that come twice."""


def checked(name: object, labels: object) -> list[dict[str, str]]:
    """Return the labels of a scale set as they are kept; raises a `Refusal` for what no scale set can have."""
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST:
        raise bad_request(f"A runner scale set needs a name of at most {LONGEST} characters.")
    given = [] if labels is None else labels
    if not isinstance(given, list) or len(given) > MOST_LABELS or not all(isinstance(each, dict) for each in given):
        raise bad_request(f"Labels are a list of at most {MOST_LABELS}.")
    kept = [{"type": str(each.get("type") or "System"), "name": str(each.get("name", ""))} for each in given]
    if any(len(text) > LONGEST for each in kept for text in each.values()):
        raise bad_request(f"A label has at most {LONGEST} characters.")
    return kept


def rfc3339(moment: float) -> str:
    """Write Unix time as the service does, with seven digits of fraction."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


@dataclass(slots=True)
class Runner:
    """One registration.

    Attributes:
        lives_on: Whether it outlives its next job, which is cancelled as it starts.
    """

    id: int
    name: str
    scale_set_id: int
    registered_at: float
    secret: str
    created_at: float = 0.0
    online: bool = False
    lives_on: bool = False
    busy: bool = False

    def value(self) -> dict[str, Any]:
        """Return it as the service writes it."""
        return {
            "id": self.id,
            "name": self.name,
            "runnerScaleSetId": self.scale_set_id,
            "status": "online" if self.online else "offline",
            "busy": self.busy,
            "createdOn": rfc3339(self.created_at),
            "ephemeral": True,
        }


@dataclass(slots=True)
class ScaleSet:
    """One runner scale set."""

    id: int
    name: str
    group_id: int
    labels: list[dict[str, str]]
    disable_update: bool
    created_at: float


@dataclass(slots=True)
class Tenant:
    """Everything registered; every method either does it all or raises a `Refusal`."""

    clock: Clock
    options: Options = field(default_factory=Options)
    chance: random.Random = field(default_factory=random.Random)
    groups: dict[str, int] = field(default_factory=lambda: {"default": 1})
    scale_sets: dict[int, ScaleSet] = field(default_factory=dict)
    runners: dict[int, Runner] = field(default_factory=dict)
    by_name: dict[str, Runner] = field(default_factory=dict)
    minted: dict[str, int] = field(default_factory=dict)
    recent: deque[float] = field(default_factory=deque)
    most_recent: int = 0
    registrations: int = 0
    duplicates: int = 0
    next_id: int = 1

    def group_id(self, name: str) -> int:
        """Return the id of a group, made on first mention by the operator."""
        if len(self.groups) >= MOST_SCALE_SETS or len(name) > LONGEST:
            return self.groups.get(name.lower(), 0)
        return self.groups.setdefault(name.lower(), len(self.groups) + 1)

    def check_group(self, group_id: int) -> None:
        """Refuse a group that does not exist."""
        if group_id not in self.groups.values():
            raise absent_group(group_id)

    def create_scale_set(
        self, name: str, group_id: int, labels: list[dict[str, str]] | None = None, *, disable_update: bool = False
    ) -> ScaleSet:
        """Create a scale set; its name is unique in its group."""
        given = checked(name, labels)
        self.check_group(group_id)
        if self.find_scale_set(name, group_id) is not None:
            raise scale_set_exists(name)
        if len(self.scale_sets) >= MOST_SCALE_SETS:
            raise bad_request(f"There are {MOST_SCALE_SETS} runner scale sets already.")
        made = ScaleSet(
            self._id(),
            name,
            group_id,
            given or [{"type": "System", "name": name}],
            disable_update,
            self.clock.time(),
        )
        self.scale_sets[made.id] = made
        return made

    def find_scale_set(self, name: str, group_id: int) -> ScaleSet | None:
        """Find a scale set by name in a group."""
        wanted = name.lower()
        return next(
            (one for one in self.scale_sets.values() if one.name.lower() == wanted and one.group_id == group_id), None
        )

    def scale_set(self, scale_set_id: int) -> ScaleSet:
        """Return a scale set."""
        if scale_set_id not in self.scale_sets:
            raise absent_scale_set(scale_set_id)
        return self.scale_sets[scale_set_id]

    def delete_scale_set(self, scale_set_id: int) -> None:
        """Delete a scale set with its runners."""
        self.scale_set(scale_set_id)
        del self.scale_sets[scale_set_id]
        for runner in [one for one in self.runners.values() if one.scale_set_id == scale_set_id]:
            self._drop(runner)

    def scale_set_value(self, one: ScaleSet, statistics: dict[str, int]) -> dict[str, Any]:
        """Return a scale set as the service writes it."""
        group = next((name for name, number in self.groups.items() if number == one.group_id), "")
        return {
            "id": one.id,
            "name": one.name,
            "runnerGroupId": one.group_id,
            "runnerGroupName": "Default" if group == "default" else group,
            "labels": one.labels,
            "RunnerSetting": {"disableUpdate": one.disable_update},
            "createdOn": rfc3339(one.created_at),
            "statistics": statistics,
            "status": "active",
        }

    def wait_for_next(self) -> float | None:
        """Return the seconds until one more registration is allowed, or `None` if it is allowed now."""
        now = self.clock.monotonic()
        while self.recent and self.recent[0] <= now - self.options.window:
            self.recent.popleft()
        if not self.options.registrations or len(self.recent) < self.options.registrations:
            return None
        return self.recent[0] + self.options.window - now

    def register(self, scale_set_id: int, name: str) -> Runner:
        """Register a runner; its name is unique in the whole tenant, whatever its case."""
        scale_set = self.scale_set(scale_set_id)
        if not name or len(name) > 64:
            raise bad_request("A runner's name has 1 to 64 characters.")
        if name.lower() in self.by_name:
            raise taken(name)
        if len(self.runners) >= MOST_RUNNERS:
            raise Refusal(422, None, f"There are {MOST_RUNNERS} runners already.")
        if len(self.runners) >= self.options.group_capacity and self._in_group(scale_set.group_id):
            text = f"The runner group reached max limit of {self.options.group_capacity} runners."
            raise Refusal(422, None, text)
        now = self.clock.monotonic()
        self.wait_for_next()
        self.recent.append(now)
        self.most_recent = max(self.most_recent, len(self.recent))
        self.registrations += 1
        if name.lower() in self.minted:
            self.duplicates += 1
        secret = f"{self.chance.getrandbits(128):032x}"
        runner = Runner(self._id(), name, scale_set_id, now, secret, self.clock.time())
        self.minted[name.lower()] = runner.id
        if len(self.minted) > MOST_MINTED:
            del self.minted[next(iter(self.minted))]
        self.runners[runner.id] = runner
        self.by_name[name.lower()] = runner
        return runner

    def runner(self, runner_id: int) -> Runner:
        """Return a runner."""
        if runner_id not in self.runners:
            raise absent_runner(runner_id)
        return self.runners[runner_id]

    def remove(self, runner_id: int) -> None:
        """Remove a runner that has no job."""
        runner = self.runner(runner_id)
        if runner.busy:
            raise job_running(runner.name, self.options.running_status)
        self._drop(runner)

    def finish(self, runner: Runner) -> None:
        """End an ephemeral runner: its registration goes with its job, unless it lives on."""
        runner.busy = False
        if runner.lives_on:
            runner.lives_on = False
        else:
            self._drop(runner)

    def drop_runners(self) -> int:
        """Drop all registrations; return how many there were."""
        dropped = list(self.runners.values())
        for runner in dropped:
            self._drop(runner)
        return len(dropped)

    def _in_group(self, group_id: int) -> bool:
        """Whether the group is full; only counted when it may be."""
        members = {one.id for one in self.scale_sets.values() if one.group_id == group_id}
        return sum(1 for one in self.runners.values() if one.scale_set_id in members) >= self.options.group_capacity

    def _drop(self, runner: Runner) -> None:
        if self.runners.pop(runner.id, None) is not None:  # else its name may be another's by now
            del self.by_name[runner.name.lower()]

    def _id(self) -> int:
        self.next_id += 1
        return self.next_id - 1


_FILLER = base64.b64encode(json.dumps({"d": "A" * 1600, "modulus": "B" * 340, "exponent": "AQAB"}).encode()).decode()
_CREDENTIALS = base64.b64encode(json.dumps({"scheme": "OAuth", "data": {"clientId": "0" * 36}}).encode()).decode()


def jit_config(runner: Runner) -> str:
    """Make the JIT config of a runner: base64 of a JSON object of files (protocol 8.2), of real size, no real key."""
    settings = {
        "agentId": str(runner.id),
        "agentName": runner.name,
        "poolId": "0",
        "ephemeral": "True",
        "secret": runner.secret,
    }
    files = (
        f'{{".runner":"{base64.b64encode(json.dumps(settings).encode()).decode()}",'
        f'".credentials":"{_CREDENTIALS}",".credentials_rsaparams":"{_FILLER}"}}'
    )
    return base64.b64encode(files.encode()).decode()


def read_jit_config(text: str) -> tuple[int, str]:
    """Return runner id and secret of a JIT config; raises `ValueError` if it is none."""
    files = json.loads(base64.b64decode(text, validate=True))
    settings = json.loads(base64.b64decode(files[".runner"]))
    return int(settings["agentId"]), str(settings["secret"])
