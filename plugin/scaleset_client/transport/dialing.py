"""Opening a connection: TCP, TLS, and the way through a proxy."""

import asyncio
import os
import socket
import ssl
from collections.abc import Mapping, Sequence
from functools import cached_property

import httpx

from scaleset_client.options import ConnectionOptions
from scaleset_client.transport.connection import RECEIVED_AT_ONCE, Connection, Owner
from scaleset_client.transport.failures import MaybeSent, NotSent, explain_certificate
from scaleset_client.transport.resolving import NameResolver
from scaleset_client.transport.routes import Proxy, Route, choose_route, parse_proxy, server_name
from scaleset_client.transport.trust import proxy_trust, service_trust

__all__ = ["Dialer", "connect_to_first", "refusal"]

_EYEBALLS = 0.25
"""Seconds before the next address is tried beside those before it."""

_PASSING = frozenset({408, 425, 429})
"""Refusals of a proxy below 500 that may pass."""


class _Nobody:
    """Owner of the connection to a proxy while it is no more than the foot of a tunnel."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(RECEIVED_AT_ONCE))

    def released(self, connection: Connection) -> None:
        """Never happens: a tunnel is not released."""

    def lost(self, connection: Connection) -> None:
        """Its exchange fails; there is nothing else to tell."""


class Dialer:
    """Knows the ways to the origins and opens connections along them."""

    def __init__(self, options: ConnectionOptions, environ: Mapping[str, str] | None = None) -> None:
        self._environ = dict(os.environ if environ is None else environ)
        self._proxy = parse_proxy(options.proxy) if options.proxy else None
        self._resolver = NameResolver()
        self._options = options
        self._limits: set[asyncio.Timeout] = set()
        self._given_up = False
        if options.ca_file or options.client_certificate or os.environ.get("SSLKEYLOGFILE"):
            _ = self._trust  # a file that somebody named is read now, so that a wrong one is said at the start

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        return service_trust(self._options)  # the system's authorities take 50 ms, and plain http needs none

    @cached_property
    def _proxy_trust(self) -> ssl.SSLContext:
        return proxy_trust(self._options)

    def give_up(self) -> None:
        """Let every attempt under way fail now, and those to come at once."""
        self._given_up = True
        for limit in self._limits:
            if not limit.expired():  # it would not be moved, and that attempt is failing already
                limit.reschedule(0.0)

    def route(self, url: httpx.URL) -> Route:
        """Return the way to the URL's origin."""
        return choose_route(url, self._proxy, self._environ)

    async def dial(self, owner: Owner, route: Route) -> Connection:
        """Open a connection along the route, in the time that the options give.

        Raises:
            NotSent: The proxy or the origin could not be reached in time, refused, or is not to be trusted.
        """
        if self._given_up:
            raise NotSent(f"no connection to {route.authority}: the transport was closed")
        seconds, tried = self._options.connect_timeout, list[str]()
        try:
            trust = self._trust if route.tls else None  # reading it takes no time of the connection's
            async with asyncio.timeout(seconds) as limit:
                self._limits.add(limit)
                try:
                    return await self._open(owner, route, trust, tried)
                finally:
                    self._limits.discard(limit)
        except TimeoutError:
            how = f"tried {', '.join(tried)}" if tried else "its name was not resolved"
            raise NotSent(f"no connection to {route.authority} in {seconds} s ({how})") from None
        except ssl.SSLCertVerificationError as error:
            raise NotSent(explain_certificate(error, route.authority, self._options.ca_file), lasting=True) from error
        except (OSError, UnicodeError) as error:
            raise NotSent(f"no connection to {route.authority}: {error}") from error

    async def _open(self, owner: Owner, route: Route, trust: ssl.SSLContext | None, tried: list[str]) -> Connection:
        if route.proxy is None:
            return await self._connect(owner, route.host, route.port, trust, tried)
        lower = await self._reach(route.proxy, _Nobody() if trust else owner, tried)
        if not trust:
            return lower
        below = await _tunnel(lower, route, route.proxy)
        connection = Connection(owner)
        try:
            above = await asyncio.get_running_loop().start_tls(
                below, connection, trust, server_hostname=server_name(route.host)
            )
        except BaseException:
            below.abort()
            raise
        if above is None or not connection.usable:  # its end came together with the end of the handshake
            below.abort()
            raise NotSent(f"the tunnel to {route.authority} closed during the TLS handshake")
        connection.connection_made(above)
        return connection

    async def _reach(self, proxy: Proxy, owner: Owner, tried: list[str]) -> Connection:
        trust = self._proxy_trust if proxy.tls else None
        try:
            return await self._connect(owner, proxy.host, proxy.port, trust, tried)
        except TimeoutError:
            raise
        except ssl.SSLCertVerificationError as error:
            raise NotSent(explain_certificate(error, str(proxy), self._options.ca_file), lasting=True) from error
        except (OSError, UnicodeError) as error:
            raise NotSent(f"no connection to {proxy}: {error}") from error

    async def _connect(
        self, owner: Owner, host: str, port: int, trust: ssl.SSLContext | None, tried: list[str]
    ) -> Connection:
        addresses = await self._resolver.resolve(host)
        opened = await connect_to_first(addresses, port, self._options.connect_timeout, tried)
        connection = Connection(owner)
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: connection, sock=opened, ssl=trust, server_hostname=server_name(host) if trust else None
            )
        except BaseException:
            connection.abort()
            opened.close()
            raise
        return connection


async def _tunnel(connection: Connection, route: Route, proxy: Proxy) -> asyncio.Transport:
    """Ask the proxy for a tunnel to the origin (RFC 9110 section 9.3.6); return the tunnel's end."""
    target = route.authority.encode("ascii")
    credentials = b"Proxy-Authorization: %b\r\n" % proxy.authorization if proxy.authorization else b""
    request = b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (target, target, credentials)
    try:
        answer = await connection.exchange(request, tunnel=True)
        if 200 <= answer.status < 300:
            return connection.detach()
    except MaybeSent as error:  # to the proxy, not to the service
        raise NotSent(f"{proxy} failed: {error}") from error
    connection.abort()
    raise refusal(proxy, answer.status, route.authority)


def refusal(proxy: Proxy, status: int, authority: str) -> NotSent:
    """Return the error for a proxy that answered a CONNECT, or its own 407, with that status."""
    what = {
        403: "its rules forbid it; have them changed, or spare the host by NO_PROXY",
        405: "it makes no tunnels (CONNECT), or this is no proxy",
        407: "it wants a user and a password, or refuses those given",
    }.get(status, "it could not reach the host" if status >= 500 else "it does not take the request")
    passing = status >= 500 or status in _PASSING
    return NotSent(f"{proxy} refused a tunnel to {authority} with status {status}: {what}", lasting=not passing)


async def connect_to_first(addresses: Sequence[str], port: int, seconds: float, tried: list[str]) -> socket.socket:
    """Return a socket connected to whichever address answers first (RFC 8305 section 5); every other one is closed.

    The sockets are our own: uvloop's `create_connection` never leaves an address that swallows packets.

    Args:
        addresses: At least one, in the order of preference.
        port: The port.
        seconds: The time there is; the last address begins by half of it.
        tried: Takes the addresses that were tried, for whoever ends this.

    Raises:
        OSError: None could be connected to; the message says why for each.
    """
    pause = min(_EYEBALLS, seconds / (2 * len(addresses)))
    left = list(reversed(addresses))
    attempts: dict[asyncio.Task[socket.socket], str] = {}
    failures: list[str] = []
    try:
        while left or attempts:
            if left:
                address = left.pop()
                tried.append(address)
                attempts[asyncio.create_task(_connect(address, port))] = address
            done, _ = await asyncio.wait(attempts, timeout=pause if left else None, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if (error := task.exception()) is None:
                    del attempts[task]
                    return task.result()
                if not isinstance(error, OSError):
                    raise error
                failures.append(f"{attempts.pop(task)}: {error.strerror or error}")
    finally:
        for task in attempts:
            task.add_done_callback(_close)
            task.cancel()
    raise OSError("; ".join(failures))


async def _connect(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        target = socket.getaddrinfo(
            address, port, family, socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        )  # without asking anybody: it reads the scope of an address
        await asyncio.get_running_loop().sock_connect(opened, target[0][4])
    except BaseException:
        opened.close()
        raise
    return opened


def _close(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()
