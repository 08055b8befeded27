"""Which plugins the host's YAML names, and which it switches off: pure reading of the `plugins` section."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scaleset_hookspecs.errors import Problem
from scaleset_hookspecs.problems import locate

__all__ = ["NamedPlugins", "missing", "read_plugins"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPlugins:
    """The plugins of a configuration.

    Attributes:
        enabled: Names to load.
        disabled: Names to block before anything loads.
        problems: What is wrong with the section.
    """

    enabled: tuple[str, ...]
    disabled: tuple[str, ...]
    problems: tuple[Problem, ...]


def read_plugins(config: Mapping[str, Any]) -> NamedPlugins:
    """Read the section `plugins`: a mapping of names to sections, each of which may say `enabled: false`."""
    section = config.get("plugins")
    if section is None:
        return NamedPlugins(enabled=(), disabled=(), problems=())
    if not isinstance(section, Mapping):
        problem = locate(config, ("plugins",), _kind(section), "a mapping of plugin names to their settings")
        return NamedPlugins(enabled=(), disabled=(), problems=(problem,))
    enabled: list[str] = []
    disabled: list[str] = []
    problems: list[Problem] = []
    for name, own in section.items():
        if own is not None and not isinstance(own, Mapping):
            problems.append(locate(config, ("plugins", name), _kind(own), "a mapping of settings, or nothing"))
            continue
        switch = True if own is None else own.get("enabled", True)
        if not isinstance(switch, bool):
            problems.append(locate(config, ("plugins", name, "enabled"), _kind(switch), "true or false"))
            continue
        (enabled if switch else disabled).append(str(name))
    return NamedPlugins(enabled=tuple(enabled), disabled=tuple(disabled), problems=tuple(problems))


def missing(config: Mapping[str, Any], name: str, installed: Iterable[str]) -> Problem:
    """Say that a named plugin is not installed, and which name was probably meant."""
    known = sorted(installed)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"installed are: {', '.join(known) or 'none'}"
    expected = f"the name of an installed plugin ({hint}); install it with pip, or set enabled: false"
    return locate(config, ("plugins", name), f"the plugin {name!r}, which is not installed", expected)


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"
