"""Who gets which connection: limits, order, reuse, death, cancellation, closing."""

import asyncio
import socket
from collections.abc import Callable
from typing import cast

import httpx
import pytest

from scaleset_client.options import ConnectionOptions
from scaleset_client.transport import BurstTransport, Head, Response
from scaleset_client.transport.connection import RECEIVED_AT_ONCE
from scaleset_client.transport.failures import MaybeSent, NotSent
from scaleset_hookspecs import HostError
from tests.unit.client_transport.scripted import Ask, Serve, Transports, Visit

pytestmark = pytest.mark.anyio
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Held:
    """A script whose answers wait until they are let go."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.busy = 0
        self.order: list[bytes] = []

    async def __call__(self, visit: Visit) -> None:
        while request := await visit.request():
            self.order.append(request.rpartition(b"\r\n\r\n")[2])
            self.busy += 1
            await self.gate.wait()
            self.busy -= 1
            await visit.send(OK)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_burst_keeps_to_the_limit_and_reuses_what_it_opened(
    serve: Serve, transports: Transports, ask: Ask
) -> None:
    transport = transports(max_connections=4)
    async with serve() as server:
        responses = await asyncio.gather(*(ask(transport, server.url) for _ in range(60)))
        assert [response.body for response in responses] == [b"ok"] * 60
        assert (server.visits, transport.connections_opened, transport.connections_open) == (4, 4, 4)
        assert (transport.requests_sent, transport.requests_reused) == (60, 56)


async def test_those_who_wait_are_served_in_order(serve: Serve, transports: Transports, ask: Ask) -> None:
    transport = transports(max_connections=1)
    script = Held()
    async with serve(script) as server:
        tasks = [asyncio.create_task(ask(transport, server.url, content=b"%d" % n)) for n in range(8)]
        await until(lambda: script.busy)
        script.gate.set()
        await asyncio.gather(*tasks)
        assert script.order == [b"%d" % n for n in range(8)]


async def test_the_connection_used_last_is_used_first(serve: Serve, transports: Transports, ask: Ask) -> None:
    transport = transports(max_connections=3)
    script = Held()
    async with serve(script) as server:
        tasks = [asyncio.create_task(ask(transport, server.url)) for _ in range(3)]
        await until(lambda: script.busy == 3)
        script.gate.set()
        await asyncio.gather(*tasks)
        origin = transport._origin(server.url)
        last = origin.idle[-1]
        for _ in range(5):
            await ask(transport, server.url)
        assert (origin.idle[-1], last.uses) == (last, 6)


async def test_who_waits_too_long_for_a_connection_sent_nothing(serve: Serve, transports: Transports, ask: Ask) -> None:
    transport = transports(max_connections=1)
    script = Held()
    async with serve(script) as server:
        task = asyncio.create_task(ask(transport, server.url))
        await until(lambda: script.busy)
        with pytest.raises(NotSent, match="stayed busy"):
            await ask(transport, server.url, seconds=0.01)
        script.gate.set()
        await task
        await ask(transport, server.url)
        assert len(server.requests) == 2


async def test_a_request_too_slow_to_answer_is_ambiguous_and_delays_nobody(
    serve: Serve, transports: Transports, ask: Ask
) -> None:
    async def script(visit: Visit) -> None:
        while request := await visit.request():
            if request.endswith(b"slow"):
                await visit.ended()
                return
            await visit.send(OK)

    transport = transports(max_connections=2)
    async with serve(script) as server:
        slow = asyncio.create_task(ask(transport, server.url, content=b"slow", seconds=0.15))
        for _ in range(10):
            assert (await ask(transport, server.url)).status == 200
        with pytest.raises(MaybeSent):
            await slow
        await until(lambda: server.closed == 1)
        assert (transport.connections_opened, len(server.requests)) == (2, 11)


async def test_drops_do_not_prolong_the_time_for_an_answer(serve: Serve, transports: Transports, ask: Ask) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        for byte in b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1000:
            await visit.send(bytes([byte]))

    transport = transports()
    async with serve(script) as server:
        with pytest.raises(MaybeSent):
            await ask(transport, server.url, seconds=0.05)


async def test_a_request_that_could_not_be_written_in_time_is_ambiguous(
    serve: Serve, transports: Transports, ask: Ask
) -> None:
    async def script(visit: Visit) -> None:
        cast("asyncio.Transport", visit.writer.transport).pause_reading()
        await asyncio.sleep(60)

    transport = transports()
    async with serve(script) as server:
        with pytest.raises(MaybeSent, match="in time"):
            await ask(transport, server.url, content=bytes(20_000_000), seconds=0.1)


async def test_nobody_there_means_not_sent(transports: Transports, ask: Ask) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        transport = transports()
        with pytest.raises(NotSent):
            await ask(transport, httpx.URL(f"http://127.0.0.1:{free.getsockname()[1]}/"))
        assert await transport.warm(httpx.URL(f"http://127.0.0.1:{free.getsockname()[1]}/"), 3) == 0
    assert (transport.connections_opened, transport.requests_sent) == (0, 0)


async def test_a_handshake_that_hangs_is_a_connect_timeout(serve: Serve, transports: Transports, ask: Ask) -> None:
    async def script(visit: Visit) -> None:
        await visit.ended()

    transport = transports(connect_timeout=0.05)
    async with serve(script) as server:
        with pytest.raises(NotSent, match=r"in 0\.05 s"):
            await ask(transport, server.url.copy_with(scheme="https"))
        await until(lambda: server.closed == 1)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http:///path", "/path"])
async def test_other_schemes_are_refused(transports: Transports, ask: Ask, url: str) -> None:
    with pytest.raises(NotSent):
        await ask(transports(), httpx.URL(url))


@pytest.mark.parametrize("how", ["fin", "data"])
async def test_a_dead_connection_is_noticed_before_its_reuse_even_if_the_loop_has_not_read_it(
    serve: Serve, transports: Transports, ask: Ask, how: str
) -> None:
    transport = transports()
    async with serve() as server:
        await ask(transport, server.url)
        raw = socket.socket(fileno=server.writers[0].get_extra_info("socket").fileno())
        try:
            if how == "fin":
                raw.shutdown(socket.SHUT_WR)
            else:
                raw.send(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        finally:
            raw.detach()
        assert (await ask(transport, server.url)).body == b"ok"  # no turn of the loop in between
        assert (server.visits, len(server.requests), transport.requests_reused) == (2, 2, 0)


async def test_a_dead_idle_connection_is_forgotten_at_once(serve: Serve, transports: Transports, ask: Ask) -> None:
    transport = transports()
    async with serve() as server:
        await ask(transport, server.url)
        server.writers[0].transport.abort()
        await until(lambda: transport.connections_open == 0)
        assert transport._origin(server.url).idle == []


async def test_a_connection_is_not_used_beyond_what_the_server_keeps_it(
    serve: Serve, transports: Transports, ask: Ask
) -> None:
    async def script(visit: Visit) -> None:
        while await visit.request():
            await visit.send(b"HTTP/1.1 200 OK\r\nKeep-Alive: max=5, timeout=9\r\nContent-Length: 2\r\n\r\nok")

    transport = transports()
    async with serve(script) as server:
        await ask(transport, server.url)
        connection = transport._origin(server.url).idle[0]
        assert connection.idle_limit == 8
        connection.deadline = asyncio.get_running_loop().time()
        await ask(transport, server.url)
        assert server.visits == 2


async def test_idle_connections_are_closed_when_their_time_is_over(
    serve: Serve, transports: Transports, ask: Ask
) -> None:
    transport = transports()
    async with serve() as server:
        await ask(transport, server.url)
        transport._watch(transport._origin(server.url).idle[0], asyncio.get_running_loop().time() + 0.01)
        await until(lambda: transport.connections_open == 0)


async def test_a_failed_request_on_a_used_connection_is_not_repeated(
    serve: Serve, transports: Transports, ask: Ask
) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(OK)
        await visit.request()

    transport = transports()
    async with serve(script) as server:
        await ask(transport, server.url)
        with pytest.raises(MaybeSent):
            await ask(transport, server.url)
        assert len(server.requests) == 2


async def test_a_cancelled_request_closes_its_connection(serve: Serve, transports: Transports, ask: Ask) -> None:
    transport = transports(max_connections=1)
    script = Held()
    async with serve(script) as server:
        task = asyncio.create_task(ask(transport, server.url))
        await until(lambda: script.busy)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        script.gate.set()
        assert (await ask(transport, server.url)).body == b"ok"
        assert server.visits == 2


async def test_cancellation_at_any_moment_leaks_no_slot_and_mixes_no_answers(
    serve: Serve, transports: Transports, ask: Ask
) -> None:
    async def script(visit: Visit) -> None:
        while request := await visit.request():
            body = request.rpartition(b"\r\n\r\n")[2]
            await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    transport = transports(max_connections=3)
    async with serve(script) as server:
        for turns in range(40):
            tasks = [asyncio.create_task(ask(transport, server.url, content=b"%d" % n)) for n in range(9)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            for n, result in enumerate(results):
                if isinstance(result, Response):
                    assert result.body == b"%d" % n
                else:
                    assert isinstance(result, asyncio.CancelledError)
            await until(lambda: transport._slots == transport.connections_open)
        assert transport.connections_open <= 3


async def test_the_limit_counts_all_origins_and_an_idle_one_makes_room(
    serve: Serve, transports: Transports, ask: Ask
) -> None:
    transport = transports(max_connections=2)
    async with serve() as one, serve() as other:
        await asyncio.gather(*(ask(transport, one.url) for _ in range(2)))
        await asyncio.gather(*(ask(transport, server.url) for server in (other, one) for _ in range(10)))
        assert transport.connections_open <= 2
        assert len(one.requests) + len(other.requests) == 22


async def test_who_waits_for_another_origin_costs_one_connection_and_no_more(
    serve: Serve, transports: Transports, ask: Ask
) -> None:
    transport = transports(max_connections=8)
    script = Held()
    async with serve(script) as one, serve() as other:
        tasks = [asyncio.create_task(ask(transport, one.url)) for _ in range(8)]
        await until(lambda: script.busy == 8)
        tasks.append(asyncio.create_task(ask(transport, other.url)))
        await until(lambda: len(transport._waiters) == 1)
        script.gate.set()
        await asyncio.gather(*tasks)
        assert len(transport._origin(one.url).idle) == 7
        assert transport.connections_opened == 9


async def test_warm_opens_what_is_missing_and_no_more_than_allowed(
    serve: Serve, transports: Transports, ask: Ask
) -> None:
    transport = transports(max_connections=5)
    async with serve() as server:
        assert await transport.warm(server.url, 3) == 3
        assert await transport.warm(server.url, 3) == 3
        assert await transport.warm(server.url, 99) == 5
        await asyncio.gather(*(ask(transport, server.url) for _ in range(5)))
        assert (server.visits, transport.connections_opened, transport.requests_reused) == (5, 5, 5)


async def test_warm_twice_at_once_opens_once(serve: Serve, transports: Transports) -> None:
    transport = transports(max_connections=9)
    async with serve() as server:
        await asyncio.gather(transport.warm(server.url, 4), transport.warm(server.url, 4))
        assert transport.connections_opened == 4


async def test_a_warm_connection_that_dies_is_replaced_without_a_request(
    serve: Serve, transports: Transports, ask: Ask
) -> None:
    transport = transports()
    async with serve() as server:
        await transport.warm(server.url, 3)
        await asyncio.gather(*(ask(transport, server.url) for _ in range(3)))
        for writer in tuple(server.writers):
            writer.transport.abort()
        await until(lambda: transport.connections_opened == 6 and transport.connections_open == 3)
        assert (len(server.requests), len(transport._origin(server.url).idle)) == (3, 3)


async def test_a_server_that_keeps_none_is_not_dialled_for_ever(serve: Serve, transports: Transports) -> None:
    async def script(visit: Visit) -> None:
        await asyncio.sleep(0.005)

    transport = transports()
    async with serve(script) as server:
        await transport.warm(server.url, 4)
        await until(lambda: transport.connections_open == 0)
        await asyncio.sleep(0.05)
        assert server.visits <= 8


async def test_cancelling_warm_loses_nothing(serve: Serve, transports: Transports) -> None:
    transport = transports()
    async with serve() as server:
        for turns in range(6):
            task = asyncio.create_task(transport.warm(server.url, 2 + turns))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await until(lambda: not transport._tasks)
            assert transport._slots == transport.connections_open == len(transport._origin(server.url).idle)


async def test_closing_fails_what_is_under_way_and_refuses_what_comes(
    serve: Serve, transports: Transports, ask: Ask
) -> None:
    transport = transports(max_connections=1)
    async with serve(Held()) as server:
        flying = asyncio.create_task(ask(transport, server.url))
        await until(lambda: server.requests)
        waiting = asyncio.create_task(ask(transport, server.url))
        await asyncio.sleep(0)
        await asyncio.gather(transport.aclose(), transport.aclose())
        errors = await asyncio.gather(flying, waiting, return_exceptions=True)
        assert [type(error) for error in errors] == [MaybeSent, NotSent]
        with pytest.raises(NotSent, match="closed"):
            await ask(transport, server.url)
        assert transport.connections_open == 0


async def test_closing_does_not_wait_for_a_dial(serve: Serve, transports: Transports, ask: Ask) -> None:
    async def script(visit: Visit) -> None:
        await visit.ended()

    transport = transports(connect_timeout=100.0)
    async with serve(script) as server:
        dialling = asyncio.create_task(ask(transport, server.url.copy_with(scheme="https")))
        await until(lambda: server.visits)
        async with asyncio.timeout(5):
            await transport.aclose()
        with pytest.raises(NotSent):
            await dialling


async def test_closing_does_not_wait_for_a_dial_that_has_not_begun(serve: Serve, transports: Transports) -> None:
    async def script(visit: Visit) -> None:
        await visit.ended()

    transport = transports(connect_timeout=100.0)
    async with serve(script) as server:
        warming = asyncio.create_task(transport.warm(server.url.copy_with(scheme="https"), 2))
        await asyncio.sleep(0)  # its dials are tasks by now, and have not had their first turn
        async with asyncio.timeout(5):
            await transport.aclose()
        assert await warming == 0
        assert server.visits == 0


async def test_dials_whose_time_has_just_run_out_are_given_up_once(
    serve: Serve, transports: Transports, ask: Ask
) -> None:
    async def script(visit: Visit) -> None:
        await visit.ended()

    transport = transports(connect_timeout=0.05)
    loop = asyncio.get_running_loop()
    given_up = []

    def give_up(limit: asyncio.Timeout) -> None:
        given_up.append(limit.expired())
        transport._dialer.give_up()
        given_up.append(True)

    async with serve(script) as server:
        dialling = asyncio.create_task(ask(transport, server.url.copy_with(scheme="https")))
        await until(lambda: transport._dialer._limits)
        (limit,) = transport._dialer._limits
        when = limit.when()
        assert when is not None
        loop.call_at(when + 1e-9, give_up, limit)  # in the same turn as the limit, after it
        with pytest.raises(NotSent):
            await dialling
        assert given_up == [True, True]


async def test_repr_tells_the_counts(serve: Serve, transports: Transports, ask: Ask) -> None:
    transport = transports(max_connections=7)
    async with serve() as server:
        await ask(transport, server.url)
        assert repr(transport) == "<BurstTransport: 1 of 7 connections open, 0 waiting, 1 sent>"


def test_another_loop_is_refused_with_the_reason(anyio_backend: str) -> None:
    transport = BurstTransport(ConnectionOptions(), environ={})

    async def touch() -> None:
        with pytest.raises(NotSent):
            await transport.exchange(Head("GET", httpx.URL("http://127.0.0.1:1/"), []), b"", 1.0)

    asyncio.run(touch())
    with pytest.raises(HostError, match="another event loop"):
        asyncio.run(touch())
    with pytest.raises(HostError, match="another event loop"):
        asyncio.run(transport.aclose())


@pytest.mark.parametrize("stray", [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nSTRAY", b"\r\n", b"x"])
async def test_who_waits_gets_no_connection_with_unread_bytes(
    serve: Serve, transports: Transports, ask: Ask, stray: bytes
) -> None:
    """An answer that fills the buffer exactly left the stray one behind it to whoever was next in line: 50 of 50."""
    start = b"HTTP/1.1 200 OK\r\nContent-Length: %05d\r\n\r\n"

    async def script(visit: Visit) -> None:
        while request := await visit.request():
            length = RECEIVED_AT_ONCE - len(start % 0)
            body = request.rpartition(b"\r\n")[2]
            visit.writer.write(start % length + body.ljust(length) + (stray if visit.number == 1 else b""))
            await visit.writer.drain()

    transport = transports(max_connections=1)
    async with serve(script) as server:
        bodies = [b"one", b"two", b"three"]
        answers = await asyncio.gather(*(ask(transport, server.url, content=body) for body in bodies))
        assert [answer.body.strip() for answer in answers] == bodies
        assert server.visits == 2
