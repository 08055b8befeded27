"""The shared cache: scale sets and runner groups that any host of the scope has asked for."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter

from scaleset_burst.cache.kinds import Kind
from scaleset_burst.cache.service import Shared
from scaleset_burst.sharing.keys import Keys
from scaleset_burst.sharing.scripts import FORGET, LEARN
from scaleset_burst.sharing.store import RedisUnavailable, Store, milliseconds_of, seconds_of
from scaleset_client.clock import Clock
from scaleset_client.types import RunnerGroup, ScaleSet

__all__ = ["RedisCache"]

ASKING_SECONDS = 3.0
"""How long hosts wait for the one that asks the service, which may have to get its tokens first."""

LOOKUP_SECONDS = 0.02

GONE_SECONDS = 60.0
"""How long it is remembered that a value is no longer true: longer than any look-up takes."""

LONGEST_LIFE = 10**12
"""Milliseconds, some thirty years: a value that claims more was not written by a host."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What stands in Redis under a name: that it is not known any more, or a value, and how long it is true (ms)."""

    life: int
    set: ScaleSet | None = None
    group: RunnerGroup | None = None

    @property
    def value(self) -> ScaleSet | RunnerGroup | None:
        return self.set or self.group


_KNOWN = TypeAdapter(_Known)


class RedisCache:
    """A `SharedCache` on Redis. Answers are public facts of the service; no token or JIT config passes through."""

    def __init__(self, store: Store, keys: Keys, host: str, *, clock: Clock) -> None:
        """Make a memory.

        Args:
            store: Redis.
            keys: Of the scope.
            host: Our id.
            clock: Where times and waits come from.
        """
        self._store = store
        self._keys = keys
        self._host = host
        self._clock = clock

    async def get(self, kind: Kind, key: str) -> Shared | None:
        """Return what is known; `None` to the one host that shall ask the service, while the others wait for it."""
        try:
            return await self._get(kind, key)
        except RedisUnavailable:  # the store has said why
            return None

    async def _get(self, kind: Kind, key: str) -> Shared | None:
        place, asking = self._keys.known(kind.value, key), self._keys.asking(kind.value, key)
        until = self._clock.monotonic() + ASKING_SECONDS
        while True:
            text, left = await self._store.fetch_dated(place)
            if text is not None and (shared := self._dated(kind, key, text, left)) is not None:
                return shared
            first = await self._store.claim(asking, self._host, milliseconds_of(ASKING_SECONDS))
            if first or self._clock.monotonic() >= until or await self._store.fetch(asking) == self._host:
                return None
            await self._clock.sleep(LOOKUP_SECONDS)

    async def put(self, kind: Kind, key: str, shared: Shared, lifetime: float) -> None:
        """Keep a value, and tell the other hosts if it is another one than before."""
        life = milliseconds_of(lifetime)
        age = max(0, milliseconds_of(self._clock.time() - shared.said_at))
        keys = [self._keys.known(kind.value, key), self._keys.asking(kind.value, key)]
        with suppress(RedisUnavailable):
            before = await self._store.run(LEARN, keys, [_write(shared, life), max(1, life - age), age])
            known = _read(before) if isinstance(before, str) else None
            if known is not None and known.value is not None and known.value.id != shared.value.id:
                await self._store.tell(self._keys.news, self._dropped(kind, key))

    async def invalidate(self, kind: Kind, key: str) -> None:
        """Forget a value, here and in every host."""
        kept = milliseconds_of(GONE_SECONDS)
        keys = [self._keys.known(kind.value, key), self._keys.asking(kind.value, key), self._keys.news]
        with suppress(RedisUnavailable):
            await self._store.run(FORGET, keys, [json.dumps({"life": kept}), kept, self._dropped(kind, key)])

    def _dropped(self, kind: Kind, key: str) -> str:
        return f"{self._host} drop {kind.value} {key}"

    def _dated(self, kind: Kind, key: str, text: str, left: int) -> Shared | None:
        """Return a value with its age, which the server tells: the clocks of hosts may differ."""
        known = _read(text)
        if known is None or not 0 <= left <= known.life <= LONGEST_LIFE or not _answers(known.value, kind, key):
            return None
        assert known.value is not None  # noqa: S101  # it answers
        return Shared(value=known.value, said_at=self._clock.time() - seconds_of(known.life - left))


def _write(shared: Shared, life: int) -> str:
    which = "group" if isinstance(shared.value, RunnerGroup) else "set"
    value = asdict(shared.value)
    value.pop("statistics", None)  # too short-lived to be of use to others
    return json.dumps({"life": life, which: value})


def _answers(value: ScaleSet | RunnerGroup | None, kind: Kind, key: str) -> bool:
    """Return whether a value names what was asked; Redis is input as any other."""
    if value is None or value.id < 1 or not value.name:
        return False
    name, asked = value.name.casefold(), key.casefold()
    if isinstance(value, RunnerGroup):
        return kind is Kind.RUNNER_GROUP and asked == name
    return kind is Kind.SCALE_SET_NAME and asked.endswith(f"/{name}")


def _read(text: str) -> _Known | None:
    """Read a value; one that another version wrote in another way counts as unknown."""
    try:
        return _KNOWN.validate_json(text, strict=True)
    except ValueError:
        return None
