"""A TCP connection to one of several addresses, whichever answers first (RFC 8305 section 5)."""

import asyncio
import socket
from collections.abc import Sequence

__all__ = ["connect_to_first"]

_EYEBALLS = 0.25
"""Seconds before the next address is tried beside those before it."""


async def connect_to_first(
    addresses: Sequence[str], port: int, seconds: float | None, tried: list[str]
) -> socket.socket:
    """Return a connected socket; every other one that was opened is closed.

    The sockets are our own: uvloop's `create_connection` never leaves an address that swallows packets.

    Args:
        addresses: At least one, in the order of preference.
        port: The port.
        seconds: The time there is; the last address begins by half of it.
        tried: Takes the addresses that were tried, for whoever ends this.

    Raises:
        OSError: None could be connected to; the message says why for each.
    """
    pause = _EYEBALLS if seconds is None else min(_EYEBALLS, seconds / (2 * len(addresses)))
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
