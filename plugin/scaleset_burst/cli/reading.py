"""Reads the file a command was given, as a host would: a section under a misspelt name is no section left out."""

import os
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from scaleset_burst.journal import why_unusable
from scaleset_burst.settings import Settings, load_settings
from scaleset_burst.settings.loading import SECTION
from scaleset_hookspecs import PROJECT_NAME, ConfigError, Problem, SourcedConfig
from scaleset_hookspecs.configuration import Document, read_config, read_text
from scaleset_hookspecs.configuration.loading import TWICE, duplicates
from scaleset_hookspecs.configuration.problems import value_at
from scaleset_hookspecs.problems import locate

__all__ = ["read", "read_whole"]

_EXTRAS: Final = (
    ((*SECTION, "sharing"), "redis", "redis"),
    ((*SECTION, "metrics"), "prometheus_client", "metrics"),
    ((*SECTION, "traces"), "opentelemetry.exporter.otlp.proto.http", "otel"),
    ((*SECTION, "github", "app"), "cryptography", "app"),
    (("github", "app"), "cryptography", "app"),
)
"""Settings that need an extra, the module that it brings, and its name."""


def read(path: Path) -> tuple[SourcedConfig, Settings]:
    """Return the mapping of the file and the settings that hold.

    Raises:
        ConfigError: Something is wrong; carries every problem at once.
    """
    config = read_config(path)
    return config, _settings(config)


def read_whole(path: Path) -> tuple[SourcedConfig, Settings, str]:
    """Return the same after a look at all that a host would fail at, and what is known of its own sections, in words.

    Raises:
        ConfigError: Something is wrong; carries every problem at once, in the order of the file.
    """
    from scaleset_burst.cli.rules import host_problems  # noqa: PLC0415 - for this command only

    config = read_config(path)
    settings, found = Settings(enabled=False), list[Problem]()
    try:
        settings = _settings(config)
    except ConfigError as error:
        found += error.problems
    if settings.enabled or found:
        found += _missing_extras(config)
    if settings.enabled:
        found += _journal(config, settings)
    by_rules, of_host = host_problems(config)
    known, ours = {problem.path for problem in found}, ".".join(map(str, SECTION))
    for problem in (*duplicates(Document(config=config, section=())), *of_host):
        # What stands in our own section has been said by those who know it better than a schema.
        inside = problem.path.startswith(f"{ours}.") and problem.found != TWICE
        if problem.path not in known and not inside:
            found.append(problem)
    if found:
        raise ConfigError(sorted(found, key=lambda problem: problem.line or 0))
    return config, settings, by_rules


def _settings(config: SourcedConfig) -> Settings:
    settings = load_settings(config, environ=os.environ, read_file=read_text)
    top, own = (str(key) for key in SECTION)
    plugins = config.get(top)
    if top not in config:
        _search_nearby(config, (), config, top)
    elif isinstance(plugins, Mapping) and own not in plugins:
        installed = {point.name for point in entry_points(group=PROJECT_NAME)}
        _search_nearby(config, (top,), [name for name in plugins if name not in installed], own)
    return settings


def _search_nearby(config: SourcedConfig, place: tuple[str, ...], keys: Iterable[object], wanted: str) -> None:
    """Refuse a key that looks like a slip for the one that is not there."""
    for key in keys:
        if get_close_matches(str(key).lower(), [wanted], n=1):
            expected = f"a known key; did you mean `{wanted}`?"
            raise ConfigError([locate(config, (*place, str(key)), "an unknown key", expected)])


def _missing_extras(config: SourcedConfig) -> Iterator[Problem]:
    for path, module, extra in _EXTRAS:
        given = value_at(config, path)
        if (given is True or isinstance(given, Mapping)) and not _installed(module):
            found = f"a setting that needs `{module}`, which is not installed"
            yield locate(config, path, found, f"pip install 'scaleset-burst[{extra}]'")


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package that it would be in
        return False


def _journal(config: SourcedConfig, settings: Settings) -> Iterator[Problem]:
    why = why_unusable(settings.journal.directory, environ=os.environ, home=Path.home)
    if why is not None:
        expected = "a folder that this user can write to and nobody else can, or `:memory:`"
        yield locate(config, (*SECTION, "journal", "directory"), why, expected)
