"""One machine for every configuration of ours and of hosts: a YAML file becomes settings, or every problem at once.

In flows a file (`read_config`) or a host's own mapping, and a model made of `Section` and the field types; out flow
frozen settings (`load`), rows to show (`listing`) and a JSON Schema (`json_schema`). The way of a value: `source` reads
it with its line, `references` looks up what stands there by reference, pydantic validates, `problems` says what it
refused in one sentence each, and `checks` compares settings that are good by themselves.

It needs pydantic and yaml, so neither the rest of this package nor what `import scaleset_client` loads imports it.
"""

from scaleset_hookspecs.configuration.checks import Check, View
from scaleset_hookspecs.configuration.durations import format_duration, parse_duration
from scaleset_hookspecs.configuration.fields import Accepts, Duration, Flag, JsonSchema, Reference, Section, Text, Whole
from scaleset_hookspecs.configuration.listing import Row, listing
from scaleset_hookspecs.configuration.loading import load
from scaleset_hookspecs.configuration.problems import Document, Mistake, Path
from scaleset_hookspecs.configuration.references import (
    REFERENCE,
    Secret,
    Sources,
    rereader,
    resolve,
    reveal,
    variables_of,
)
from scaleset_hookspecs.configuration.refusals import describe, refusal
from scaleset_hookspecs.configuration.schema import json_schema
from scaleset_hookspecs.configuration.source import STANDARD_INPUT, read_config, read_text

__all__ = [
    "REFERENCE",
    "STANDARD_INPUT",
    "Accepts",
    "Check",
    "Document",
    "Duration",
    "Flag",
    "JsonSchema",
    "Mistake",
    "Path",
    "Reference",
    "Row",
    "Secret",
    "Section",
    "Sources",
    "Text",
    "View",
    "Whole",
    "describe",
    "format_duration",
    "json_schema",
    "listing",
    "load",
    "parse_duration",
    "read_config",
    "read_text",
    "refusal",
    "rereader",
    "resolve",
    "reveal",
    "variables_of",
]
