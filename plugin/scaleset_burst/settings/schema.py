"""The JSON Schema of the section, for editors and other tools: what the file may say."""

import json
from typing import Any

from scaleset_burst.settings.model import Settings
from scaleset_hookspecs.configuration import json_schema

__all__ = ["schema", "schema_text"]


def schema() -> dict[str, Any]:
    """Return the JSON Schema of `plugins.burst`."""
    return json_schema(Settings, "plugins.burst of scaleset-burst")


def schema_text() -> str:
    """Return the JSON Schema as text, ready to be written to a file."""
    return json.dumps(schema(), indent=2) + "\n"
