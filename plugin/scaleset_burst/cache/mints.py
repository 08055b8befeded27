"""What we know of our own runners that a look-up may not know yet: when they were minted, whether they were seen."""

from dataclasses import dataclass

from scaleset_hookspecs import RunnerRef

__all__ = ["Mint", "Mints"]

MOST = 100_000
"""Mints remembered at most: six hours of what the limits of one scope allow (protocol section 10)."""


@dataclass(slots=True)
class Mint:
    """One runner of ours.

    Attributes:
        at: When it was minted, in monotonic seconds.
        scale_set_id: Its scale set.
        recalled: The memory of runners has it, or has forgotten it on purpose: until then nobody asked about it.
        seen: A look-up has shown it since, or an event its end.
        ended: An event told that its job is over.
        missed_at: When a look-up that proves something first failed to show it.
    """

    name: str
    runner_id: int
    at: float
    scale_set_id: int | None = None
    recalled: bool = False
    seen: bool = False
    ended: bool = False
    missed_at: float | None = None


class Mints:
    """Our runners, until their absence is certain. A registration takes time to spread (user report: GARM #834)."""

    def __init__(self, grace: float, born: float | None = None) -> None:
        """Know nothing yet.

        Args:
            grace: Seconds that the service may take to show a registration.
            born: When this process began to mint: what another one minted just before may not show yet, either.
        """
        self._grace = grace
        self._born = born
        self._by_name: dict[str, Mint] = {}
        self._by_id: dict[int, Mint] = {}

    def __len__(self) -> int:
        return len(self._by_name)

    def minted(self, name: str, runner_id: int, now: float, scale_set_id: int | None = None) -> None:
        """Note a mint."""
        if name in self._by_name or runner_id in self._by_id:
            self.forget(RunnerRef(name=name, id=runner_id))
        while len(self._by_name) >= MOST:
            self._remove(next(iter(self._by_name.values())))
        mint = Mint(name, runner_id, now, scale_set_id)
        self._by_name[name] = self._by_id[runner_id] = mint

    def recall(self, runner: RunnerRef) -> list[Mint]:
        """Return the mints of this id and of this name that are asked about, or told of, for the first time."""
        of_id = None if runner.id is None else self._by_id.get(runner.id)
        of_name = None if runner.name is None else self._by_name.get(runner.name)
        first = []
        for mint in (of_id, of_name):
            if mint is not None and not mint.recalled:
                mint.recalled = True
                first.append(mint)
        return first

    def recall_none(self) -> int:
        """Let the memory of runners learn nothing more from the mints so far; return from how many it had not yet."""
        unasked = [mint for mint in self._by_name.values() if not mint.recalled]
        for mint in unasked:
            mint.recalled = True
        return len(unasked)

    def seen(self, runner: RunnerRef) -> None:
        """Note that a look-up showed a runner: after its grace period its absence can be believed."""
        mint = self.find(runner)
        if mint is not None:
            mint.seen = True

    def ended(self, runner: RunnerRef) -> None:
        """Note that a runner's job is over: its absence can be believed, of a host before the grace period ends."""
        mint = self.find(runner)
        if mint is not None:
            mint.seen = mint.ended = True

    def why_unproven(self, runner: RunnerRef, now: float) -> str | None:
        """Return why the absence that a look-up just found cannot be believed, or `None` if it can.

        1. Younger than the grace period: the service may not show it yet.
        2. Never seen yet: it takes two looks a grace period apart, since one may hit a copy that is behind.
        3. Not ours, but this process is that young itself: the one before it may have minted the runner.
        """
        mint = self.find(runner)
        if mint is None:
            return self._why_unproven_of_others(now)
        age = now - mint.at
        if age < self._grace:
            return f"minted by us {age:.0f} s ago: the service may not show it yet (grace period {self._grace:g} s)"
        if mint.seen:
            return None
        if mint.missed_at is None:
            mint.missed_at = now
        waited = now - mint.missed_at
        if waited < self._grace or waited == 0.0:
            return f"minted by us {age:.0f} s ago and not seen since: one look that misses it proves nothing"
        return None

    def _why_unproven_of_others(self, now: float) -> str | None:
        age = float("inf") if self._born is None else now - self._born
        if age >= self._grace:
            return None
        return f"this process began {age:.0f} s ago: what was minted just before may not show (grace {self._grace:g} s)"

    def may_appear(self, runner: RunnerRef, now: float) -> bool:
        """Return whether a host that found a runner missing may only have looked too early, or at a copy behind."""
        mint = self.find(runner)
        return mint is not None and not mint.ended and (not mint.seen or now - mint.at < self._grace)

    def forget(self, runner: RunnerRef) -> None:
        """Note that a runner is gone for certain."""
        mint = self.find(runner)
        if mint is not None:
            self._remove(mint)

    def find(self, runner: RunnerRef) -> Mint | None:
        """Return what is known of a runner: by its id, which is never given twice, or else by its name."""
        if runner.id is not None and runner.id in self._by_id:
            return self._by_id[runner.id]
        mint = self._by_name.get(runner.name) if runner.name is not None else None
        return mint if mint is None or runner.id in {None, mint.runner_id} else None

    def _remove(self, mint: Mint) -> None:
        if self._by_name.get(mint.name) is mint:  # else the name was given again
            del self._by_name[mint.name]
        self._by_id.pop(mint.runner_id, None)
