"""The host kit: what an autoscaler needs to let plugins answer."""

from scaleset_hookspecs.host.calls import AsyncHost, resolve
from scaleset_hookspecs.host.manager import DEFAULTS, create_manager
from scaleset_hookspecs.host.portal import SyncHost
from scaleset_hookspecs.host.record import BurstRecord, RecordFile
from scaleset_hookspecs.sources import SourcedConfig

__all__ = [
    "DEFAULTS",
    "AsyncHost",
    "BurstRecord",
    "RecordFile",
    "SourcedConfig",
    "SyncHost",
    "create_manager",
    "resolve",
]
