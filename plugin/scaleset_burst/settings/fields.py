"""The field types of the settings: each says what it accepts, and refuses anything else in one sentence."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, SecretStr, Strict, ValidationInfo
from pydantic_core import CoreSchema

from scaleset_burst.settings.addresses import (
    CONFIG_URL,
    PROXY_URL,
    SHARING_URL,
    check_config_url,
    has_password,
    is_url,
)
from scaleset_burst.settings.durations import DURATION_PATTERN, parse_duration
from scaleset_burst.settings.references import REFERENCE, Sources, is_reference, resolve
from scaleset_burst.settings.refusals import describe, refusal

__all__ = [
    "Accepts",
    "ConfigUrl",
    "Directory",
    "Duration",
    "Flag",
    "NamePart",
    "PemFile",
    "PrivateKey",
    "ProxyUrl",
    "Reference",
    "ScaleSetName",
    "SharingUrl",
    "Token",
    "Whole",
    "WorkFolder",
]

_KEY_BEGINS: Final = ("-----BEGIN PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----")

_TEXT_SCHEMA: Final[dict[str, Any]] = {"type": "string", "minLength": 1}

_DURATION_SCHEMA: Final[dict[str, Any]] = {
    "type": "string",
    "pattern": DURATION_PATTERN,
    "examples": ["5m", "250ms", "1h30m"],
}

_REFERENCE_SCHEMA: Final[dict[str, Any]] = {
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


@dataclass(frozen=True, slots=True)
class Accepts:
    """Says in words what a field type accepts, and whether what stands there is a secret."""

    sentence: str
    secret: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Schema:
    """Replaces or extends the JSON Schema of a field type by what the file may say."""

    schema: dict[str, Any]
    replace: bool = True

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return dict(self.schema) if self.replace else {"anyOf": [self.schema, handler(core)]}


def _duration(value: object) -> float:
    try:
        return parse_duration(value)
    except ValueError as error:
        expected = str(error)
    raise refusal(describe(value), expected)


def _reference(value: object, info: ValidationInfo) -> SecretStr:
    return resolve(value, info.context)


def _token(value: object, info: ValidationInfo) -> SecretStr:
    secret = resolve(value, info.context)
    text = secret.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise refusal(
            f"a secret of {len(text)} characters with blanks, line breaks or other foreign characters",
            "a token on one line",
        )
    return secret


def _private_key(value: object, info: ValidationInfo) -> SecretStr:
    secret = resolve(value, info.context)
    text = secret.get_secret_value().strip()
    if not text.startswith(_KEY_BEGINS) or not text.endswith("PRIVATE KEY-----") or "\n" not in text:
        found = f"a secret of {len(text)} characters that is not a PEM key"
        expected = "a private key in PEM form, from `-----BEGIN` to `-----END`, with its line breaks"
        raise refusal(found, expected)
    return secret


def _config_url(value: object) -> str:
    if not isinstance(value, str):
        raise refusal(describe(value), CONFIG_URL)
    try:
        return check_config_url(value)
    except ValueError as error:
        expected = str(error)
    raise refusal("a URL with a user name or password" if has_password(value) else describe(value), expected)


def _server_url(value: object, info: ValidationInfo, schemes: tuple[str, ...], expected: str) -> SecretStr | str:
    if isinstance(value, str):
        return _literal_url(value, schemes, expected)
    if not is_reference(value):
        raise refusal(describe(value), f"{expected}, or {REFERENCE}")
    secret = resolve(value, info.context)
    text = secret.get_secret_value()
    if not is_url(text, schemes):
        raise refusal(f"a secret of {len(text)} characters that is something else", expected)
    return secret


def _literal_url(text: str, schemes: tuple[str, ...], expected: str) -> str:
    if has_password(text):
        raise refusal("a URL with a user name or password", f"{REFERENCE}, when the URL holds a password")
    if not is_url(text, schemes):
        raise refusal(describe(text), expected)
    return text


def _proxy_url(value: object, info: ValidationInfo) -> SecretStr | str:
    return _server_url(value, info, ("http", "https"), PROXY_URL)


def _sharing_url(value: object, info: ValidationInfo) -> SecretStr | str:
    return _server_url(value, info, ("redis", "rediss"), SHARING_URL)


def _pem_file(value: object, info: ValidationInfo) -> str:
    if not isinstance(value, str) or not value:
        raise refusal(describe(value), "the path of a PEM file")
    if not isinstance(info.context, Sources):
        return value
    if "-----BEGIN " not in info.context.read(value, show=True):
        raise refusal(f"the file `{value}`, which is not PEM", "the path of a PEM file")
    return info.context.path(value)


def _directory(value: object, info: ValidationInfo) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise refusal(describe(value), "the path of a folder, or `:memory:`")
    if value == ":memory:" or not isinstance(info.context, Sources):
        return value
    return info.context.path(value)


def _scale_set_name(value: object) -> str:
    if isinstance(value, str) and value.strip() == value and 0 < len(value) <= 128 and value.isprintable():
        return value
    raise refusal(f"the name {describe(value)}", "a scale set's name: one line without outer blanks")


def _work_folder(value: str) -> str:
    if value.isprintable():
        return value
    raise refusal(describe(value), "one line of text")


Flag = Annotated[bool, Strict()]
"""`true` or `false`; a text or a number is neither."""

Whole = Annotated[int, Strict()]
"""A whole number; `true` is none, and neither is a text."""

Duration = Annotated[
    float,
    BeforeValidator(_duration),
    _Schema(_DURATION_SCHEMA, replace=False),
]
"""Seconds; the file says `5m`, `250ms`, `1h30m` or a number of seconds."""

Reference = Annotated[
    SecretStr, BeforeValidator(_reference), Accepts(REFERENCE, secret=True), _Schema(_REFERENCE_SCHEMA)
]
"""A secret by reference."""

Token = Annotated[
    SecretStr,
    BeforeValidator(_token),
    Accepts(f"{REFERENCE}, to a token on one line", secret=True),
    _Schema(_REFERENCE_SCHEMA),
]
"""A token by reference."""

PrivateKey = Annotated[
    SecretStr,
    BeforeValidator(_private_key),
    Accepts(f"{REFERENCE}, to a private key in PEM form", secret=True),
    _Schema(_REFERENCE_SCHEMA),
]
"""A PEM private key by reference."""

ConfigUrl = Annotated[str, BeforeValidator(_config_url), Accepts(CONFIG_URL), _Schema({"type": "string"})]
"""The URL of a scope (protocol 2.1)."""

ProxyUrl = Annotated[
    str | SecretStr,
    BeforeValidator(_proxy_url),
    Accepts(f"{PROXY_URL}, or {REFERENCE}"),
    _Schema({"anyOf": [{"type": "string", "pattern": "^https?://[^@?#]+$"}, _REFERENCE_SCHEMA]}),
]
"""The URL of a proxy; a secret exactly when it was given by reference."""

SharingUrl = Annotated[
    str | SecretStr,
    BeforeValidator(_sharing_url),
    Accepts(f"{SHARING_URL}, or {REFERENCE}"),
    _Schema({"anyOf": [{"type": "string", "pattern": "^rediss?://[^@?#]+$"}, _REFERENCE_SCHEMA]}),
]
"""The URL of a Redis or Valkey; a secret exactly when it was given by reference."""

PemFile = Annotated[
    str,
    BeforeValidator(_pem_file),
    Accepts("the path of a PEM file"),
    _Schema(_TEXT_SCHEMA),
]
"""The path of a PEM file that exists, ready to open."""

Directory = Annotated[
    str,
    BeforeValidator(_directory),
    Accepts("the path of a folder, or `:memory:`"),
    _Schema(_TEXT_SCHEMA),
]
"""The path of a folder, ready to use; it need not exist yet."""

NamePart = Annotated[
    str,
    Field(max_length=40, pattern=r"^[A-Za-z0-9._-]*$"),
    Accepts("at most 40 letters, digits, `.`, `_` and `-`"),
]
"""The start of a runner's name."""

ScaleSetName = Annotated[str, BeforeValidator(_scale_set_name)]
"""The name of a scale set."""

WorkFolder = Annotated[
    str, Field(min_length=1), AfterValidator(_work_folder), Accepts("a text that is not empty, on one line")
]
"""The work folder on a runner."""
