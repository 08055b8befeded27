"""Writes config.schema.json, the JSON Schema of config.yaml: the host's sections, and the plugin's below `plugins`."""

import json
from pathlib import Path
from typing import Any

from autoscaler.config import HostSettings
from scaleset_burst.settings.schema import schema as plugin_schema
from scaleset_hookspecs.configuration import json_schema

__all__ = ["schema_text"]

FILE = Path(__file__).with_name("config.schema.json")


def schema_text() -> str:
    """Return the JSON Schema of the whole file as text."""
    whole, burst = json_schema(HostSettings, "Configuration of the example autoscaler"), plugin_schema()
    plugins: dict[str, Any] = whole["properties"]["plugins"]
    plugins |= {
        "type": "object",
        "properties": {"burst": {"anyOf": [{"$ref": "#/$defs/Settings"}, {"type": "null"}]}},
        "additionalProperties": {"type": ["object", "null"]},
    }
    burst.pop("$schema")
    whole["$defs"] |= {**burst.pop("$defs"), "Settings": burst}
    return json.dumps(whole, indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(schema_text(), encoding="utf-8")
