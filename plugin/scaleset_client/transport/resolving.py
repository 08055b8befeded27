"""From a host to addresses: this machine's without asking, others by one look-up that all share, off the loop."""

import asyncio
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain, zip_longest

from scaleset_client.loopback import LOOPBACK, is_loopback, is_loopback_address, literal_address

__all__ = ["NameResolver", "in_turn"]

_THREADS = 4
"""Look-ups under way at most; a resolver that hangs takes no more threads than that."""

_HANGS = 10.0
"""Seconds after which a look-up is not waited for by newcomers, if another may be started."""


class NameResolver:
    """Resolves names for the connections of one loop, with `getaddrinfo` in threads of its own.

    The host's default executor is left alone: it is small, and a slow resolver would hold up the host's own calls.
    The threads are daemons, so that one that hangs does not keep the process alive.
    """

    def __init__(self) -> None:
        self._latest: dict[str, _Lookup] = {}
        self._threads = 0

    async def resolve(self, host: str) -> tuple[str, ...]:
        """Return the host's addresses, IPv6 and IPv4 in turn.

        A name of this machine leads to this machine, whatever the resolver says.

        Raises:
            OSError: It has none, or too many look-ups hang.
            UnicodeError: It cannot be a name.
        """
        if literal_address(host) is not None:
            return (host,)
        if host.lower().removesuffix(".") == "localhost":
            return LOOPBACK
        if not is_loopback(host):
            return in_turn(await self._look_up(host))
        try:
            return tuple(filter(is_loopback_address, await self._look_up(host))) or LOOPBACK
        except (OSError, UnicodeError):  # few resolvers know names below `localhost`
            return LOOPBACK

    async def _look_up(self, host: str) -> tuple[str, ...]:
        loop = asyncio.get_running_loop()
        lookup = self._latest.get(host)
        if lookup is None or (loop.time() - lookup.started > _HANGS and self._threads < _THREADS):
            if self._threads >= _THREADS:
                raise OSError(f"name resolution hangs: {_THREADS} look-ups are under way")
            lookup = _Lookup(self, host, loop)
            threading.Thread(target=lookup.run, name="scaleset-burst-resolver", daemon=True).start()
            self._threads += 1
            self._latest[host] = lookup
        # Each waiter gets an error of its own: a shared one would collect the tracebacks of all.
        answer = await asyncio.shield(lookup.answer)
        if isinstance(answer, Exception):
            raise type(answer)(*answer.args)
        return answer

    def ended(self, lookup: "_Lookup") -> None:
        """Forget a look-up that has its answer; the next connection asks anew."""
        self._threads -= 1
        if self._latest.get(lookup.host) is lookup:
            del self._latest[lookup.host]


class _Lookup:
    """One look-up and who waits for it."""

    def __init__(self, resolver: NameResolver, host: str, loop: asyncio.AbstractEventLoop) -> None:
        self.host = host
        self.started = loop.time()
        self.answer: asyncio.Future[tuple[str, ...] | Exception] = loop.create_future()
        self._loop = loop
        self._resolver = resolver

    def run(self) -> None:
        """Ask, in a thread."""
        answer: tuple[str, ...] | Exception
        try:
            found = socket.getaddrinfo(self.host, None, type=socket.SOCK_STREAM)
            answer = tuple(dict.fromkeys(str(address[0]) for *_, address in found))
        except Exception as error:  # noqa: BLE001  # whoever waits must hear of it
            answer = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(self._settle, answer)

    def _settle(self, answer: tuple[str, ...] | Exception) -> None:
        self._resolver.ended(self)
        self.answer.set_result(answer)


def in_turn(addresses: Iterable[str]) -> tuple[str, ...]:
    """Return the addresses in the resolver's order, but the two families in turn (RFC 8305 section 4)."""
    known = tuple(addresses)
    first = [address for address in known if (":" in address) == (":" in known[0])]
    second = [address for address in known if address not in first]
    return tuple(address for address in chain(*zip_longest(first, second)) if address is not None)
