"""The effective settings as rows, with where each comes from; secrets are masked."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from scaleset_hookspecs.configuration.accepts import is_collection, is_duration, section_of
from scaleset_hookspecs.configuration.durations import format_duration
from scaleset_hookspecs.configuration.fields import Section
from scaleset_hookspecs.configuration.references import Secret

__all__ = ["Row", "listing", "show"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One setting.

    Attributes:
        path: Key path inside the section, such as `batch.slice_size`.
        value: The value as the file would say it; `***` and its reference for a secret.
        is_default: Whether it is the default.
        description: What it means.
    """

    path: str
    value: str
    is_default: bool
    description: str


def listing(settings: Section) -> tuple[Row, ...]:
    """Return a row for each setting, in the order of the model."""
    return tuple(_rows(settings, ""))


def show(value: object, *, duration: bool = False) -> str:
    """Return a value as the file would say it."""
    if isinstance(value, SecretStr):
        return f"*** ({value.origin})" if isinstance(value, Secret) else "***"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if duration and isinstance(value, int | float):
        return format_duration(value)
    return str(value) or '""'


def _rows(section: Section, above: str) -> Iterator[Row]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        path = f"{above}{name}"
        if isinstance(value, Section):
            yield from _rows(value, f"{path}.")
        elif is_collection(field) and section_of(field) is not None and isinstance(value, dict | tuple):
            for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
                yield from _rows(inner, f"{path}.{key}.")
        else:
            yield _row(path, field, value)


def _row(path: str, field: FieldInfo, value: object) -> Row:
    return Row(
        path=path,
        value=show(value, duration=is_duration(field)),
        is_default=not field.is_required() and value == field.default,
        description=field.description or "",
    )
