"""The field types that only the plugin has; the others are the kit's and the client's."""

from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo

from scaleset_hookspecs.configuration import REFERENCE, Accepts, JsonSchema, Sources, describe, refusal, resolve
from scaleset_hookspecs.configuration.fields import REFERENCE_SCHEMA, is_url
from scaleset_hookspecs.configuration.references import is_reference

__all__ = ["Directory", "NamePart", "PemFile", "ProxyUrl", "SharingUrl", "WorkFolder"]

_PROXY_URL: Final = "an http:// or https:// URL of a proxy"
_SHARING_URL: Final = "a redis:// or rediss:// URL without options (`?...`)"
_TEXT_SCHEMA: Final[dict[str, Any]] = {"type": "string", "minLength": 1}


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
    if "@" in text:
        raise refusal("a URL with a user name or password", f"{REFERENCE}, when the URL holds a password")
    if not is_url(text, schemes):
        raise refusal(describe(text), expected)
    return text


def _proxy_url(value: object, info: ValidationInfo) -> SecretStr | str:
    return _server_url(value, info, ("http", "https"), _PROXY_URL)


def _sharing_url(value: object, info: ValidationInfo) -> SecretStr | str:
    return _server_url(value, info, ("redis", "rediss"), _SHARING_URL)


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


def _work_folder(value: str) -> str:
    if value.isprintable():
        return value
    raise refusal(describe(value), "one line of text")


ProxyUrl = Annotated[
    str | SecretStr,
    BeforeValidator(_proxy_url),
    Accepts(f"{_PROXY_URL}, or {REFERENCE}"),
    JsonSchema({"anyOf": [{"type": "string", "pattern": "^https?://[^@?#]+$"}, REFERENCE_SCHEMA]}),
]
"""The URL of a proxy; a secret exactly when it was given by reference."""

SharingUrl = Annotated[
    str | SecretStr,
    BeforeValidator(_sharing_url),
    Accepts(f"{_SHARING_URL}, or {REFERENCE}"),
    JsonSchema({"anyOf": [{"type": "string", "pattern": "^rediss?://[^@?#]+$"}, REFERENCE_SCHEMA]}),
]
"""The URL of a Redis or Valkey; a secret exactly when it was given by reference."""

PemFile = Annotated[
    str,
    BeforeValidator(_pem_file),
    Accepts("the path of a PEM file"),
    JsonSchema(_TEXT_SCHEMA),
]
"""The path of a PEM file that exists, ready to open."""

Directory = Annotated[
    str,
    BeforeValidator(_directory),
    Accepts("the path of a folder, or `:memory:`"),
    JsonSchema(_TEXT_SCHEMA),
]
"""The path of a folder, ready to use; it need not exist yet."""

NamePart = Annotated[
    str,
    Field(max_length=40, pattern=r"^[A-Za-z0-9._-]*$"),
    Accepts("at most 40 letters, digits, `.`, `_` and `-`"),
]
"""The start of a runner's name."""

WorkFolder = Annotated[
    str, Field(min_length=1), AfterValidator(_work_folder), Accepts("a text that is not empty, on one line")
]
"""The work folder on a runner."""
