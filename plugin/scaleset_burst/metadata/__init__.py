"""Cached scale sets, runner groups, runners and statistics, each answer with its certainty."""

from scaleset_burst.metadata.kinds import Kind, KindCounters
from scaleset_burst.metadata.metadata import Metadata
from scaleset_burst.metadata.service import MetadataService, SecondLevel, Shared

__all__ = ["Kind", "KindCounters", "Metadata", "MetadataService", "SecondLevel", "Shared"]
