"""Reaching a host: its addresses are tried side by side, a little apart (RFC 8305), and all but one are closed.

asyncio can do that, too, but a cancellation in the moment of success leaves the socket open until the garbage is
collected; uvloop cannot, and spends all the time there is on an address that does not answer.
"""

import asyncio
import socket
from collections.abc import Iterable
from itertools import zip_longest
from typing import Any, TypeAlias

__all__ = ["reach"]

Address: TypeAlias = tuple[int, int, int, str, Any]

APART = 0.25
"""Seconds before the next address is tried beside those that have not answered (RFC 8305 section 5)."""


async def reach(host: str, port: int) -> socket.socket:
    """Return a socket that is connected to the host.

    Raises:
        OSError: The name is not known, or no address answers.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return await race(_alternating(found))


def _alternating(found: Iterable[Address]) -> list[Address]:
    """Take the families in turn, so that one that leads nowhere costs no more than one wait."""
    families: dict[int, list[Address]] = {}
    for one in found:
        families.setdefault(one[0], []).append(one)
    return [one for turn in zip_longest(*families.values()) for one in turn if one is not None]


async def race(addresses: Iterable[Address]) -> socket.socket:
    """Return a socket connected to the address that answers first.

    Raises:
        OSError: None does.
    """
    left = iter(addresses)
    tries: list[asyncio.Task[socket.socket | Exception]] = []
    first: socket.socket | None = None
    try:
        while first is None:
            address = next(left, None)
            if address is not None:
                tries.append(asyncio.create_task(_connect(address)))
            under_way = [one for one in tries if not one.done()]
            if under_way:
                seconds = None if address is None else APART
                await asyncio.wait(under_way, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            elif address is None:
                raise OSError("; ".join(str(one.result()) for one in tries) or "it has no address")
            first = next((made for one in tries if (made := _made(one)) is not None), None)
        return first
    finally:
        for one in tries:
            made = None if one.cancel() else _made(one)
            if made is not None and made is not first:
                made.close()


def _made(one: asyncio.Task[socket.socket | Exception]) -> socket.socket | None:
    result = one.result() if one.done() else None
    return result if isinstance(result, socket.socket) else None


async def _connect(address: Address) -> socket.socket | Exception:
    family, kind, protocol, _, where = address
    made = None
    try:
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, where)
    except BaseException as error:
        if made is not None:
            made.close()
        if isinstance(error, Exception):
            return error
        raise
    return made
