"""The optional cache behind this one, which hosts of a scope share. It may fail: then the service is asked."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from scaleset_burst.cache.kinds import Kind
from scaleset_burst.cache.service import Shared, SharedCache
from scaleset_client.clock import Clock
from scaleset_client.types import RunnerGroup, ScaleSet

__all__ = ["Dated", "SharedLookups"]

logger = logging.getLogger(__name__)

F = TypeVar("F", ScaleSet, RunnerGroup)
D = TypeVar("D")

YOUNG_SHARE = 0.7
"""Only values in this first share of their life are taken over: a host that renews ahead must reach the service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated(Generic[D]):
    """A value that was not asked for just now.

    Attributes:
        said_at: When the service said so, in monotonic seconds of this host.
    """

    value: D
    said_at: float


class SharedLookups:
    """Looks into the shared cache first, if there is one, and tells it what the service says."""

    def __init__(self, shared: SharedCache | None, clock: Clock) -> None:
        self._shared = shared
        self._clock = clock
        self._telling: set[asyncio.Future[None]] = set()

    async def scale_set(
        self,
        key: tuple[str, str],
        lifetime: float,
        fetch: Callable[[], Awaitable[ScaleSet | None]],
        usable: Callable[[ScaleSet], bool],
    ) -> ScaleSet | Dated[ScaleSet] | None:
        """Return the scale set of that group and name."""
        if self._shared is None:
            return await fetch()
        return await self._through(Kind.SCALE_SET_NAME, "/".join(key), ScaleSet, lifetime, fetch, usable)

    async def group(
        self, name: str, lifetime: float, fetch: Callable[[], Awaitable[RunnerGroup | None]]
    ) -> RunnerGroup | Dated[RunnerGroup] | None:
        """Return the runner group of that name."""
        if self._shared is None:
            return await fetch()
        return await self._through(Kind.RUNNER_GROUP, name, RunnerGroup, lifetime, fetch, lambda _: True)

    async def _through(
        self,
        kind: Kind,
        key: str,
        expected: type[F],
        lifetime: float,
        fetch: Callable[[], Awaitable[F | None]],
        usable: Callable[[F], bool],
    ) -> F | Dated[F] | None:
        if self._telling:  # an answer that we asked for before they had forgotten the old one is not believed
            await asyncio.wait(self._telling)
        shared = await self._get(kind, key)
        if shared is not None and isinstance(shared.value, expected) and usable(shared.value):
            age = max(0.0, self._clock.time() - shared.said_at)
            if age < lifetime * YOUNG_SHARE:
                return Dated(value=shared.value, said_at=self._clock.monotonic() - age)
        asked_at = self._clock.time()
        found = await fetch()
        await self._tell(kind, key, None if found is None else Shared(value=found, said_at=asked_at), lifetime)
        return found

    def forget(self, kind: Kind, key: str) -> None:
        """Tell the shared cache that a value is no longer true; the next look-up waits for that."""
        if self._shared is not None:
            task = asyncio.ensure_future(self._tell(kind, key, None, 0.0))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _get(self, kind: Kind, key: str) -> Shared | None:
        assert self._shared is not None  # noqa: S101  # asked by the callers
        try:
            return await self._shared.get(kind, key)
        except Exception as error:  # noqa: BLE001  # whatever a shared cache raises must not stop a burst
            logger.warning("the shared cache cannot be read, the service is asked instead: %r", error)
            return None

    async def _tell(self, kind: Kind, key: str, shared: Shared | None, lifetime: float) -> None:
        assert self._shared is not None  # noqa: S101  # asked by the callers
        try:
            if shared is None:
                await self._shared.invalidate(kind, key)
            else:
                await self._shared.put(kind, key, shared, lifetime)
        except Exception as error:  # noqa: BLE001  # as above
            logger.warning("the shared cache cannot be written: %r", error)
