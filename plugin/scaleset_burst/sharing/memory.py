"""The second level of the cache: scale sets and runner groups that any host of the scope has asked for."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from scaleset_burst.cache.kinds import Kind
from scaleset_burst.cache.service import Shared
from scaleset_burst.clock import Clock
from scaleset_burst.github.types import RunnerGroup, ScaleSet
from scaleset_burst.sharing.keys import Keys
from scaleset_burst.sharing.scripts import FORGET, LEARN
from scaleset_burst.sharing.store import Away, Store
from scaleset_hookspecs import Label

__all__ = ["SharedMemory"]

ASKING_SECONDS = 3.0
"""How long hosts wait for the one that asks the service, which may have to get its tokens first."""

LOOK_SECONDS = 0.02

GONE_SECONDS = 60.0
"""How long it is remembered that a value is no longer true: longer than any look-up takes."""


class SharedMemory:
    """A `SharedCache` on Redis. Answers are public facts of the service; no token or JIT config passes through."""

    def __init__(self, store: Store, keys: Keys, host: str, *, clock: Clock, per_second: float) -> None:
        """Make a memory.

        Args:
            store: Redis.
            keys: Of the scope.
            host: Our id.
            clock: Where times and waits come from.
            per_second: The server's milliseconds in one second of ours.
        """
        self._store = store
        self._keys = keys
        self._host = host
        self._clock = clock
        self._per_second = per_second

    async def get(self, kind: Kind, key: str) -> Shared | None:
        """Return what is known; `None` to the one host that shall ask the service, while the others wait for it."""
        try:
            return await self._get(kind, key)
        except Away:  # the store has said why
            return None

    async def _get(self, kind: Kind, key: str) -> Shared | None:
        place, asking = self._keys.known(kind.value, key), self._keys.asking(kind.value, key)
        until = self._clock.monotonic() + ASKING_SECONDS
        while True:
            text, left = await self._store.fetch_dated(place)
            if text is not None and (shared := self._dated(kind, key, text, left)) is not None:
                return shared
            first = await self._store.claim(asking, self._host, int(ASKING_SECONDS * self._per_second))
            if first or self._clock.monotonic() >= until or await self._store.fetch(asking) == self._host:
                return None
            await self._clock.sleep(LOOK_SECONDS)

    async def put(self, kind: Kind, key: str, shared: Shared, lifetime: float) -> None:
        """Keep a value, and tell the other hosts if it is another one than before."""
        life = int(lifetime * self._per_second)
        age = max(0, int((self._clock.time() - shared.said_at) * self._per_second))
        keys = [self._keys.known(kind.value, key), self._keys.asking(kind.value, key)]
        with suppress(Away):
            before = await self._store.run(LEARN, keys, [_write(shared, life), max(1, life - age), age])
            known = None if before is None else _read(before)
            if known is not None and known[0].id != shared.value.id:
                await self._store.tell(self._keys.news, self._dropped(kind, key))

    async def invalidate(self, kind: Kind, key: str) -> None:
        """Forget a value, here and in every host."""
        kept = int(GONE_SECONDS * self._per_second)
        keys = [self._keys.known(kind.value, key), self._keys.asking(kind.value, key), self._keys.news]
        with suppress(Away):
            await self._store.run(FORGET, keys, [json.dumps({"life": kept}), kept, self._dropped(kind, key)])

    def _dropped(self, kind: Kind, key: str) -> str:
        return f"{self._host} drop {kind.value} {key}"

    def _dated(self, kind: Kind, key: str, text: str, left: int) -> Shared | None:
        """Return a value with its age, which the server tells: the clocks of hosts may differ."""
        known = _read(text)
        if known is None:
            return None
        value, life = known
        if not _answers(value, kind, key):
            return None
        return Shared(value=value, said_at=self._clock.time() - (life - left) / self._per_second)


def _write(shared: Shared, life: int) -> str:
    which = "group" if isinstance(shared.value, RunnerGroup) else "set"
    value = asdict(shared.value)
    value.pop("statistics", None)  # too short-lived to be of use to others
    return json.dumps({"life": life, which: value})


def _answers(value: ScaleSet | RunnerGroup, kind: Kind, key: str) -> bool:
    """Return whether a value is of the types it claims, and names what was asked; Redis is input as any other."""
    read: Mapping[str, Any] = asdict(value)  # as it was read: JSON gives fields any type
    if type(read["id"]) is not int or read["id"] < 1 or not isinstance(read["name"], str) or not read["name"]:
        return False
    name, asked = value.name.casefold(), key.casefold()
    if isinstance(value, RunnerGroup):
        return kind is Kind.RUNNER_GROUP and asked == name
    return kind is Kind.SCALE_SET_NAME and type(read["runner_group_id"]) is int and asked.endswith(f"/{name}")


def _read(text: str) -> tuple[ScaleSet | RunnerGroup, int] | None:
    """Read a value and the length of its life; one that another version wrote in another way counts as unknown."""
    try:
        found: Mapping[str, Any] = json.loads(text)
        life = int(found["life"])
        if "group" in found:
            return RunnerGroup(**found["group"]), life
        fields = dict(found["set"])
        fields["labels"] = tuple(Label(**label) for label in fields["labels"])
        return ScaleSet(**fields), life
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
