"""The JSON Schema of a model, for editors and other tools: what the file may say."""

import json
from collections.abc import Iterator
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from scaleset_hookspecs.configuration.accepts import accepts, section_of
from scaleset_hookspecs.configuration.durations import DURATION_PATTERN, format_duration
from scaleset_hookspecs.configuration.fields import Section

__all__ = ["EXPECTED", "exactly_one", "json_schema"]

EXPECTED: Final = "errorMessage"
"""Keyword that says what is expected in words; editors show it."""

_DIALECT: Final = GenerateJsonSchema.schema_dialect


def json_schema(model: type[Section], title: str) -> dict[str, Any]:
    """Return the JSON Schema of a model, with what each setting accepts in words."""
    schema = model.model_json_schema()
    models = {one.__name__: one for one in _models(model)}
    for name, section in {model.__name__: schema, **schema.get("$defs", {})}.items():
        section["properties"] = {
            key: _property(models[name], key, found) for key, found in section["properties"].items()
        }
    return {"$schema": _DIALECT, **schema, "title": title}


def exactly_one(*names: str) -> dict[str, Any]:
    """Return the rule that a section has exactly one of these keys, for its model's `json_schema_extra`."""
    listed = " and ".join(f"`{name}`" for name in names)
    given = [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in names]
    return {"oneOf": given, EXPECTED: f"expected exactly one of {listed}"}


def _models(model: type[Section]) -> Iterator[type[Section]]:
    yield model
    for field in model.model_fields.values():
        inner = section_of(field)
        if inner is not None:
            yield from _models(inner)


def _property(section: type[Section], name: str, found: dict[str, Any]) -> dict[str, Any]:
    """Drop generated titles and defaults of whole sections; write defaults of durations as the file does."""
    field = section.model_fields[name]
    kept = {key: value for key, value in found.items() if key != "title"}
    default = kept.get("default")
    if isinstance(default, dict):
        del kept["default"]
    elif isinstance(default, float) and DURATION_PATTERN in json.dumps(found).replace("\\\\", "\\"):
        kept["default"] = format_duration(default)
    return kept if section_of(field) is not None else {**kept, EXPECTED: f"expected {accepts(field)}"}
