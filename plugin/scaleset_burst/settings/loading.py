"""From the host's mapping to settings: a function of its arguments."""

import os.path
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError

from scaleset_burst.settings.checks import cross_check
from scaleset_burst.settings.model import Settings
from scaleset_burst.settings.problems import Document, Mistake, Path, mistakes, show_path
from scaleset_burst.settings.references import Sources
from scaleset_burst.settings.refusals import describe
from scaleset_hookspecs.errors import ConfigError, Problem

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
    section = _section(config)
    if section is None or section.get("enabled") is False:
        return Settings(enabled=False)
    data, document = _with_github(section, config)
    directory = os.path.dirname(document.file) if document.file else None  # noqa: PTH120 - of a name, not of a file
    sources = Sources(environ=environ, read_file=read_file, directory=directory or None)
    settings, wrong = _validate(data, sources)
    found = [*_duplicates(document), *(document.problem(mistake) for mistake in wrong)]
    if found or settings is None:
        raise ConfigError(sorted(found, key=lambda problem: problem.line or 0))
    return settings


def _section(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return our section, `{}` if it stands there empty, `None` if it does not stand there."""
    document = Document(config=config, section=())
    outer: Any = config
    for depth, key in enumerate(SECTION):
        if key not in outer:
            return None
        outer = outer[key]
        last = depth == len(SECTION) - 1
        if outer is None:
            return {} if last else None
        if not isinstance(outer, Mapping):
            expected = "a section" if last else "a section that names plugins, such as `burst`"
            mistake = Mistake(path=SECTION[: depth + 1], found=describe(outer), expected=expected)
            raise ConfigError([document.problem(mistake)])
    return outer  # type: ignore[no-any-return]


def _with_github(section: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any], Document]:
    data = dict(section)
    if data.get("github") is None and config.get("github") is not None:
        data["github"] = config["github"]
        return data, Document(config=config, section=SECTION, borrowed=frozenset({"github"}))
    return data, Document(config=config, section=SECTION)


def _validate(data: Mapping[str, Any], sources: Sources) -> tuple[Settings | None, list[Mistake]]:
    settings, wrong = None, list[Mistake]()
    try:
        settings = Settings.model_validate(data, context=sources)
    except ValidationError as error:
        wrong = mistakes(error.errors(include_url=False, include_input=False), data)
    refused = {mistake.path for mistake in wrong}
    misspelt = {mistake.meant for mistake in wrong if mistake.meant is not None}
    return settings, wrong + cross_check(data, refused, misspelt)


def _duplicates(document: Document) -> Iterator[Problem]:
    """Yield the keys that stand twice in what we read; YAML silently keeps the last."""
    ours = [document.section, *((name,) for name in sorted(document.borrowed))]
    for path, line in getattr(document.config, "duplicates", ()):
        if any(tuple(path[: len(start)]) == start[: len(path)] for start in ours):
            yield Problem(
                path=show_path(tuple(path)),
                found="the key a second time",
                expected="each key once",
                file=document.file,
                line=line,
            )
