"""Finds the host's scale set, and makes it if the host may."""

import logging

from autoscaler.config import ScaleSetSettings
from scaleset_client import ScaleSet, ScaleSetClient
from scaleset_hookspecs import Conflict, NotFound, ScaleSetRef

__all__ = ["find", "find_or_create"]

logger = logging.getLogger(__name__)


async def find(client: ScaleSetClient, scale_set: ScaleSetRef) -> ScaleSet | None:
    """Look the scale set up in its runner group.

    Raises:
        NotFound: There is no such group.
    """
    group = await client.get_runner_group(scale_set.runner_group)
    return await client.get_scale_set_by_name(scale_set.name, group.id)


async def find_or_create(client: ScaleSetClient, settings: ScaleSetSettings) -> ScaleSetRef:
    """Return the scale set with its id; what differs from the settings is mended, or said.

    Raises:
        NotFound: There is no such group; or no such scale set, and the host may not make it.
    """
    wanted = settings.ref
    group = await client.get_runner_group(wanted.runner_group)
    found = await client.get_scale_set_by_name(wanted.name, group.id)
    if found is None:
        if not settings.create_scale_set:
            raise NotFound(
                f"there is no scale set {wanted.name} in the runner group {wanted.runner_group}; make it, "
                "or set `autoscaler.create_scale_set: true`"
            )
        try:
            found = await client.create_scale_set(wanted.name, runner_group_id=group.id, labels=settings.wanted_labels)
            logger.info("made the scale set %s", wanted.name)
        except Conflict:
            # Another host that started at the same time has made it.
            found = await client.get_scale_set_by_name(wanted.name, group.id)
            if found is None:
                raise
    await _compare(client, found, settings)
    return ScaleSetRef(name=found.name, id=found.id, runner_group=wanted.runner_group)


async def _compare(client: ScaleSetClient, found: ScaleSet, settings: ScaleSetSettings) -> None:
    """Mend labels that are not those of the configuration: jobs that ask for them would wait for ever."""
    if not settings.labels:
        return
    here = sorted(label.name for label in settings.wanted_labels)
    there = sorted(label.name for label in found.labels)
    if [name.lower() for name in here] == [name.lower() for name in there]:
        return
    both = f"the scale set {found.name} has the labels {', '.join(there) or '(none)'}; wanted: {', '.join(here)}"
    if not settings.update_scale_set:
        logger.warning("%s. Set `update_scale_set: true`, or change `labels`", both)
        return
    changed = await client.update_scale_set(found.id, labels=settings.wanted_labels)
    after = sorted(label.name for label in changed.labels)
    if [name.lower() for name in after] == [name.lower() for name in here]:
        logger.info("%s: changed", both)
    else:
        logger.warning("%s; the service kept %s", both, ", ".join(after) or "(none)")
