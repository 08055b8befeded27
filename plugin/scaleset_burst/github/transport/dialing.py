"""Opening a connection: TCP, TLS, and the way through a proxy."""

import asyncio
import os
import ssl
from collections.abc import Mapping

import httpx

from scaleset_burst.github.options import ConnectionOptions
from scaleset_burst.github.transport.connection import Connection, Owner
from scaleset_burst.github.transport.routes import Route

__all__ = ["Dialer"]


class Dialer:
    """Knows the ways to the origins and opens connections along them."""

    def __init__(self, options: ConnectionOptions, environ: Mapping[str, str] | None = None) -> None:
        self._environ = dict(os.environ if environ is None else environ)
        self._trust = ssl.create_default_context(cafile=options.ca_file)
        self._trust.set_alpn_protocols(["http/1.1"])
        if options.client_certificate:
            self._trust.load_cert_chain(options.client_certificate, options.client_key)

        self._limits: set[asyncio.Timeout] = set()

    def give_up(self) -> None:
        """Let every attempt under way fail now."""
        for limit in self._limits:
            limit.reschedule(0.0)

    def route(self, url: httpx.URL) -> Route:
        """Return the way to the URL's origin."""
        if url.scheme not in {"http", "https"} or not url.host:
            raise httpx.UnsupportedProtocol(
                f"not an http:// or https:// URL with a host: {url.scheme}://{url.host}"
            )
        tls = url.scheme == "https"
        return Route(host=url.host, port=url.port or (443 if tls else 80), tls=tls)

    async def dial(self, owner: Owner, route: Route, seconds: float | None) -> Connection:
        """Open a connection along the route.

        Raises:
            httpx.ConnectTimeout: It took longer than that many seconds.
            httpx.ConnectError: It could not be opened.
        """
        try:
            async with asyncio.timeout(seconds) as limit:
                self._limits.add(limit)
                try:
                    return await self._open(owner, route)
                finally:
                    self._limits.discard(limit)
        except TimeoutError as error:
            raise httpx.ConnectTimeout(
                f"no connection to {route.host}:{route.port} in {seconds} s"
            ) from error
        except OSError as error:
            raise httpx.ConnectError(f"no connection to {route.host}:{route.port}: {error}") from error

    async def _open(self, owner: Owner, route: Route) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(owner),
            route.host,
            route.port,
            ssl=self._trust if route.tls else None,
            server_hostname=route.host if route.tls else None,
        )
        return connection
