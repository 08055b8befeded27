"""From the host's mapping to the plugin's settings: a function of its arguments."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from scaleset_burst.settings.checks import CHECKS
from scaleset_burst.settings.model import Settings
from scaleset_hookspecs.configuration import Path, load
from scaleset_hookspecs.configuration.loading import find_section

__all__ = ["SECTION", "load_settings"]

SECTION: Final[Path] = ("plugins", "burst")
"""Where our section stands in the host's mapping."""


def load_settings(
    config: Mapping[str, Any], *, environ: Mapping[str, str], read_file: Callable[[str], str]
) -> Settings:
    """Return the settings of the section `plugins.burst`, checked, with its secrets looked up.

    A section that is absent, or says `enabled: false`, gives settings that are switched off; nothing else is
    looked at then. `github` is taken from the top of the mapping if the section has none of its own.

    Args:
        config: The whole mapping of the host; a `SourcedConfig` gives problems their file and line.
        environ: The environment, for `$env`.
        read_file: Gives a file's text, for `$file` and PEM files; raises `OSError` or `UnicodeError`.

    Raises:
        ConfigError: Something is wrong; carries every problem at once.
    """
    section = find_section(config, SECTION)
    if section is None or section.get("enabled") is False:
        return Settings(enabled=False)
    return load(Settings, config, SECTION, environ=environ, read_file=read_file, checks=CHECKS, borrow=("github",))
