"""From a mapping to the settings of a model: a function of its arguments."""

import os.path
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from scaleset_hookspecs.configuration.checks import Check, View, cross_check
from scaleset_hookspecs.configuration.fields import Section
from scaleset_hookspecs.configuration.problems import Document, Mistake, Path, mistakes
from scaleset_hookspecs.configuration.references import Sources
from scaleset_hookspecs.configuration.refusals import describe
from scaleset_hookspecs.errors import ConfigError, Problem
from scaleset_hookspecs.problems import locate

__all__ = ["TWICE", "duplicates", "find_section", "load"]

S = TypeVar("S", bound=Section)

TWICE: Final = "the key a second time"
"""What is found where a key stands twice."""


def load(
    model: type[S],
    config: Mapping[str, Any],
    path: Path = (),
    *,
    environ: Mapping[str, str],
    read_file: Callable[[str], str],
    checks: Iterable[Check] = (),
    borrow: Iterable[str] = (),
) -> S:
    """Return the settings that stand at a path of the mapping, checked, with its secrets looked up.

    Args:
        model: What may stand there.
        config: The whole mapping; a `SourcedConfig` gives problems their file and line.
        path: The section's place; `()` is the whole file, whose keys `x-...` are left for anchors.
        environ: The environment, for `$env`.
        read_file: Gives a file's text, for `$file` and the files that settings name; raises `OSError` or
            `UnicodeError`.
        checks: What must hold between settings.
        borrow: Names of sections that are taken from the top of the mapping where the section has none of its own.

    Raises:
        ConfigError: Something is wrong; carries every problem at once, in the order of the file.
    """
    section = find_section(config, path) or {}
    data = {key: value for key, value in section.items() if path or not str(key).startswith("x-")}
    borrowed = [name for name in borrow if data.get(name) is None and config.get(name) is not None]
    data |= {name: config[name] for name in borrowed}
    document = Document(config=config, section=path, borrowed=frozenset(borrowed))
    directory = os.path.dirname(getattr(config, "file", None) or "")  # noqa: PTH120 - of a name, not of a file
    sources = Sources(environ=environ, read_file=read_file, directory=directory or None)
    settings, wrong = _validate(model, data, sources, checks)
    found = [*duplicates(document), *(document.problem(mistake) for mistake in wrong)]
    if found or settings is None:
        raise ConfigError(sorted(found, key=lambda problem: problem.line or 0))
    return settings


def find_section(config: Mapping[str, Any], path: Path) -> Mapping[str, Any] | None:
    """Return the section at a path, `{}` if it stands there empty, `None` if it does not stand there.

    Raises:
        ConfigError: Something else stands there, or above it.
    """
    outer: Any = config
    for depth, key in enumerate(path, start=1):
        if outer is None or key not in outer:
            return None
        outer = outer[key]
        if outer is not None and not isinstance(outer, Mapping):
            expected = "a section" if depth == len(path) else f"a section that holds others, such as `{path[depth]}`"
            mistake = Mistake(path=path[:depth], found=describe(outer), expected=expected)
            raise ConfigError([Document(config=config, section=()).problem(mistake)])
    return {} if outer is None else outer


def _validate(
    model: type[S], data: Mapping[str, Any], sources: Sources, checks: Iterable[Check]
) -> tuple[S | None, list[Mistake]]:
    settings, wrong = None, list[Mistake]()
    try:
        settings = model.model_validate(data, context=sources)
    except ValidationError as error:
        wrong = mistakes(model, error.errors(include_url=False, include_input=False), data)
    refused = {mistake.path for mistake in wrong}
    misspelt = {mistake.meant for mistake in wrong if mistake.meant is not None}
    return settings, wrong + cross_check(checks, View(model, data, refused, misspelt))


def duplicates(document: Document) -> Iterator[Problem]:
    """Yield the keys that stand twice in what is read, or above it; YAML silently keeps the last."""
    ours = [document.section, *((name,) for name in sorted(document.borrowed))]
    for path, line in getattr(document.config, "duplicates", ()):
        if any(tuple(path[: len(start)]) == start[: len(path)] for start in ours):
            yield replace(locate(document.config, path, TWICE, "each key once"), line=line)
