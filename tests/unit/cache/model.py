"""A model of the service for the cache's tests: it knows the truth at every moment, and who asks for what."""

import asyncio
import random
from collections import Counter
from dataclasses import replace

from scaleset_burst.cache import Metadata, SharedCache
from scaleset_burst.cache.backoff import FIRST_BACKOFF
from scaleset_burst.settings.model import CacheSettings
from scaleset_client.types import Runner, RunnerGroup, ScaleSet
from scaleset_hookspecs import NotFound, ServiceError, Unavailable
from tests.kit.virtual import VirtualClock


class ModelService:
    """Scale sets, groups and runners; can be slow, fail, hide what is young, and counts what it is asked."""

    def __init__(self) -> None:
        self.latency = 0.0
        self.error: ServiceError | None = None
        self.sets: dict[tuple[int, str], ScaleSet] = {}
        self.groups: dict[str, RunnerGroup] = {}
        self.runners: dict[int, Runner] = {}
        self.hidden: set[int] = set()
        self.asked: Counter[str] = Counter()
        self.in_flight: Counter[tuple[str, object]] = Counter()
        self.twice: list[tuple[str, object]] = []
        self.hammered: list[tuple[str, object]] = []
        self.failed_until: dict[tuple[str, object], float] = {}
        self._next_id = 100

    @property
    def requests(self) -> int:
        """How many requests there were."""
        return self.asked.total()

    def fresh_id(self) -> int:
        """Return an id that was never given before."""
        self._next_id += 1
        return self._next_id

    def add_set(self, name: str, group_id: int = 1, **more: object) -> ScaleSet:
        """Create a scale set, in place of one of the same name."""
        made = replace(ScaleSet(id=self.fresh_id(), name=name, runner_group_id=group_id), **more)  # type: ignore[arg-type]
        self.sets[group_id, name] = made
        return made

    def add_runner(self, name: str, **more: object) -> Runner:
        """Register a runner."""
        made = replace(Runner(id=self.fresh_id(), name=name, status="offline", busy=False), **more)  # type: ignore[arg-type]
        self.runners[made.id] = made
        return made

    async def get_scale_set_by_name(self, name: str, runner_group_id: int = 1) -> ScaleSet | None:
        async with _Request(self, "set by name", (runner_group_id, name)):
            return self.sets.get((runner_group_id, name))

    async def get_scale_set(self, scale_set_id: int) -> ScaleSet | None:
        async with _Request(self, "set by id", scale_set_id):
            for each in self.sets.values():
                if each.id == scale_set_id:
                    return each
            raise NotFound("no such scale set", status=404, type_name="RunnerScaleSetNotFoundException")

    async def get_runner_group(self, name: str) -> RunnerGroup:
        async with _Request(self, "group", name):
            if name not in self.groups:
                raise NotFound("no such group", status=200)
            return self.groups[name]

    async def get_runner(self, runner_id: int) -> Runner:
        async with _Request(self, "runner by id", runner_id):
            if runner_id not in self.runners or runner_id in self.hidden:
                raise NotFound("no such runner", status=404, type_name="TaskAgentNotFoundException")
            return self.runners[runner_id]

    async def find_runner(self, name: str) -> Runner | None:
        async with _Request(self, "runner by name", name):
            shown = [each for each in self.runners.values() if each.name == name and each.id not in self.hidden]
            return shown[0] if shown else None


class _Request:
    """One request: half of the latency, a look at the truth, the other half."""

    def __init__(self, service: ModelService, what: str, key: object) -> None:
        self._service = service
        self._what = what
        self._key = (what, key)
        self._latency = service.latency

    async def __aenter__(self) -> None:
        service = self._service
        service.asked[self._what] += 1
        service.in_flight[self._key] += 1
        if service.in_flight[self._key] > 1:
            service.twice.append(self._key)
        now = asyncio.get_running_loop().time()
        if now < service.failed_until.get(self._key, 0.0):
            service.hammered.append(self._key)
        try:
            await _pass(self._latency / 2)
            if service.error is not None:
                rest = service.error.retry_after or FIRST_BACKOFF / 2
                service.failed_until[self._key] = asyncio.get_running_loop().time() + rest
                raise service.error  # noqa: TRY301  # as the service would
        except BaseException:
            service.in_flight[self._key] -= 1
            raise

    async def __aexit__(self, *_: object) -> None:
        try:
            await _pass(self._latency / 2)
        finally:
            self._service.in_flight[self._key] -= 1


async def _pass(seconds: float) -> None:
    if seconds:
        await asyncio.sleep(seconds)


def make(service: ModelService, *, seed: int = 1, shared: SharedCache | None = None, **settings: object) -> Metadata:
    """Make a cache over the model, on virtual time."""
    return Metadata(
        service,
        CacheSettings.model_validate(settings),
        clock=VirtualClock(),
        random=random.Random(seed),
        shared=shared,
    )


def down(retry_after: float | None = None) -> Unavailable:
    """Return the error of a service that is down."""
    return Unavailable("the service is overloaded", status=503, retry_after=retry_after)
