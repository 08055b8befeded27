"""Reads the file a command was given, as a host would: a section under a misspelt name is no section left out."""

import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path

from scaleset_burst.settings import Settings, load_settings
from scaleset_burst.settings.loading import SECTION
from scaleset_hookspecs import PROJECT_NAME, ConfigError, Problem, SourcedConfig
from scaleset_hookspecs.configuration.problems import show_path
from scaleset_hookspecs.configuration.source import read_config, read_text

__all__ = ["read"]


def read(path: Path) -> tuple[SourcedConfig, Settings]:
    """Return the mapping of the file and the settings that hold.

    Raises:
        ConfigError: Something is wrong; carries every problem at once.
    """
    config = read_config(path)
    settings = load_settings(config, environ=os.environ, read_file=read_text)
    top, own = (str(key) for key in SECTION)
    plugins = config.get(top)
    if top not in config:
        _search_nearby(config, (), config, top)
    elif isinstance(plugins, Mapping) and own not in plugins:
        installed = {point.name for point in entry_points(group=PROJECT_NAME)}
        _search_nearby(config, (top,), [name for name in plugins if name not in installed], own)
    return config, settings


def _search_nearby(config: SourcedConfig, place: tuple[str, ...], keys: Iterable[object], wanted: str) -> None:
    """Refuse a key that looks like a slip for the one that is not there."""
    for key in keys:
        if get_close_matches(str(key).lower(), [wanted], n=1):
            path, expected = (*place, str(key)), f"a known key; did you mean `{wanted}`?"
            found, line = "an unknown key", config.line(path)
            raise ConfigError(
                [Problem(path=show_path(path), found=found, expected=expected, file=config.file, line=line)]
            )
