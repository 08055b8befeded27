"""The live part of `check`: the engine asks the service what the host would ask, and nothing is changed."""

import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from scaleset_burst.cli.output import SayingClock, print_line
from scaleset_burst.engine import Engine
from scaleset_burst.settings import Settings
from scaleset_client.clock import Clock, SystemClock
from scaleset_hookspecs import Answer, Certainty, NotFound, ScaleSetRef, ScaleSetSettings, Unavailable

__all__ = ["LiveResult", "look_live", "print_live"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveResult:
    """What the service said.

    Attributes:
        scope: Host and path of the scope.
        token_chain: Seconds from the credentials to the first token of the Actions service.
        answer: The scale set's settings; `None` if no scale set was named.
        second_source: Who answered when it was asked once more.
        requests: Requests sent, by kind.
        cache: What happened in the cache, by kind of thing; kinds where nothing happened are left out.
    """

    scope: str
    token_chain: float
    answer: Answer[ScaleSetSettings] | None
    second_source: str | None
    requests: Mapping[str, int]
    cache: Mapping[str, Mapping[str, int]]

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        found = self.answer.value if self.answer else None
        return {
            "scope": self.scope,
            "token_chain_seconds": round(self.token_chain, 4),
            "scale_set": None if found is None else {"name": found.name, "id": found.id},
            "asked_again": self.second_source,
            "requests": dict(self.requests),
            "cache": {kind: dict(counts) for kind, counts in self.cache.items()},
        }


async def look_live(settings: Settings, target: ScaleSetRef | None, clock: Clock | None = None) -> LiveResult:
    """Ask for tokens, then twice for the scale set.

    The engine is not started: taking up what a dead process left behind would change something.

    Raises:
        ServiceError: The service cannot be reached or refuses, or the scale set does not exist.
    """
    clock = clock or SayingClock(SystemClock())
    engine = Engine(settings, clock=clock)
    try:
        started = clock.monotonic()
        await engine.client.connect()
        chain = clock.monotonic() - started
        first = None if target is None else await _ask(engine, target)
        second = None if target is None else await _ask(engine, target)
        return LiveResult(
            scope=engine.scope,
            token_chain=chain,
            answer=first,
            second_source=second.source if second else None,
            requests=engine.client.counters.requests,
            cache=_cache(engine),
        )
    finally:
        await engine.stop()


def print_live(seen: LiveResult) -> None:
    """Print what the service said."""
    print_line(f"live: {seen.scope} accepted the credentials in {seen.token_chain * 1000:.0f} ms")
    found = seen.answer.value if seen.answer else None
    if found is None:
        print_line("live: no scale set named; `--scale-set NAME` asks for one")
    else:
        print_line(f"live: scale set `{found.name}` has the id {found.id}; asked again, the {seen.second_source} knew")
    sent = ", ".join(f"{kind} {count}" for kind, count in seen.requests.items())
    print_line(f"live: requests sent: {sent}")
    for kind, counts in seen.cache.items():
        print_line(f"live: cache of {kind}: " + ", ".join(f"{name} {count}" for name, count in counts.items()))


def _cache(engine: Engine) -> dict[str, dict[str, int]]:
    counted = {kind.value: asdict(counters) for kind, counters in engine.metadata.counters.items()}
    kept = {kind: {name: count for name, count in counts.items() if count} for kind, counts in counted.items()}
    return {kind: counts for kind, counts in kept.items() if counts}


async def _ask(engine: Engine, target: ScaleSetRef) -> Answer[ScaleSetSettings]:
    answer = engine.scale_set_settings(target)
    settled = await answer if inspect.isawaitable(answer) else answer
    if settled.certainty is Certainty.ABSENT:
        raise NotFound(settled.reason or f"the scale set `{target.name}` does not exist")
    if settled.certainty is Certainty.UNKNOWN:
        raise Unavailable(settled.reason or f"nobody could look for the scale set `{target.name}`")
    return settled
