"""The connections of all origins: who gets which, how many there are, and when one is given up."""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping

import httpx

from scaleset_client.observing import TRACE
from scaleset_client.options import ConnectionOptions
from scaleset_client.transport.connection import RECEIVED_AT_ONCE, Connection, read_what_came
from scaleset_client.transport.dialing import Dialer, refusal
from scaleset_client.transport.exchange import Head, Response, refuse_encoded
from scaleset_client.transport.failures import NotSent
from scaleset_client.transport.routes import Route
from scaleset_hookspecs.errors import HostError

__all__ = ["KEEP_WARM", "BurstTransport"]


KEEP_WARM = 600.0
"""Seconds after the last `warm` for which connections that die are replaced."""

_YOUNG = 1.0
"""A connection closed within these seconds of lying idle, unused, says that the server keeps none for us."""


class Alarm:
    """One timer for many deadlines, so that most requests cost a comparison.

    It calls once when the earliest deadline has come; who is called asks again for those that are left.

    Attributes:
        at: Loop time at which it will call, infinite if it will not.
    """

    __slots__ = ("_call", "_handle", "at")

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._handle: asyncio.TimerHandle | None = None
        self.at = math.inf

    def set(self, deadline: float) -> None:
        """Call by that loop time at the latest."""
        if deadline < self.at:
            self.cancel()
            self.at = deadline
            self._handle = asyncio.get_running_loop().call_at(deadline, self._ring)

    def cancel(self) -> None:
        """Call no more."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle, self.at = None, math.inf

    def _ring(self) -> None:
        self._handle, self.at = None, math.inf
        self._call()


class Origin:
    """The connections of one origin; who they report to.

    Attributes:
        route: The way to it.
        buffer: Where bytes come in, for all its connections.
        idle: Those that can be used, the one used last at the end.
        open: All that are open.
        dialing: Those being opened.
        wanted: How many are to be kept open, until the loop time `wanted_until`.
    """

    __slots__ = ("buffer", "dialing", "idle", "open", "pool", "route", "wanted", "wanted_until")

    def __init__(self, pool: "BurstTransport", route: Route) -> None:
        self.pool = pool
        self.route = route
        self.buffer = memoryview(bytearray(RECEIVED_AT_ONCE))
        self.idle: list[Connection] = []
        self.open: set[Connection] = set()
        self.dialing = 0
        self.wanted = 0
        self.wanted_until = -math.inf

    def missing(self, count: int) -> int:
        """Return how many would have to be opened for that many."""
        return count - len(self.open) - self.dialing

    def keep(self, count: int) -> None:
        """Keep that many open for a while."""
        self.wanted = count
        self.wanted_until = asyncio.get_running_loop().time() + KEEP_WARM

    def released(self, connection: Connection) -> None:
        """Give the connection to who waits for it, or lay it by."""
        self.pool.take_back(self, connection)

    def lost(self, connection: Connection) -> None:
        """Forget the connection, and replace it if the origin is to be kept warm."""
        if connection not in self.open:
            return
        self.open.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)
        now = asyncio.get_running_loop().time()
        if not connection.uses and now < connection.deadline - connection.idle_limit + _YOUNG:
            self.wanted = 0
        self.pool.free_slot()
        if self.wanted and now < self.wanted_until and self.missing(self.wanted) > 0:
            self.pool.renew(self)


class BurstTransport:
    """A `Transport` for bursts: HTTP/1.1, and no more work per request than there must be.

    Of one event loop. A request whose bytes may have left is never repeated.

    Attributes:
        connections_opened: Connections opened so far.
        requests_sent: Requests sent so far.
        requests_reused: Those of them that went over a connection used before or opened ahead.
    """

    def __init__(
        self,
        options: ConnectionOptions,
        *,
        max_connections: int | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._options = options
        self._limit = max_connections or options.max_connections
        self._dialer = Dialer(options, environ)
        self._origins: dict[tuple[str, str, int | None], Origin] = {}
        self._waiters: deque[tuple[Origin, asyncio.Future[Connection | None]]] = deque()
        self._slots = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._alarm = Alarm(self._sweep)
        self._empty: asyncio.Future[None] | None = None
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections_opened = 0
        self.requests_sent = 0
        self.requests_reused = 0

    def __repr__(self) -> str:
        """Return the counts, for a person who looks."""
        return (
            f"<BurstTransport: {self.connections_open} of {self._limit} connections open, "
            f"{len(self._waiters)} waiting, {self.requests_sent} sent>"
        )

    @property
    def connections_open(self) -> int:
        """Connections open now, idle or busy."""
        return sum(len(origin.open) for origin in self._origins.values())

    async def exchange(self, head: Head, body: bytes, seconds: float) -> Response:
        """Send one request and return its answer, as `Transport.exchange`.

        Args:
            head: All of the request but its body.
            body: The body, or nothing.
            seconds: Time for the whole answer from when the request leaves; and, before that, for a free connection.
        """
        loop = self._check()
        origin = self._origin(head.url)
        data = head.encoded(origin.route, len(body)) + body
        trace, started = TRACE.get(), loop.time()
        connection = self._pop(origin, started)
        if connection is None:
            connection = await self._obtain(origin, started + seconds)
            if trace is not None:
                trace.connect += loop.time() - started
        if trace is not None:
            trace.unsent = False
        self._watch(connection, loop.time() + seconds)
        self.requests_sent += 1
        response = await connection.exchange(data, head_only=head.method == "HEAD")
        if response.status == 407 and origin.route.proxy is not None:
            raise refusal(origin.route.proxy, response.status, origin.route.authority)
        refuse_encoded(response.headers)
        return response

    async def warm(self, url: httpx.URL, count: int) -> int:
        """Open connections to the URL's origin until `count` are open; return how many are.

        Fewer than asked are open if the limit or the origin does not allow more; a request then tells why.
        For ten minutes from the last call, those that die idle are replaced.
        """
        self._check()
        origin = self._origin(url)
        origin.keep(min(count, self._limit))
        tasks = self._fill(origin)
        if tasks:
            await asyncio.wait(tasks)
        return len(origin.open)

    async def aclose(self) -> None:
        """Close every connection; requests under way fail with `MaybeSent`, later ones with `NotSent`."""
        loop = self._own_loop()
        self._closed = True
        self._alarm.cancel()
        while self._waiters:
            _, waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(NotSent("the transport was closed"))
        self._dialer.give_up()
        for origin in self._origins.values():
            for connection in tuple(origin.open):
                connection.abort()
        if self._slots:
            self._empty = self._empty or loop.create_future()
            await asyncio.shield(self._empty)

    def _check(self) -> asyncio.AbstractEventLoop:
        loop = self._own_loop()
        if self._closed:
            raise NotSent("the transport is closed")
        return loop

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        """Return the running loop, which must be the one of the first call: connections belong to it."""
        loop = asyncio.get_running_loop()
        if self._loop is not None and loop is not self._loop:
            raise HostError(
                "this client's connections belong to another event loop, the one of its first call; use and close it "
                "there, or make a client for each loop"
            )
        self._loop = loop
        return loop

    def _origin(self, url: httpx.URL) -> Origin:
        key = (url.scheme, url.host, url.port)
        origin = self._origins.get(key)
        if origin is None:
            origin = self._origins[key] = Origin(self, self._dialer.route(url))
        return origin

    # Who gets which connection.

    def _pop(self, origin: Origin, now: float) -> Connection | None:
        """Take the connection used last, if it can be used without a doubt and without waiting."""
        idle = origin.idle
        while idle:
            connection = idle.pop()
            if not connection.usable:
                continue
            if connection.deadline <= now:
                connection.abort()
            elif connection.stirs():
                idle.append(connection)
                return None
            else:
                self.requests_reused += 1
                return connection
        return None

    async def _obtain(self, origin: Origin, deadline: float) -> Connection:
        """Find, wait for until that loop time, or open a connection."""
        loop = asyncio.get_running_loop()
        while True:
            while origin.idle:
                connection = self._pop(origin, loop.time())
                if connection is not None:
                    return connection
                await read_what_came()
            if self._slots < self._limit:
                self._reserve(origin, 1)
            else:
                self._evict(origin)
                given = await self._turn(origin, deadline)
                if given is not None and given.usable and given.stirs():
                    await read_what_came()  # nobody asked for it: the connection closes
                if given is not None and given.usable:
                    self.requests_reused += 1
                    return given
                if given is not None:
                    continue
                origin.dialing += 1
            return await self._dial(origin)

    async def _turn(self, origin: Origin, deadline: float) -> Connection | None:
        """Wait in line for a connection of this origin or, as `None`, for leave to open one."""
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiters.append((origin, waiter))
        try:
            async with asyncio.timeout_at(deadline):
                return await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                given = waiter.result()
                if given is None:
                    self.free_slot()
                elif given.usable:
                    self.take_back(origin, given)
            if isinstance(error, TimeoutError):
                raise NotSent(f"all {self._limit} connections stayed busy") from None
            raise

    async def _dial(self, origin: Origin) -> Connection:
        """Open a connection in a slot that is ours already; the slot is freed if that fails."""
        try:
            connection = await self._dialer.dial(origin, origin.route)
        except BaseException:
            self.free_slot()
            raise
        finally:
            origin.dialing -= 1
        self.connections_opened += 1
        if connection.lost:
            self.free_slot()
        else:
            origin.open.add(connection)
        if self._closed or not connection.usable:
            connection.abort()
            raise NotSent(f"the connection to {origin.route.host} closed as soon as it was open")
        return connection

    def _evict(self, origin: Origin) -> None:
        """Close the connection of another origin that lay idle longest, to make room."""
        others = [other.idle for other in self._origins.values() if other.idle and other is not origin]
        if others:
            min(others, key=lambda idle: idle[0].deadline).pop(0).abort()

    def take_back(self, origin: Origin, connection: Connection) -> None:
        """Hand a connection to the first in line, or lay it by; close it if that one wants another origin."""
        while self._waiters:
            wanted, waiter = self._waiters[0]
            if waiter.done():
                self._waiters.popleft()
            elif wanted is origin:
                self._waiters.popleft()
                waiter.set_result(connection)
                return
            else:
                connection.abort()
                origin.lost(connection)  # its slot is passed on now, lest the next one back is closed for it, too
                return
        origin.idle.append(connection)
        self._watch(connection, asyncio.get_running_loop().time() + connection.idle_limit)

    def _fill(self, origin: Origin) -> list[asyncio.Task[None]]:
        """Open what the origin lacks, in tasks of our own: who asked may go away."""
        missing = max(0, min(origin.missing(origin.wanted), self._limit - self._slots))
        self._reserve(origin, missing)
        tasks = [asyncio.get_running_loop().create_task(self._add(origin)) for _ in range(missing)]
        self._tasks.update(tasks)
        for task in tasks:
            task.add_done_callback(self._tasks.discard)
        return tasks

    async def _add(self, origin: Origin) -> None:
        """Open one connection and lay it by; if that fails, let the origin be until the next `warm`."""
        try:
            self.take_back(origin, await self._dial(origin))
        except NotSent:
            origin.wanted = 0

    def renew(self, origin: Origin) -> None:
        """Replace in the background what the origin lost."""
        if not self._closed and not self._waiters:
            self._fill(origin)

    def _reserve(self, origin: Origin, count: int) -> None:
        self._slots += count
        origin.dialing += count

    def free_slot(self) -> None:
        """Pass a freed slot to the first in line."""
        while self._waiters:
            _, waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._slots -= 1
        if self._slots == 0 and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    def _watch(self, connection: Connection, deadline: float) -> None:
        connection.deadline = deadline
        if deadline < self._alarm.at:
            self._alarm.set(deadline)

    def _sweep(self) -> None:
        """Give up every connection whose time is over."""
        now = asyncio.get_running_loop().time()
        for origin in self._origins.values():
            for connection in tuple(origin.open):
                if connection.deadline > now:
                    self._alarm.set(connection.deadline)
                elif connection.busy:
                    connection.expire()
                else:
                    connection.abort()
