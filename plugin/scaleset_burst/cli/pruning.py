"""Which registered runners are ghosts: pure decisions over what the service says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scaleset_burst.minting.names import is_drawn
from scaleset_burst.settings import Settings
from scaleset_client import Runner
from scaleset_hookspecs.configuration import format_duration

__all__ = ["Ghosts", "state_of"]


def state_of(runner: Runner) -> str:
    """Return what a runner does, as one word; `unknown` if the service does not say."""
    status = (runner.status or "").lower()
    if runner.busy:
        return "busy"
    return {"online": "idle", "offline": "offline"}.get(status, "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ghosts:
    """What counts as a ghost.

    Attributes:
        settings: They say how runners made by this plugin are called.
        scale_sets: Names of the scope's scale sets, by id.
        only: The scale set to look at; all if `None`.
        prefix: Start of names that count as ours besides those that are drawn.
        older_than: Seconds since its registration that a ghost has at least.
    """

    settings: Settings
    scale_sets: Mapping[int, str]
    only: str | None
    prefix: str | None
    older_than: float

    def why_it_stays(self, runner: Runner, now: float) -> str | None:
        """Return why a runner stays; `None` if it is a ghost. What is not known never makes a ghost.

        Args:
            runner: As the service shows it.
            now: The service's time.
        """
        name = None if runner.scale_set_id is None else self.scale_sets.get(runner.scale_set_id, "")
        state = state_of(runner)
        if name is None:
            return "belong to no scale set"
        if self.only is not None and name.lower() != self.only.lower():
            return "belong to another scale set"
        if state != "offline":
            return {"busy": "have a job", "idle": "are online"}.get(state, "have a state that is not known")
        if not self._ours(runner.name, name):
            return "have the name of somebody else"
        if runner.created_at is None and self.older_than:
            return "have an age that is not known"
        if runner.created_at is not None and now - runner.created_at < self.older_than:
            return f"are younger than {format_duration(self.older_than)}"
        return None

    def _ours(self, name: str, scale_set: str) -> bool:
        if self.prefix is not None and name.lower().startswith(self.prefix.lower()):
            return True
        return is_drawn(name, self.settings.for_scale_set(scale_set).name_prefix)
