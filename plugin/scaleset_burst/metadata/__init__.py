"""Cached scale sets, runner groups, runners and statistics, each answer with its certainty."""

from scaleset_burst.metadata.metadata import Kind, Metadata, MetadataService
from scaleset_burst.metadata.shelf import ShelfCounters

__all__ = ["Kind", "Metadata", "MetadataService", "ShelfCounters"]
