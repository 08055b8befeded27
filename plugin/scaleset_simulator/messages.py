"""The endpoints of message sessions: open, refresh, close, poll, acknowledge, acquire (protocol section 6)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from scaleset_simulator.errors import Refusal, bad_request, no_such_page
from scaleset_simulator.jobs import Session
from scaleset_simulator.service import QUEUE, Answer, Received, address
from scaleset_simulator.tenant import LONGEST


def _value(request: Received, scale_set_id: int, session: Session) -> dict[str, Any]:
    world = request.world
    return {
        "sessionId": session.id,
        "ownerName": session.owner,
        "runnerScaleSet": {"id": scale_set_id, "name": world.tenant.scale_set(scale_set_id).name},
        "messageQueueUrl": f"{world.origin}{QUEUE}?queue={scale_set_id}",
        "messageQueueAccessToken": world.tokens.queue(session.id),
        "statistics": world.board.statistics(scale_set_id),
    }


def open_session(request: Received) -> Answer:
    """POST SS/{id}/sessions."""
    number = int(request.numbers[0])
    scale_set = request.world.tenant.scale_set(number)
    owner = str(request.json().get("ownerName") or "")
    if not 0 < len(owner) <= LONGEST:
        raise bad_request(f"ownerName is needed, of at most {LONGEST} characters.")
    return Answer(200, _value(request, number, request.world.board.open_session(scale_set, owner)))


def refresh_session(request: Received) -> Answer:
    """PATCH SS/{id}/sessions/{session}."""
    number = request.world.tenant.scale_set(int(request.numbers[0])).id
    return Answer(200, _value(request, number, request.world.board.session(number, request.numbers[1])))


def close_session(request: Received) -> Answer:
    """DELETE SS/{id}/sessions/{session}."""
    number = request.world.tenant.scale_set(int(request.numbers[0])).id
    request.world.board.close_session(number, request.numbers[1])
    return Answer(204)


def _owner(request: Received) -> tuple[int, Session]:
    """Return the scale set and the session whose queue token this is."""
    return request.world.board.of_token(request.world.tokens.queue_session(request.authorization))


async def poll(request: Received) -> Answer:
    """GET the queue: hold the request until there is a message, or the poll's time is over."""
    world = request.world
    capacity = request.headers.get("x-scalesetmaxcapacity")
    if capacity is None or not capacity.isdigit():
        raise bad_request("X-ScaleSetMaxCapacity is needed.")
    after = int(request.argument("lastMessageId") or 0)
    _, session = _owner(request)
    session.polls += 1
    holding = asyncio.ensure_future(_hold(request, int(capacity), after))
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({holding, gone}, return_when=asyncio.FIRST_COMPLETED)
        return await holding if holding.done() else Answer(202)  # to a client that is gone
    finally:
        session.polls -= 1
        session.seen_at = world.clock.monotonic()
        await _end(holding, gone)


async def _gone(request: Received) -> None:
    """Wait until the client has hung up: nobody polls then, and the session begins to expire."""
    if request.gone is None:
        await asyncio.Event().wait()
    else:
        await request.gone()


async def _hold(request: Received, capacity: int, after: int) -> Answer:
    world = request.world
    until = world.clock.monotonic() + world.options.poll_seconds
    while True:
        number, _ = _owner(request)
        if world.board.step(number, capacity):
            await world.notify()
        url = address(world, f"/_apis/runtime/runnerscalesets/{number}/acquirejobs")
        message = world.board.message(number, after, url)
        if message is not None:
            return Answer(200, message)
        left = until - world.clock.monotonic()
        if left <= 0:
            return Answer(202)
        await _wait(request, left)


async def _wait(request: Received, seconds: float) -> None:
    world = request.world
    ends = world.board.next_end()
    pause = min(seconds, max(0.005, (ends or world.clock.monotonic() + seconds) - world.clock.monotonic()))

    async def woken() -> None:
        async with world.changed:
            await world.changed.wait()

    waiter = asyncio.ensure_future(woken())
    sleeper = asyncio.ensure_future(world.clock.sleep(pause))
    try:
        await asyncio.wait({waiter, sleeper}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _end(waiter, sleeper)


async def _end(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError, Refusal):
            await task


def acknowledge(request: Received) -> Answer:
    """DELETE the queue's message."""
    request.world.board.acknowledge(_owner(request)[0], int(request.numbers[0]))
    return Answer(204)


async def acquire(request: Received) -> Answer:
    """POST SS/{id}/acquirejobs, with the queue token."""
    if not request.world.board.offers:
        raise no_such_page()
    number, _ = _owner(request)
    if number != int(request.numbers[0]):
        raise bad_request("The session belongs to another scale set.")
    got = request.world.board.acquire(number, {int(each) for each in request.json()})
    request.world.board.step(number)
    await request.world.notify()
    return Answer(200, {"count": len(got), "value": got})


def acquirable(request: Received) -> Answer:
    """GET SS/{id}/acquirablejobs: what older clients asked for."""
    number = request.world.tenant.scale_set(int(request.numbers[0])).id
    jobs = [
        {"messageType": "JobAvailable", "runnerRequestId": job.request_id, "jobId": job.id}
        for job in request.world.board.queue(number).jobs.values()
        if job.state == "offered"
    ]
    return Answer(200, {"count": len(jobs), "value": jobs}) if jobs else Answer(204)
