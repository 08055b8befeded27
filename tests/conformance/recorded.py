"""Plays scenarios to both clients, each against a recording server of its own, many at once."""

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from scaleset_client import AppCredentials, Backoff, ScaleSetClient, SessionOptions, TokenCredentials
from scaleset_hookspecs import (
    AuthenticationFailed,
    Conflict,
    NotFound,
    PermissionDenied,
    RateLimited,
    Rejected,
    ScalesetError,
    Unavailable,
)
from tests.conformance.building import ROOT
from tests.conformance.comparing import Finding, Outcome, Talk, compare
from tests.conformance.differences import DIFFERENCES
from tests.conformance.ours import Driver
from tests.conformance.recorder import Recorder
from tests.conformance.scenario import Scenario

__all__ = ["Comparison", "judge", "play_all"]

AT_ONCE = 24
"""Scenarios under way at a time; most of them wait."""

STEP_SECONDS = 45.0
TOKEN = "ghp_ConformanceTokenThatNobodyIssued"

CLASSES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (RateLimited, "rate_limited"),
    (Unavailable, "unavailable"),
    (AuthenticationFailed, "unauthorised"),
    (PermissionDenied, "forbidden"),
    (NotFound, "not_found"),
    (Conflict, "conflict"),
    (Rejected, "bad_request"),
    (ScalesetError, "usage"),
)
SENTINELS: Final = {
    "runner_not_found": "not_found",
    "runner_exists": "conflict",
    "job_still_running": "conflict",
    "queue_token_expired": "unauthorised",
}
STATUSES: Final = {401: "unauthorised", 403: "forbidden", 404: "not_found", 409: "conflict", 429: "rate_limited"}
STATUS = re.compile(r'status="(\d{3})')
STEPS = re.compile(r"failed to (?:fetch access token|get runner registration token)[^(]*\((\d{3})")
PHRASES: Final = (
    (re.compile(r"\bno runner group found"), "not_found"),
    (re.compile(r"\bmultiple runner( group|s| scale sets)? ?found"), "bad_request"),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a scenario came to: nothing in `faults` means that it passed."""

    scenario: Scenario
    requests: int
    faults: tuple[str, ...]


async def play_all(scenarios: Sequence[Scenario], official: Path) -> list[Comparison]:
    """Play every scenario to both clients; the order of the comparisons is that of the scenarios."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(scenario: Scenario) -> Comparison:
        async with places:
            try:
                theirs, own = await asyncio.gather(_official(scenario, official), _ours(scenario))
            except Exception as error:  # noqa: BLE001  # whatever it was, the scenario failed
                return Comparison(scenario, 0, (f"{type(error).__name__}: {error}",))
        return judge(scenario, theirs, own)

    return list(await asyncio.gather(*map(one, scenarios)))


def judge(scenario: Scenario, official: Talk, ours: Talk) -> Comparison:
    """Say whether the clients differ in what the scenario says that they differ in, and in nothing else."""
    findings = compare(official, ours, [step.op for step in scenario.steps], unordered=scenario.unordered)
    faults = [str(one) for one in findings if not _allowed(one, scenario.differs)]
    unseen = [name for name in scenario.differs if not any(map(DIFFERENCES[name], findings))]
    faults += [f"the difference `{name}` does not show" for name in unseen]
    return Comparison(scenario, len(official.received), tuple(faults))


def _allowed(finding: Finding, differs: Sequence[str]) -> bool:
    return any(DIFFERENCES[name](finding) for name in differs)


@cache
def _private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def _connection(scenario: Scenario, base: str) -> dict[str, Any]:
    arguments: dict[str, Any] = {"config_url": base + scenario.config}
    if scenario.app:
        arguments["app"] = {"client_id": "Iv1.conformance", "installation_id": 7, "private_key": _private_key()}
    else:
        arguments["token"] = TOKEN
    if scenario.retries is not None:
        arguments["retry_max"] = scenario.retries
    return arguments


async def _official(scenario: Scenario, program: Path) -> Talk:
    async with Recorder(scenario.answers) as recorder:
        process = await asyncio.create_subprocess_exec(
            program, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 22
        )
        try:
            await _line(process, "connect", _connection(scenario, recorder.base))
            outcomes = [
                Outcome("none")
                if await _slept(step.op, step.args)
                else official_outcome(await _line(process, step.op, step.args))
                for step in scenario.steps
            ]
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
        return Talk(_scripted(recorder), outcomes)


async def _line(process: asyncio.subprocess.Process, op: str, arguments: dict[str, Any]) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({"id": 1, "op": op, "args": arguments}).encode() + b"\n")
    await process.stdin.drain()
    raw = await asyncio.wait_for(process.stdout.readline(), STEP_SECONDS)
    answer: dict[str, Any] = json.loads(raw)
    if op == "connect":
        assert answer["ok"], answer
    return answer


async def _slept(op: str, arguments: dict[str, Any]) -> bool:
    if op == "sleep":
        await asyncio.sleep(arguments["seconds"])
    return op == "sleep"


def official_outcome(answer: dict[str, Any]) -> Outcome:
    """Return what the official client's reply means, as a class; its errors say most of it in their text."""
    if answer["ok"]:
        value = answer.get("value")
        return Outcome("none") if value is None else Outcome("ok", value)
    kind, message = answer["error"]["kind"], answer["error"]["message"]
    if kind in SENTINELS:
        return Outcome(SENTINELS[kind])
    for pattern, name in PHRASES:
        if pattern.search(message):
            return Outcome(name)
    told = STATUS.search(message) or STEPS.search(message)
    status = int(told[1]) if told else None
    if status is None or 200 <= status < 300 or status >= 500:
        return Outcome("bad_request" if status == 501 else "unavailable")
    return Outcome(STATUSES.get(status, "bad_request"))


class RecordedDriver(Driver):
    """Our driver, as patient as the scenario says."""

    async def connect(self, a: dict[str, Any]) -> None:
        """Make a client."""
        credentials = AppCredentials(**a["app"]) if a.get("app") else TokenCredentials(token=a["token"])
        backoff = Backoff() if a.get("retry_max") is None else Backoff(attempts=a["retry_max"] + 1, first=0.1)
        self._client = ScaleSetClient(a["config_url"], credentials, backoff=backoff)

    async def open_session(self, a: dict[str, Any]) -> dict[str, Any]:
        """Open the session; a conflict is waited out for as long as asked."""
        options = SessionOptions(conflict_limit=a.get("conflict_limit", 0.0), conflict=Backoff(first=0.1))
        self._session = await self.client.open_session(a["scale_set_id"], a["owner"], options=options)
        return await self.session(a)

    async def together(self, a: dict[str, Any]) -> list[Any]:
        """Run operations at once."""
        outcomes = await asyncio.gather(*(self.outcome(one["op"], one.get("args") or {}) for one in a["ops"]))
        return [None if one.kind == "none" else one.value if one.kind == "ok" else "failed" for one in outcomes]

    async def outcome(self, op: str, arguments: dict[str, Any]) -> Outcome:
        """Run one operation and say what became of it."""
        try:
            value = await asyncio.wait_for(getattr(self, op)(arguments), STEP_SECONDS)
        except Exception as error:  # what failed is the answer
            for branch, name in CLASSES:
                if isinstance(error, branch):
                    return Outcome(name)
            raise
        return Outcome("none") if value is None else Outcome("ok", json.loads(json.dumps(value)))


async def _ours(scenario: Scenario) -> Talk:
    driver = RecordedDriver()
    async with Recorder(scenario.answers) as recorder:
        try:
            await driver.connect(_connection(scenario, recorder.base))
            outcomes = [
                Outcome("none") if await _slept(step.op, step.args) else await driver.outcome(step.op, step.args)
                for step in scenario.steps
            ]
        finally:
            await driver.aclose()
        return Talk(_scripted(recorder), outcomes)


def _scripted(recorder: Recorder) -> list[Any]:
    if recorder.unscripted:
        raise AssertionError(f"no answer is scripted for {recorder.unscripted}")
    return recorder.received
