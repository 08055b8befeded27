"""What a setting accepts, in words, from its declaration."""

from collections.abc import Callable, Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import annotated_types as at
from pydantic.fields import FieldInfo

from scaleset_hookspecs.configuration.durations import format_duration
from scaleset_hookspecs.configuration.fields import Accepts, Section

__all__ = ["accepts", "is_collection", "is_duration", "is_secret", "members", "section_of"]

_COLLECTIONS: Final = (dict, tuple)


def accepts(field: FieldInfo) -> str:
    """Return what the field accepts, such as `a whole number from 1 to 1000, or `auto``."""
    return _sentence(field.rebuild_annotation())


def is_secret(field: FieldInfo) -> bool:
    """Whether only a reference may stand there."""
    return any(mark.secret for mark in _marks(field.rebuild_annotation(), Accepts))


def is_duration(field: FieldInfo) -> bool:
    """Whether the field is a number of seconds."""
    return any(base is float for base, _ in members(field.rebuild_annotation()))


def section_of(field: FieldInfo) -> type[Section] | None:
    """Return the section the field holds, or a list or mapping of names holds; `None` for a plain value."""
    for base, _ in members(field.rebuild_annotation()):
        kind = _entry(base) if get_origin(base) in _COLLECTIONS else base
        if isinstance(kind, type) and issubclass(kind, Section):
            return kind
    return None


def is_collection(field: FieldInfo) -> bool:
    """Whether the field holds many: a list, or a mapping of names."""
    return any(get_origin(base) in _COLLECTIONS for base, _ in members(field.rebuild_annotation()))


def members(annotation: object, marks: tuple[Any, ...] = ()) -> list[tuple[Any, tuple[Any, ...]]]:
    """Return the alternatives of a type but `None`, each with the marks that hold for it."""
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *more = get_args(annotation)
        flat = tuple(mark for one in more for mark in _flat(one))
        if any(isinstance(mark, Accepts) for mark in flat):
            return [(_first(base), flat + marks)]
        return members(base, flat + marks)
    if origin in {Union, UnionType}:
        return [pair for one in get_args(annotation) if one is not NoneType for pair in members(one, marks)]
    return [(annotation, marks)]


def _entry(base: object) -> object:
    return get_args(base)[get_origin(base) is dict]


def _first(base: object) -> object:
    return next(one for one in (get_args(base) or (base,)) if one is not NoneType)


def _flat(mark: object) -> list[Any]:
    return list(mark.metadata) if isinstance(mark, FieldInfo) else [mark]


def _marks(annotation: object, kind: type[Accepts]) -> Iterator[Accepts]:
    return (mark for _, marks in members(annotation) for mark in marks if isinstance(mark, kind))


def _sentence(annotation: object) -> str:
    found = sorted(members(annotation), key=lambda pair: get_origin(pair[0]) is Literal)
    return ", or ".join(_one(base, marks) for base, marks in found)


def _one(base: object, marks: tuple[Any, ...]) -> str:
    for mark in marks:
        if isinstance(mark, Accepts):
            return mark.sentence
    if get_origin(base) is Literal:
        return "one of " * (len(get_args(base)) > 1) + ", ".join(f"`{value}`" for value in get_args(base))
    if get_origin(base) in _COLLECTIONS:
        return _many(base)
    if base is bool:
        return "`true` or `false`"
    if base is int:
        return f"a whole number {_range(marks, str)}".rstrip()
    if base is float:
        span = _range(marks, format_duration)
        return "a duration such as `5m`, `250ms` or a number of seconds" + f", {span}" * bool(span)
    if base is str:
        return "a text that is not empty" if any(isinstance(mark, at.MinLen) for mark in marks) else "a text"
    return "a section"


def _many(base: object) -> str:
    entry = _entry(base)
    is_section = isinstance(entry, type) and issubclass(entry, Section)
    if get_origin(base) is dict:
        return "a section for each, by its name" if is_section else "a section"
    return "a list of sections" if is_section else f"a list, each {_sentence(entry)}"


def _range(marks: tuple[Any, ...], show: Callable[[float], str]) -> str:
    low = next((f"from {show(_number(mark.ge))}" for mark in marks if isinstance(mark, at.Ge)), "")
    over = next((f"over {show(_number(mark.gt))}" for mark in marks if isinstance(mark, at.Gt)), "")
    high = next((f"to {show(_number(mark.le))}" for mark in marks if isinstance(mark, at.Le)), "up" * bool(low))
    return " ".join(part for part in (low or over, "and up" * bool(over and high), high) if part)


def _number(bound: object) -> float:
    assert isinstance(bound, int | float)  # noqa: S101 - bounds are written in the model
    return bound
