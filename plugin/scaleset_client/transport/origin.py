"""One origin: the way to it and the connections that are open to it."""

import asyncio
import math
from typing import Protocol

from scaleset_client.transport.connection import RECEIVED_AT_ONCE, Connection
from scaleset_client.transport.routes import Route

__all__ = ["KEEP_WARM", "Origin"]

KEEP_WARM = 600.0
"""Seconds after the last `warm` for which connections that die are replaced."""

_YOUNG = 1.0
"""A connection closed within these seconds of lying idle, unused, says that the server keeps none for us."""


class Pool(Protocol):
    """What an origin tells its pool."""

    def take_back(self, origin: "Origin", connection: Connection) -> None:
        """The connection can be used again."""

    def free_slot(self) -> None:
        """One connection fewer is open."""

    def renew(self, origin: "Origin") -> None:
        """Open again what the origin lacks, if it is to be kept warm."""


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

    def __init__(self, pool: Pool, route: Route) -> None:
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
