"""Hosts that are only a budget and its heartbeats, on a real Redis and a clock that is set by hand."""

from dataclasses import dataclass, field

from redis import Redis

from scaleset_burst.sharing.budget import NEVER, Fallback, SharedBudget
from scaleset_burst.sharing.heartbeat import Heartbeat, Tuning
from scaleset_burst.sharing.keys import Keys
from scaleset_burst.sharing.store import RedisStore

__all__ = ["KEYS", "LIMIT", "WINDOW", "BareHost", "settle"]

KEYS = Keys("test", "github.com/acme")
LIMIT, WINDOW = 100, 300.0


@dataclass
class HandClock:
    """Stands still unless moved."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here waits")


@dataclass
class BareHost:
    """One host.

    Attributes:
        waiting: Registrations that wait to be sent.
        losses: How often it was said that Redis may know names that it cannot be told about.
    """

    url: str
    name: str
    ca_file: str | None = None
    store: RedisStore = field(init=False)
    clock: HandClock = field(default_factory=HandClock)
    waiting: int = 0
    losses: int = 0

    def __post_init__(self) -> None:
        share = Fallback(LIMIT // 2, LIMIT // 2, NEVER, WINDOW)
        self.store = RedisStore(self.url, timeout=1.0, ca_file=self.ca_file)
        self.budget = SharedBudget(limit=LIMIT // 2, window=WINDOW, whole=LIMIT, fallback=share)
        tuning = Tuning(lease=30.0, window=WINDOW, hosts=2)
        self.heartbeat = Heartbeat(self.store, KEYS, self.name, self.budget, tuning, self, clock=self.clock)

    async def joined(self) -> None:
        """Have nothing to tell."""

    def unavailable(self) -> None:
        """Count how often."""
        self.losses += 1

    def granted(self, working: int, hosts: int) -> None:
        """Have no requests in flight."""

    def more_may_be_sent(self) -> None:
        """Send when told to."""

    def register(self, wanted: int) -> int:
        """Send and commit as many of `wanted` as are allowed; return how many."""
        now = self.clock.monotonic()
        count = self.budget.allow(now, wanted)
        self.budget.reserve(now, count)
        self.budget.settle(now, count, 0)
        return count


def settle(url: str) -> None:
    """Let the time pass in which an empty Redis grants nothing."""
    with Redis.from_url(url) as client:
        client.hset(KEYS.ledger[0], "settles", 0)
