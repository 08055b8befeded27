"""What is said about a value that is refused: what stands there, never a secret."""

import re
from collections.abc import Mapping
from typing import Any, Final

import yaml
from pydantic_core import PydanticCustomError

from scaleset_hookspecs.problems import looks_secret

__all__ = ["REFUSED", "describe", "describe_secret", "is_variable_name", "refusal"]

REFUSED: Final = "refused"
"""Error type of our own field types; its context holds `found` and `expected`."""

_LONGEST: Final = 60
_LONGEST_KEY: Final = 8
_LONGEST_NUMBER: Final = 128
"""Bits of a number that is repeated; Python refuses to write out a very long one."""

_VARIABLE: Final = re.compile("[A-Z]{1,15}[0-9]{0,2}(_[A-Z]{0,15}[0-9]{0,2}){0,6}")
"""What is shown as the name of a variable: words in capitals, unlike a secret put there by mistake."""

_RESOLVER: Final = yaml.resolver.Resolver()


def refusal(found: str, expected: str) -> PydanticCustomError:
    """Return the error a field type raises."""
    found = found.encode(errors="backslashreplace").decode()  # half a character would fail on the way through pydantic
    return PydanticCustomError(REFUSED, "expected {expected}", {"found": found, "expected": expected})


def is_variable_name(text: str) -> bool:
    """Whether a text can be shown as the name of an environment variable; a secret put there by mistake cannot."""
    return not looks_secret(text) and _VARIABLE.fullmatch(text) is not None


def describe(value: object, *, quoted: bool = False) -> str:
    """Say what a value is, shortened, on one line; a text `quoted` where a number or a truth value should stand."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return _describe_text(value, quoted=quoted or _reads_as_another_kind(value))
    if isinstance(value, Mapping):
        return _describe_mapping(value)
    if isinstance(value, list | tuple | set):
        return f"a list of {len(value)}"
    if isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER:
        return f"a number of {value.bit_length()} bits"
    return _describe_text(str(value)) if isinstance(value, int | float) else f"a {type(value).__name__}"


def describe_secret(value: object) -> str:
    """Say what stands in the place of a secret, without saying it."""
    if isinstance(value, str):
        return f"a literal text of {len(value)} characters"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "a literal number"
    if isinstance(value, Mapping) and not all(
        str(key).startswith("$") and len(str(key)) < _LONGEST_KEY for key in value
    ):
        return f"a section with {len(value)} key{'' if len(value) == 1 else 's'}"
    return describe(value)


def _describe_text(text: str, *, quoted: bool = False) -> str:
    if looks_secret(text):
        return f"a text of {len(text)} characters that looks like a secret"
    if not text:
        return "an empty text"
    if len(text) > _LONGEST:
        return f"a text of {len(text)} characters"
    if not text.isprintable():
        return f"{text!r}"
    return f'`"{text}"`' if quoted else f"`{text}`"


def _reads_as_another_kind(text: str) -> bool:
    """Whether a text would be a number, a truth value or nothing if it did not stand in quotes, such as `"5"`."""
    kind = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]  # not in its stubs
    return str(kind) != "tag:yaml.org,2002:str"


def _describe_mapping(value: Mapping[Any, Any]) -> str:
    keys = [str(key) for key in value][:4]
    if not keys:
        return "an empty section"
    if len(value) > len(keys) or any(looks_secret(key) or len(key) > _LONGEST for key in keys):
        return f"a section with {len(value)} key{'' if len(value) == 1 else 's'}"
    return "a section with " + ", ".join(f"`{key}`" for key in keys)
