"""The open names of this host, mirrored in Redis, so that another host resolves them if this one never comes back."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scaleset_burst.journal import Change, Journal, JournalNames, LeftoverName, State, UnrecordedNames
from scaleset_burst.sharing.keys import Keys
from scaleset_burst.sharing.namescripts import CLAIM, MARK, TAKE, UPLOAD
from scaleset_burst.sharing.store import RedisUnavailable, Store, milliseconds_of

__all__ = ["MOST_NAMES", "Elsewhere", "SharedNames"]

logger = logging.getLogger(__name__)

MOST_NAMES = 10_000
"""Names of one host in Redis at most, about 100 bytes each; further ones are in the journal on disk only."""

MOST_DELIVERED = 1_000
"""Delivered names of a host that has not reported a launch yet; of one that has, half of all, so that what is reserved
always finds room."""

REPORTS = "!"
"""The field that says that a host reports launches: only then is a delivered name of it, once it is dead, looked at."""

KEPT_SECONDS = 86_400.0
"""How long names of a host that is gone are kept: after a day the service has removed unused runners itself
(protocol 8.3)."""

_VALUE = re.compile("[rd][|][0-9]{1,18}")

CLAIMED = 500
"""Names taken over from a dead host at a time at most."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What happened to names while Redis and this host did not hear of each other; to be carried out by whoever asked.

    Attributes:
        taken: Ours, which another host resolves now.
        taken_over: Of dead hosts, which are ours to resolve: that they were granted was never heard.
    """

    taken: tuple[str, ...] = ()
    taken_over: tuple[LeftoverName, ...] = ()


class SharedNames(JournalNames):
    """The journal, and beside it the mirror.

    The mirror must never call a name undelivered whose config the host has: another host would remove its runner. So
    a config is handed out only after the mirror called it delivered; if Redis cannot be told, the config is undone.
    What is minted and waits for the end of its call is not delivered: if its host dies, nobody ever had it.
    """

    def __init__(self, journal: Journal, store: Store, keys: Keys, host: str) -> None:
        """Make a mirror; nothing is written before a name is.

        Args:
            journal: The journal of this machine.
            store: Redis.
            keys: Of the scope.
            host: Our id.
        """
        super().__init__(journal)
        self._store = store
        self._keys = keys
        self._host = host
        self._kept = milliseconds_of(KEPT_SECONDS)
        self._open: dict[str, str] = {}
        self._mirrored: set[str] = set()
        self._settled: set[str] = set()
        self._changed: dict[str, str] = {}
        self._delivered: dict[str, None] = {}
        self._reports_launches = False
        self._present = False
        self._taken: set[str] = set()
        """Reserved names that another host resolves: their configs, should they come, are not handed out."""
        self._unsure = False
        """Whether names may have been taken over without our hearing of it."""
        self._uploading = asyncio.Lock()

    # What minting tells

    async def reserve(self, scale_set_id: int, names: Sequence[str]) -> None:
        """Write down names here and there before any request with them leaves.

        Raises:
            UnrecordedNames: Redis became unavailable: use others.
        """
        value = f"r|{scale_set_id}"
        fitting = names[: max(0, MOST_NAMES - len(self._open))]
        self._open |= dict.fromkeys(fitting, value)
        both = super().reserve(scale_set_id, names), self._mirror(dict.fromkeys(fitting, value))
        here, there = await asyncio.gather(*both, return_exceptions=True)
        for error in (there, here):  # lost names must not be used, whatever our own disk says
            if error is not None:
                raise error

    async def record(self, changes: Sequence[Change]) -> None:
        """Write down what became of names.

        Raises:
            UnrecordedNames: Redis could not be told that these are delivered, or another host took them over.
        """
        try:
            await super().record(changes)
        finally:  # minting goes on without a disk, so other hosts must know of what it hands out
            await self._tell_given(changes)

    def record_now(self, change: Change) -> bool:
        """Write nothing down: Redis has to be told, too."""
        del change
        return False

    async def _tell_given(self, changes: Sequence[Change]) -> None:
        given = [change.name for change in changes if change.state is State.DELIVERED]
        minted = [change.name for change in changes if change.state is State.MINTED]
        async with self._uploading:  # what it tells may not know of these
            pass
        taken = self._taken & {*given, *minted}
        values = {name: "d|" + open_[2:] for name in given if (open_ := self._open.get(name, "")).startswith("r|")}
        self._open |= values
        self._bound(values)
        concerned = self._mirrored.intersection(values)
        try:
            taken |= await self._mark({name: values[name] for name in concerned})
        except RedisUnavailable:
            taken |= concerned
        if taken:
            raise UnrecordedNames(taken)

    def note(self, changes: Sequence[Change]) -> None:
        """Write down what became of names, soon."""
        super().note(changes)
        for change in changes:
            self._taken.discard(change.name)
            if change.state in {State.CLOSED, State.LAUNCHED}:
                if change.state is State.LAUNCHED and not self._reports_launches:
                    self._reports_launches = True
                    self._changed[REPORTS] = "yes"
                self._settle(change.name)
            elif change.state is State.AMBIGUOUS and len(self._open) < MOST_NAMES:
                value = self._open.get(change.name, f"r|{change.scale_set_id or 0}").replace("d|", "r|", 1)
                self._open[change.name] = self._changed[change.name] = value

    def _settle(self, name: str) -> None:
        self._open.pop(name, None)
        self._delivered.pop(name, None)
        self._changed.pop(name, None)
        if name in self._mirrored:
            self._mirrored.discard(name)
            self._settled.add(name)

    def _bound(self, delivered: Iterable[str]) -> None:
        """Keep the newest delivered names only: nobody may ever say that they are launched."""
        self._delivered |= dict.fromkeys(delivered)
        most = MOST_NAMES // 2 if self._reports_launches else MOST_DELIVERED
        while len(self._delivered) > most:
            self._settle(next(iter(self._delivered)))

    async def adopt(self) -> tuple[LeftoverName, ...]:
        """Take over what dead processes of this machine left open, but for what another host has taken already."""
        leftovers = await super().adopt()
        if not leftovers:
            return leftovers
        values = {
            leftover.name: f"{'d' if leftover.delivered else 'r'}|{leftover.scale_set_id or 0}"
            for leftover in leftovers
        }
        try:
            pairs = [each for pair in values.items() for each in pair]
            keys = [self._keys.taken, self._keys.names(self._host)]
            mine = values.keys() & _texts(await self._store.run(TAKE, keys, [self._host, self._kept, *pairs]))
        except RedisUnavailable:
            mine = set(values)
        else:
            self._mirrored |= mine
        self._open |= {name: value for name, value in values.items() if name in mine}
        return tuple(leftover for leftover in leftovers if leftover.name in mine)

    # What the heartbeats do

    async def upload(self) -> Elsewhere:
        """Tell Redis every open name, after it has heard of us anew."""
        async with self._uploading:
            told, settled = dict(self._open), self._settled
            fields = told | ({REPORTS: "yes"} if self._reports_launches else {})
            pairs = [each for pair in fields.items() for each in pair]
            self._changed, self._settled = {}, set()
            self._mirrored |= told.keys()
            keys = [self._keys.names(self._host), self._keys.taken]
            try:
                reply = await self._store.run(UPLOAD, keys, [self._host, self._kept, *pairs])
                taken, ours = told.keys() & _texts(reply, 0), _open_names(_texts(reply, 1))
            except RedisUnavailable:
                self._settled |= settled
                raise
            self._present, self._unsure = True, False
        self._mirrored -= taken
        # Reserved ones may still be minted; what was delivered is in use, and treated with care over there.
        self._taken |= {name for name in taken if told[name].startswith("r|")}
        for name in taken:
            self._open.pop(name, None)
        if taken:
            logger.warning("%d names of this host are being resolved by another one: it took us for dead", len(taken))
        self._settled |= settled & ours.keys()
        unheard = self._taken_over({name: value for name, value in ours.items() if name not in settled})
        return Elsewhere(tuple(taken), unheard)

    async def flush(self) -> Elsewhere:
        """Tell Redis which names are settled, and which are unresolved again."""
        elsewhere = await self.upload() if self._unsure and self._present else Elsewhere()
        gone, self._settled = self._settled, set()
        changed, self._changed = self._changed, {}
        try:
            if self._present and (gone or changed):
                await self._write(changed, sorted(gone))
                written = changed.keys() - {REPORTS}
                self._mirrored |= written & self._open.keys()
                self._settled |= written - self._open.keys()
        except RedisUnavailable:
            self._settled |= gone
            self._changed = changed | self._changed
            raise
        return elsewhere

    def unavailable(self) -> None:
        """Note that Redis does not answer: names drawn from now on are in the journal of this machine only."""
        self._present = False

    async def claim(self, dead: str, heartbeats: str) -> tuple[LeftoverName, ...]:
        """Take over names of a host that fell silent; each name goes to one host only."""
        keys = [self._keys.names(dead), self._keys.names(self._host), self._keys.taken, self._keys.ledger[-1]]
        try:
            moved = await self._store.run(CLAIM, keys, [dead, self._host, heartbeats, self._kept, CLAIMED])
        except RedisUnavailable:
            self._unsure = True
            raise
        return self._taken_over(_open_names(_texts(moved)))

    def _taken_over(self, found: dict[str, str]) -> tuple[LeftoverName, ...]:
        self._open |= found
        self._mirrored |= found.keys()
        leftovers = tuple(_leftover(name, value) for name, value in found.items())
        super().note(
            [
                Change(
                    name=leftover.name,
                    state=State.DELIVERED if leftover.delivered else State.UNPROVEN,
                    scale_set_id=leftover.scale_set_id,
                )
                for leftover in leftovers
            ]
        )
        return leftovers

    async def _mirror(self, values: dict[str, str]) -> None:
        if not self._present or not values:
            return
        try:
            await self._write(values, ())
        except RedisUnavailable:
            # Whether it was written is not known: other names, of which Redis surely knows nothing, are better.
            self._present = False
            for name in values:
                self._open.pop(name, None)
            raise UnrecordedNames(values) from None
        self._mirrored |= set(values)

    async def _mark(self, values: dict[str, str]) -> set[str]:
        """Say which are delivered; return those that are another host's meanwhile."""
        if not values:
            return set()
        pairs = [each for pair in values.items() for each in pair]
        keys = [self._keys.names(self._host), self._keys.taken]
        return values.keys() & _texts(await self._store.run(MARK, keys, [self._host, self._kept, *pairs]))

    async def _write(self, values: dict[str, str], gone: Iterable[str]) -> None:
        await self._store.update(self._keys.names(self._host), values, list(gone), self._kept)


def _texts(reply: object, *part: int) -> list[str]:
    """Return a reply, or a part of it, that has to be a list of texts; whoever can write to Redis may write anything.

    Raises:
        Away: It is something else.
    """
    for index in part:
        reply = reply[index] if isinstance(reply, list) and index < len(reply) else None
    if not isinstance(reply, list) or not all(isinstance(each, str) for each in reply):
        raise RedisUnavailable("Redis answers what is no list of names")
    return reply


def _open_names(pairs: list[str]) -> dict[str, str]:
    """Return names with what they are, without those that no host of ours can have written."""
    values = dict(zip(pairs[::2], pairs[1::2], strict=False))
    return {name: value for name, value in values.items() if name.isprintable() and _VALUE.fullmatch(value)}


def _leftover(name: str, value: str) -> LeftoverName:
    state, _, scale_set_id = value.partition("|")
    return LeftoverName(name=name, scale_set_id=int(scale_set_id), runner_id=None, delivered=state == "d")
