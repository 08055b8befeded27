"""What pydantic refused, said as problems: one per setting, with its place, what was found and expected."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from pydantic_core import ErrorDetails

from scaleset_hookspecs.configuration.accepts import accepts, is_collection, is_secret, members, section_of
from scaleset_hookspecs.configuration.fields import Section
from scaleset_hookspecs.configuration.refusals import REFUSED, describe, describe_secret
from scaleset_hookspecs.errors import Problem
from scaleset_hookspecs.problems import locate
from scaleset_hookspecs.sources import KeyPath as Path

__all__ = ["MISSING", "NOTHING", "Document", "Mistake", "Path", "mistakes", "value_at"]

NOTHING: Final = "nothing"
"""What is found where a setting is missing."""

MISSING: Final = object()
"""Stands for a value that is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing wrong, at a path inside the section; a `Problem` before its file and line are known.

    Attributes:
        path: Where it stands.
        found: What stands there; never a secret.
        expected: What would be right.
        meant: The path that was probably meant, if the key does not exist.
    """

    path: Path
    found: str
    expected: str
    meant: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The host's mapping and where our section stands in it.

    Attributes:
        config: The host's mapping; a `SourcedConfig` also knows its file and its lines.
        section: Path of our section.
        borrowed: Names of sections that are the host's own, at the top.
    """

    config: Mapping[str, Any]
    section: Path
    borrowed: frozenset[str] = frozenset()

    def problem(self, mistake: Mistake) -> Problem:
        """Return the mistake with the place where it stands."""
        return locate(self.config, self.absolute(mistake.path), mistake.found, mistake.expected)

    def absolute(self, path: Path) -> Path:
        """Return the path from the top of the mapping."""
        return path if path and path[0] in self.borrowed else (*self.section, *path)


def mistakes(model: type[Section], errors: Iterable[ErrorDetails], data: Mapping[str, Any]) -> list[Mistake]:
    """Return one mistake for each setting that pydantic refused, in its order.

    Args:
        model: What the data was validated as.
        errors: Of that validation.
        data: What was validated.
    """
    first: dict[Path, Mistake] = {}
    for error in errors:
        loc = error["loc"]
        of_key = loc[-1:] == ("[key]",) and error["type"] != "extra_forbidden"
        path, section = _declared(model, loc[:-1] if of_key else loc)
        first.setdefault(path, _mistake(model, error, path, section, data))
    meant = {mistake.meant for mistake in first.values()}
    return [
        mistake
        for path, mistake in first.items()
        if not any(_inside(other, path) for other in first) and not (mistake.found == NOTHING and path in meant)
    ]


def value_at(data: object, path: Path) -> object:
    """Return what stands at a path, `MISSING` if nothing does."""
    for key in path:
        if isinstance(data, Mapping):
            data = data.get(key, MISSING)
        else:
            data = data[key] if isinstance(data, list | tuple) and isinstance(key, int) else MISSING
    return data


def _inside(path: Path, outer: Path) -> bool:
    return len(path) > len(outer) and path[: len(outer)] == outer


def _declared(model: type[Section], loc: Iterable[str | int]) -> tuple[Path, type[Section]]:
    """Drop what pydantic adds to a location (names of union branches); return the last section entered."""
    path: list[str | int] = []
    section = model
    steps = iter(loc)
    for step in steps:
        path.append(step)
        field = section.model_fields.get(str(step))
        inner = None if field is None else section_of(field)
        if field is None or inner is None:
            break
        if len(members(field.rebuild_annotation())) > 1:
            next(steps, None)
        if is_collection(field):
            entry = next(steps, None)
            if entry is None:
                break
            path.append(entry)
        section = inner
    return tuple(path), section


def _mistake(
    model: type[Section], error: ErrorDetails, path: Path, section: type[Section], data: Mapping[str, Any]
) -> Mistake:
    context = error.get("ctx", {})
    if error["type"] == REFUSED:
        return Mistake(path=path, found=context["found"], expected=context["expected"])
    if error["type"] == "string_unicode":  # of a key the location is the section
        return Mistake(path=path, found="a text with half a character (a lone surrogate)", expected="whole characters")
    if error["type"] == "extra_forbidden":
        return _unknown(model, path, section)
    if error["type"] == "invalid_key" or error["loc"][-1:] == ("[key]",):
        return Mistake(
            path=path, found="a key that is not text", expected="a name, in quotes if it looks like a number"
        )
    field = section.model_fields.get(str(path[-1]))
    expected = "a section" if field is None else accepts(field)
    value = value_at(data, path)
    if error["type"] == "missing" or value is MISSING:
        return Mistake(path=path, found=NOTHING, expected=expected)
    if error["type"] == "string_type" and isinstance(value, int | float):
        expected = f"{expected}; in quotes if it looks like a number"
    quoted = error["type"] in {"bool_type", "int_type"}
    found = describe_secret(value) if field is not None and is_secret(field) else describe(value, quoted=quoted)
    return Mistake(path=path, found=found, expected=expected)


def _unknown(model: type[Section], path: Path, section: type[Section]) -> Mistake:
    key, names, found = str(path[-1]), list(section.model_fields), "an unknown key"
    close = get_close_matches(key.lower().replace("-", "_"), names, n=1)
    if close:
        expected = f"a known key; did you mean `{close[0]}`?"
        return Mistake(path=path, found=found, expected=expected, meant=(*path[:-1], close[0]))
    homes = [
        name for name, field in model.model_fields.items() if (home := section_of(field)) and key in home.model_fields
    ]
    listed = "one of " + ", ".join(f"`{name}`" for name in names)
    expected = f"a known key; `{key}` belongs in the section `{homes[0]}`" if homes else listed
    return Mistake(path=path, found=found, expected=expected)
