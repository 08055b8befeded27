"""A configuration that knows where it stands: file, and the line of every key."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, TypeAlias

__all__ = ["KeyPath", "SourcedConfig", "unfolded"]

KeyPath: TypeAlias = tuple[str | int, ...]
"""The way to a value: keys of mappings and indexes of sequences."""


class SourcedConfig(dict[str, Any]):
    """A host's configuration mapping that can say in which line of its file a key stands.

    A host that reads YAML makes one from what `yaml.safe_load` and `yaml.compose` give; plain mappings work as well,
    their problems then have no line.

    Attributes:
        file: The file it was read from, as people know it.
        duplicates: Keys that stand twice in one mapping, each with the line of its second place.
        schema: The JSON Schema that the file names for itself and for editors, and the line where it does.
    """

    def __init__(self, data: Mapping[str, Any], *, file: str | None = None) -> None:
        super().__init__(data)
        self.file = file
        self.duplicates: tuple[tuple[KeyPath, int], ...] = ()
        self.schema: tuple[str, int] | None = None
        self._lines: dict[KeyPath, int] = {}

    @classmethod
    def from_node(cls, data: Mapping[str, Any], node: object, file: str | None = None) -> SourcedConfig:
        """Make one from loaded data and the node tree of the same text (PyYAML's, or anything shaped like it)."""
        config = cls(data, file=file)
        duplicates: list[tuple[KeyPath, int]] = []
        _walk(node, (), config._lines, duplicates, set())
        config.duplicates = tuple(duplicates)
        return config

    def line(self, path: KeyPath) -> int | None:
        """Return the 1-based line of a key, or of the nearest key above it; `None` if no lines are known."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return self._lines.get(())


def unfolded(node: object, limit: int) -> int:
    """Count the values below a node of YAML as if each alias were written out, a host's guard before it loads a text.

    Args:
        node: The root of the node tree (PyYAML's, or anything shaped like it).
        limit: Count no further than a little over this; a node that holds itself has no end.
    """
    return _count(node, limit, {})


def _count(node: Any, limit: int, known: dict[int, int]) -> int:  # noqa: ANN401  # as in `_walk`
    if id(node) not in known:
        known[id(node)] = limit
        children = node.value if isinstance(node.value, list) else []
        flat = [part for child in children for part in (child if isinstance(child, tuple) else (child,))]
        known[id(node)] = 1 + min(limit, sum(_count(child, limit, known) for child in flat))
    return known[id(node)]


def _walk(
    node: Any,  # noqa: ANN401  # PyYAML's nodes, which this package must not import
    path: KeyPath,
    lines: dict[KeyPath, int],
    duplicates: list[tuple[KeyPath, int]],
    seen: set[int],
) -> None:
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    lines.setdefault(path, node.start_mark.line + 1)
    if not isinstance(node.value, list):
        return
    keys: set[Hashable] = set()
    for index, child in enumerate(node.value):
        if not isinstance(child, tuple):
            lines[(*path, index)] = child.start_mark.line + 1
            _walk(child, (*path, index), lines, duplicates, seen)
            continue
        key_node, value_node = child
        key = (*path, str(key_node.value))
        line = key_node.start_mark.line + 1
        if key in keys:
            duplicates.append((key, line))
        keys.add(key)
        lines[key] = line
        _walk(value_node, key, lines, duplicates, seen)
