"""The JSON Schema of the section, for editors and other tools: what the file may say."""

import json
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from scaleset_burst.settings.durations import DURATION_PATTERN, format_duration
from scaleset_burst.settings.model import Settings

__all__ = ["json_schema", "schema_text"]

_DIALECT: Final = GenerateJsonSchema.schema_dialect


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of `plugins.burst`."""
    schema = Settings.model_json_schema()
    for section in [schema, *schema["$defs"].values()]:
        section["properties"] = {name: _property(found) for name, found in section["properties"].items()}
    return {"$schema": _DIALECT, **schema, "title": "plugins.burst of scaleset-burst"}


def schema_text() -> str:
    """Return the JSON Schema as text, ready to be written to a file."""
    return json.dumps(json_schema(), indent=2) + "\n"


def _property(found: dict[str, Any]) -> dict[str, Any]:
    """Drop generated titles and defaults of whole sections; write defaults of durations as the file does."""
    kept = {key: value for key, value in found.items() if key != "title"}
    default = kept.get("default")
    if isinstance(default, dict):
        del kept["default"]
    elif isinstance(default, float) and DURATION_PATTERN in json.dumps(found).replace("\\\\", "\\"):
        kept["default"] = format_duration(default)
    return kept
