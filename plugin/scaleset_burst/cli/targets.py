"""Which scale set a command asks for, when it asks the service."""

from collections.abc import Iterator, Mapping
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
    for own in _of_host(config):
        group = own.get("runner_group")
        return ScaleSetRef(name=own["name"], runner_group=group if isinstance(group, str) and group else runner_group)
    return None


def labels(config: Mapping[str, Any], target: ScaleSetRef | None) -> tuple[str, ...]:
    """Return the labels that the host's own section names for a scale set, if it names any."""
    for own in _of_host(config):
        named = own.get("labels")
        if target is not None and own["name"].lower() == target.name.lower() and isinstance(named, list | tuple):
            return tuple(str(label) for label in named)
    return ()


def _of_host(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the scale sets of the section `autoscaler`, written as one or as several, with what holds for each."""
    host = config.get("autoscaler")
    if not isinstance(host, Mapping):
        return
    several = host.get("scale_sets")
    listed = [each for each in several if isinstance(each, Mapping)] if isinstance(several, list | tuple) else []
    for own in [{"name": host.get("scale_set")}, *listed]:
        if isinstance(own.get("name"), str) and own["name"]:
            yield {**host, **own}
