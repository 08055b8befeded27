"""Which scale set a command asks for, when it asks the service."""

from collections.abc import Mapping
from typing import Any

from scaleset_burst.settings import Settings
from scaleset_hookspecs import ScaleSetRef

__all__ = ["target"]


def target(config: Mapping[str, Any], settings: Settings, name: str | None, runner_group: str) -> ScaleSetRef | None:
    """Return the scale set of the option, of `scale_sets`, or of the host's own `autoscaler` section."""
    if name is not None:
        return ScaleSetRef(name=name, runner_group=runner_group)
    if settings.scale_sets != "all":
        for known in settings.scale_sets:
            return ScaleSetRef(name=known, runner_group=runner_group)
    host = config.get("autoscaler")
    named = host.get("scale_set") if isinstance(host, Mapping) else None
    if not isinstance(host, Mapping) or not isinstance(named, str) or not named:
        return None
    group = host.get("runner_group")
    return ScaleSetRef(name=named, runner_group=group if isinstance(group, str) and group else runner_group)
