"""The connection to Redis or Valkey: bounded in time, quiet about repeats, and never in a burst's way."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)

__all__ = ["RedisStore", "RedisUnavailable", "Store", "milliseconds_of", "seconds_of"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

SECOND = 1000.0
"""The server's milliseconds in one second of ours."""

QUIET_SECONDS = 5.0
"""Silence on the channel after which the server is asked whether it is still there."""

FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 10.0
"""Between two questions whether a late server answers again; doubled if it answered for less than the longest."""


def milliseconds_of(seconds: float) -> int:
    """Return a duration as the server takes it."""
    return int(seconds * SECOND)


def seconds_of(milliseconds: float) -> float:
    """Return a duration that the server told."""
    return milliseconds / SECOND


class RedisUnavailable(Exception):
    """Redis did not answer, or not in a way that helps. The host goes on without."""


class Store(Protocol):
    """What the shared rooms need of Redis. Methods raise `RedisUnavailable` within the time limit, and nothing else."""

    async def run(self, script: str, keys: Sequence[str], arguments: Sequence[object]) -> Any:  # noqa: ANN401  # a reply
        """Run a script."""

    async def fetch(self, key: str) -> str | None:
        """Return a value."""

    async def fetch_dated(self, key: str) -> tuple[str | None, int]:
        """Return a value, and for how many milliseconds it is kept yet."""

    async def claim(self, key: str, value: str, milliseconds: int) -> bool:
        """Keep a value for so long unless there is one; return whether it was kept."""

    async def update(self, key: str, values: dict[str, str], gone: Sequence[str], milliseconds: int) -> None:
        """Write fields of a hash and remove others, in one step."""

    async def all_of(self, key: str) -> dict[str, str]:
        """Return a hash."""

    async def tell(self, channel: str, text: str) -> None:
        """Publish."""

    def hear(self, channel: str) -> AsyncIterator[str]:
        """Yield an empty text once it listens, then what is published from now on, until Redis is unavailable."""


class RedisStore:
    """A `Store` on a real server."""

    def __init__(self, url: str, *, timeout: float, ca_file: str | None = None) -> None:
        """Make a store; nothing connects before the first call.

        Args:
            url: `redis://` or `rediss://`, with the password if there is one.
            timeout: Seconds for each answer, connecting included.
            ca_file: PEM file of authorities to trust for `rediss://`, besides the system's.
        """
        self._timeout = timeout
        tls = _verified(ca_file) if url.startswith("rediss:") else {}
        pool = BlockingConnectionPool.from_url(
            url,
            decode_responses=True,
            encoding_errors="replace",
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=None,
            max_connections=16,
            timeout=timeout,
            **tls,
        )
        self._redis = Redis.from_pool(pool)
        self._listening = Redis.from_url(
            url, decode_responses=True, encoding_errors="replace", socket_connect_timeout=timeout, retry=None, **tls
        )
        self._said: set[str] = set()
        self._foreign = False
        self._asking: asyncio.Task[None] | None = None
        self._answered = float("-inf")
        self._backoff = FIRST_BACKOFF
        self._closed = False
        self._abandoned: set[asyncio.Future[Any]] = set()

    async def run(self, script: str, keys: Sequence[str], arguments: Sequence[object]) -> Any:  # noqa: ANN401  # a reply
        """Run a script."""
        registered = self._redis.register_script(script)
        reply = await self._bounded(registered(keys=list(keys), args=[str(each) for each in arguments]))
        if self._said:  # a replica, or a server that is full, answers what only reads
            self._said.clear()
            logger.warning("Redis answers again: limits, names and answers are shared with the other hosts")
        return reply

    async def eviction_policy(self) -> str | None:
        """Return the setting `maxmemory-policy` if this user may see it: it stands among the facts of INFO, too."""
        try:
            facts = await asyncio.wait_for(self._redis.info("memory"), self._timeout)
        except (RedisError, OSError, TimeoutError):
            return None
        return str(facts.get("maxmemory_policy") or "") or None

    async def fetch(self, key: str) -> str | None:
        """Return a value."""
        value = await self._bounded(self._redis.get(key))
        return value if isinstance(value, str) else None

    async def fetch_dated(self, key: str) -> tuple[str | None, int]:
        """Return a value, and for how many milliseconds it is kept yet."""
        pipe = self._redis.pipeline(transaction=True)
        pipe.execute_command("GET", key)
        pipe.execute_command("PTTL", key)
        reply = await self._bounded(pipe.execute())
        value, left = reply if len(reply) == 2 else (None, 0)
        return (value, left) if isinstance(value, str) and isinstance(left, int) else (None, 0)

    async def claim(self, key: str, value: str, milliseconds: int) -> bool:
        """Keep a value for so long unless there is one; return whether it was kept."""
        return bool(await self._bounded(self._redis.set(key, value, px=max(1, milliseconds), nx=True)))

    async def update(self, key: str, values: dict[str, str], gone: Sequence[str], milliseconds: int) -> None:
        """Write fields of a hash and remove others, in one step."""
        pairs = [each for pair in values.items() for each in pair]
        pipe = self._redis.pipeline(transaction=True)
        if gone:
            pipe.execute_command("HDEL", key, *gone)
        if pairs:
            pipe.execute_command("HSET", key, *pairs)
        pipe.execute_command("PEXPIRE", key, milliseconds)
        await self._bounded(pipe.execute())

    async def all_of(self, key: str) -> dict[str, str]:
        """Return a hash."""
        found = await self._bounded(cast("Awaitable[Any]", self._redis.hgetall(key)))
        return found if isinstance(found, dict) else {}

    async def tell(self, channel: str, text: str) -> None:
        """Publish."""
        await self._bounded(self._redis.publish(channel, text))

    async def hear(self, channel: str) -> AsyncIterator[str]:
        """Yield an empty text once it listens, then what is published from now on, until Redis is unavailable."""
        listening: Any = self._listening.pubsub()
        try:
            await self._bounded(listening.subscribe(channel))
            while (message := await self._heard(listening)) is not None:
                if message["type"] in {"subscribe", "message"}:
                    yield str(message["data"]) if message["type"] == "message" else ""
        except RedisUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  # as below
            raise RedisUnavailable(type(error).__name__) from None
        finally:
            await _quietly(listening.aclose())

    async def _heard(self, listening: Any) -> Any:  # noqa: ANN401  # the driver's
        """Return the next message; `None` if the connection is silent even when asked."""
        message = await listening.get_message(timeout=QUIET_SECONDS)
        if message is None:
            # A connection that a firewall or a dead machine cut is never closed; it only says nothing any more.
            await self._bounded(listening.ping())
            message = await listening.get_message(timeout=QUIET_SECONDS)
        return message

    async def aclose(self) -> None:
        """Close the connections."""
        self._closed = True
        if self._asking is not None:
            self._asking.cancel()
        for redis in (self._redis, self._listening):
            await _quietly(redis.aclose())

    async def _bounded(self, work: Awaitable[T]) -> T:
        if self._asking is not None:
            if asyncio.iscoroutine(work):
                work.close()
            raise RedisUnavailable(_late(self._timeout))
        try:
            return await self._answer(work)
        except RedisUnavailable as late:
            if str(late) == _late(self._timeout):
                self._begin_asking()
            raise

    def _begin_asking(self) -> None:
        if self._asking is None and not self._closed:
            self._asking = asyncio.create_task(self._ask(), name="ask Redis whether it answers")

    async def _ask(self) -> None:
        """Ask until it answers; meanwhile nobody else waits for it. Who is late again and again is asked less often."""
        soon = asyncio.get_running_loop().time() - self._answered > LONGEST_BACKOFF
        self._backoff = FIRST_BACKOFF if soon else min(LONGEST_BACKOFF, 2 * self._backoff)
        answered = False
        while not answered:
            await asyncio.sleep(self._backoff)
            with suppress(RedisUnavailable):
                await self._answer(cast("Awaitable[Any]", self._redis.ping()))
                answered = True
        self._answered, self._asking = asyncio.get_running_loop().time(), None

    async def _answer(self, work: Awaitable[T]) -> T:
        # In a task of its own: the driver may turn a cancellation into an error of its own, and then it would be lost.
        task = asyncio.ensure_future(work)
        try:
            done, _ = await asyncio.wait({task}, timeout=self._timeout)
            if done:
                return task.result()
            error: Exception = TimeoutError()
        except Exception as failed:  # noqa: BLE001  # what stands there may be no Redis, and the driver is not ours
            error = failed
        finally:
            if not task.done():
                self._abandoned.add(task)
                task.add_done_callback(self._forget)
                task.cancel()
        if "WRONGTYPE" in str(error):
            if not self._foreign:
                self._foreign = True
                logger.warning(
                    "Redis holds something else under a key of `plugins.burst.sharing.prefix`; it is ignored"
                )
            raise RedisUnavailable("Redis holds something else under a key of ours")
        reason = _reason(error, self._timeout)
        self._say(reason)
        raise RedisUnavailable(reason)

    def _forget(self, task: asyncio.Future[Any]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()  # nobody waits for it any more

    def _say(self, reason: str) -> None:
        """Say why Redis is of no use, each reason once until it can be used again."""
        if reason not in self._said:
            self._said.add(reason)
            logger.warning("%s; this host goes on alone with its safe share of the limits", reason)


def _verified(ca_file: str | None) -> dict[str, Any]:
    return {"ssl_cert_reqs": "required", "ssl_check_hostname": True, "ssl_ca_certs": ca_file}


def _reason(error: Exception, timeout: float) -> str:
    text = str(error)  # before Redis 7 a script's error only names the one inside it
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "the certificate of Redis is not trusted: check the host's name and `plugins.burst.sharing.ca_file`"
    if isinstance(error, NoPermissionError) or "user executing the script can't" in text or "ACL failure" in text:
        return "Redis gives the user of `plugins.burst.sharing.url` too few rights"
    if isinstance(error, AuthenticationError | AuthorizationError):
        return "Redis refuses the user name or the password: check the reference in `plugins.burst.sharing.url`"
    if isinstance(error, ReadOnlyError) or "-READONLY " in text:
        return "Redis is a read-only replica: `plugins.burst.sharing.url` has to name the primary"
    if isinstance(error, OutOfMemoryError) or "-OOM " in text:
        return "Redis is out of memory and evicts nothing"
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return _late(timeout)
    # The text of an error may repeat the URL; its type cannot.
    return f"Redis cannot be used ({type(error).__name__})"


def _late(timeout: float) -> str:
    return f"Redis does not answer within {timeout:g} s"


async def _quietly(work: Awaitable[object]) -> None:
    try:
        await work
    except (RedisError, OSError, RuntimeError) as error:
        logger.debug("closing a connection to Redis failed: %s", type(error).__name__)
