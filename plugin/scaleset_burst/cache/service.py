"""What the cache needs of a client, and of a cache behind it that hosts share; both are satisfied by shape."""

from dataclasses import dataclass
from typing import Protocol

from scaleset_burst.cache.kinds import Kind
from scaleset_client.types import Runner, RunnerGroup, ScaleSet

__all__ = ["MetadataService", "Shared", "SharedCache"]


class MetadataService(Protocol):
    """The look-ups of the Actions service (protocol 4.2, rows 1, 3, 7, 9, 10)."""

    async def get_scale_set_by_name(self, name: str, runner_group_id: int = 1) -> ScaleSet | None:
        """Return the scale set of that name in the group, or `None`."""

    async def get_scale_set(self, scale_set_id: int) -> ScaleSet | None:
        """Return the scale set; `None`, or a `NotFound` that the service named itself, if there is none."""

    async def get_runner_group(self, name: str) -> RunnerGroup:
        """Return the runner group, or raise `NotFound`."""

    async def get_runner(self, runner_id: int) -> Runner:
        """Return the runner, or raise `NotFound`."""

    async def find_runner(self, name: str) -> Runner | None:
        """Return the runner of that name, or `None`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A scale set or a runner group as another host of the scope learnt it.

    Attributes:
        value: What the service said.
        said_at: When, in Unix time, because hosts share no other clock.
    """

    value: ScaleSet | RunnerGroup
    said_at: float


class SharedCache(Protocol):
    """A cache that hosts of one scope share. Only scale sets and runner groups pass through it.

    It may be slow or fail: a failure is logged and the service is asked instead.
    """

    async def get(self, kind: Kind, key: str) -> Shared | None:
        """Return what is known, or `None`."""

    async def put(self, kind: Kind, key: str, shared: Shared, lifetime: float) -> None:
        """Keep a value for at most so many seconds."""

    async def invalidate(self, kind: Kind, key: str) -> None:
        """Forget a value."""
