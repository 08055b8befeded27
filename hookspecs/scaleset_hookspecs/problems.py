"""Places problems: file, line and key path as people read them. For hosts, plugins and the kit alike."""

import re
from collections.abc import Mapping
from typing import Any, Final

from scaleset_hookspecs.errors import Problem
from scaleset_hookspecs.sources import KeyPath

__all__ = ["locate", "looks_secret", "show_path"]

_SECRET_BEGINS: Final = re.compile(r"gh[a-z]_|github_pat_|-----BEGIN|ey[IJ][\w+/=-]{8}|://[^/\s]*@")
"""How GitHub's tokens, keys, JWTs, JIT configs and URLs with a user begin."""


def locate(config: Mapping[str, Any], path: KeyPath, found: str, expected: str) -> Problem:
    """Return a problem with its place, as far as the configuration knows it: a `SourcedConfig` does."""
    file, line_of = getattr(config, "file", None), getattr(config, "line", None)
    return Problem(
        path=show_path(path),
        found=found,
        expected=expected,
        file=None if file is None else str(file),
        line=line_of(path) if callable(line_of) else None,
    )


def show_path(path: KeyPath) -> str:
    """Return a key path on one line; keys that are not plain names stand in quotes."""
    return ".".join(map(_show_key, path))


def _show_key(key: str | int) -> str:
    if looks_secret(str(key)):
        return "(a key that looks like a secret)"
    plain = isinstance(key, int) or key.replace("-", "_").isidentifier()
    return str(key) if plain else f'"{key}"'


def looks_secret(text: str) -> bool:
    """Whether a text holds the look of a token, a key or a URL with a user, wherever it stands."""
    return _SECRET_BEGINS.search(text) is not None
