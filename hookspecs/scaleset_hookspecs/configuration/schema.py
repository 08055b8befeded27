"""The JSON Schema of a model, for editors and other tools: what the file may say."""

import json
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from scaleset_hookspecs.configuration.durations import DURATION_PATTERN, format_duration
from scaleset_hookspecs.configuration.fields import Section

__all__ = ["json_schema"]

_DIALECT: Final = GenerateJsonSchema.schema_dialect


def json_schema(model: type[Section], title: str) -> dict[str, Any]:
    """Return the JSON Schema of a model."""
    schema = model.model_json_schema()
    for section in [schema, *schema.get("$defs", {}).values()]:
        section["properties"] = {name: _property(found) for name, found in section["properties"].items()}
    return {"$schema": _DIALECT, **schema, "title": title}


def _property(found: dict[str, Any]) -> dict[str, Any]:
    """Drop generated titles and defaults of whole sections; write defaults of durations as the file does."""
    kept = {key: value for key, value in found.items() if key != "title"}
    default = kept.get("default")
    if isinstance(default, dict):
        del kept["default"]
    elif isinstance(default, float) and DURATION_PATTERN in json.dumps(found).replace("\\\\", "\\"):
        kept["default"] = format_duration(default)
    return kept
