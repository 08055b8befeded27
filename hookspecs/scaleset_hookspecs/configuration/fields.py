"""What models are made of: the section, and field types that refuse anything else in one sentence."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    SecretStr,
    Strict,
    ValidationInfo,
    model_validator,
)
from pydantic_core import CoreSchema

from scaleset_hookspecs.configuration.durations import DURATION_PATTERN, parse_duration
from scaleset_hookspecs.configuration.references import REFERENCE, resolve
from scaleset_hookspecs.configuration.refusals import describe, refusal

__all__ = [
    "REFERENCE_SCHEMA",
    "Accepts",
    "Duration",
    "Flag",
    "JsonSchema",
    "Reference",
    "Section",
    "Text",
    "Whole",
    "is_url",
]

_DURATION_SCHEMA: Final[dict[str, Any]] = {
    "type": "string",
    "pattern": DURATION_PATTERN,
    "examples": ["5m", "250ms", "1h30m"],
}

REFERENCE_SCHEMA: Final[dict[str, Any]] = {
    "oneOf": [
        {
            "type": "object",
            "properties": {key: {"type": "string", "minLength": 1, "description": text}},
            "required": [key],
            "additionalProperties": False,
        }
        for key, text in (
            ("$env", "Name of the environment variable that holds the secret."),
            ("$file", "Path of the file that holds it, relative to the configuration file."),
        )
    ]
}
"""How a reference is written, as JSON Schema."""


class Section(BaseModel):
    """A section: frozen; unknown keys are refused; an empty one has its defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_default(cls, value: object) -> object:
        return {} if value is None else value


@dataclass(frozen=True, slots=True)
class Accepts:
    """Says in words what a field type accepts, and whether what stands there is a secret."""

    sentence: str
    secret: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class JsonSchema:
    """Replaces the JSON Schema of a field type by what the file may say; a duration may also be a number."""

    schema: dict[str, Any]
    replace: bool = True

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return dict(self.schema) if self.replace else {"anyOf": [self.schema, {"minimum": 0, **handler(core)}]}


def is_url(text: str, schemes: Collection[str]) -> bool:
    """Whether a text is the URL of a server, with one of `schemes`; nothing is asked.

    Options are no part of it: a library might take one that says not to check a certificate.
    """
    if not text.isascii() or not text.isprintable() or any(sign in text for sign in " ?#"):
        return False
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return False
    return bool(url.hostname) and port != 0 and url.scheme in schemes


def _duration(value: object) -> float:
    try:
        return parse_duration(value)
    except ValueError as error:
        expected = str(error)
    raise refusal(describe(value), expected)


def _reference(value: object, info: ValidationInfo) -> SecretStr:
    return resolve(value, info.context)


def _text(value: str) -> str:
    """Refuse what no request, no path and no command line can hold."""
    if "\0" in value:
        raise refusal(describe(value), "a text without the character NUL")
    return value


Flag = Annotated[bool, Strict()]
"""`true` or `false`; a text or a number is neither."""

Whole = Annotated[int, Strict()]
"""A whole number; `true` is none, and neither is a text."""

Text = Annotated[str, Field(min_length=1), AfterValidator(_text)]
"""A text that is not empty."""

Duration = Annotated[
    float,
    BeforeValidator(_duration),
    JsonSchema(_DURATION_SCHEMA, replace=False),
]
"""Seconds; the file says `5m`, `250ms`, `1h30m` or a number of seconds."""

Reference = Annotated[
    SecretStr, BeforeValidator(_reference), Accepts(REFERENCE, secret=True), JsonSchema(REFERENCE_SCHEMA)
]
"""A secret by reference."""
