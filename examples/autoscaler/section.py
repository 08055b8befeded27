"""One section of the configuration, read key by key: what is wrong is collected with its line, not raised."""

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeVar

from scaleset_client.texts import looks_secret
from scaleset_hookspecs import Problem
from scaleset_hookspecs.sources import SourcedConfig

__all__ = ["Section", "shown"]

T = TypeVar("T")

_NOTHING: Final = object()

_NAME: Final = re.compile("[A-Z]{1,15}[0-9]{0,2}(_[A-Z]{0,15}[0-9]{0,2}){0,6}")
"""What is shown as the name of a variable: words in capitals, unlike a secret put there by mistake."""


class Section:
    """The mapping at a key path. Every key that is never asked for counts as unknown.

    Attributes:
        problems: What is wrong so far, shared by all sections of one file.
    """

    def __init__(self, config: SourcedConfig, path: tuple[str, ...], problems: list[Problem]) -> None:
        self.problems = problems
        self._config = config
        self._path = path
        self._asked: list[str] = []
        self._data: Mapping[Any, Any] = config
        for depth, key in enumerate(path, start=1):
            inner = self._data.get(key)
            if inner is not None and not isinstance(inner, Mapping):
                self._refuse(path[:depth], _describe(inner), "a section")
            self._data = inner if isinstance(inner, Mapping) else {}

    def inner(self, key: str) -> "Section | None":
        """Return the section inside this one, if it is there."""
        there = self._value(key, None) is not _NOTHING
        return Section(self._config, (*self._path, key), self.problems) if there else None

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text; one without a default has to be there."""
        value = self._value(key, default)
        if _is_text(value):
            return str(value)
        return self._wrong(key, value, "a text", default or "")

    def whole(self, key: str, default: int, *, minimum: int) -> int:
        """Return a whole number that is not below the minimum."""
        value = self._value(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and value >= minimum:
            return value
        return self._wrong(key, value, f"a whole number from {minimum} up", default)

    def flag(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self._value(key, default)
        return value if isinstance(value, bool) else self._wrong(key, value, "true or false", default)

    def choice(self, key: str, allowed: tuple[str, ...], default: str) -> str:
        """Return one of a few words."""
        value = self._value(key, default)
        if isinstance(value, str) and value in allowed:
            return value
        return self._wrong(key, value, " or ".join(allowed), default)

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts; none if it is left out."""
        value = self._value(key, ())
        if isinstance(value, list | tuple) and all(map(_is_text, value)):
            return tuple(value)
        return self._wrong(key, value, "a list of texts", ())

    def mapping(self, key: str) -> Mapping[str, Any]:
        """Return a mapping that somebody else understands; none if it is left out."""
        value = self._value(key, {})
        return value if isinstance(value, Mapping) else self._wrong(key, value, "a mapping", {})

    def secret(self, key: str) -> str:
        """Return what `{$env: NAME}` or `{$file: PATH}` stands for; a literal secret is refused."""
        value = self._value(key, None)
        expected = "a reference, `$env: NAME` or `$file: PATH`"
        if value is _NOTHING:
            return self._wrong(key, value, expected, "")
        if not isinstance(value, Mapping) or len(value) != 1:
            return self.refuse(key, f"a literal {type(value).__name__}", expected)
        ((kind, name),) = value.items()
        if kind == "$env" and isinstance(name, str):
            found = os.environ.get(name, "").strip() if name.isprintable() else ""
            named = f"`$env: {name}`" if _NAME.fullmatch(name) else "an environment variable"
            return found or self.refuse(key, f"{named}, which is not set", "a variable with the secret")
        if kind == "$file" and isinstance(name, str):
            return self._read(key, name)
        return self.refuse(key, "another kind of reference", expected)

    def known(self, *keys: str) -> None:
        """Count keys as asked for: somebody else reads them."""
        self._asked += keys

    def refuse(self, key: str, found: str, expected: str) -> str:
        """Note that a value is wrong; return an empty text in its place."""
        self._refuse((*self._path, key), found, expected)
        return ""

    def close(self) -> None:
        """Refuse every key that nobody asked for, with the nearest one that is known."""
        for key in self._data:
            if key in self._asked:
                continue
            near = get_close_matches(str(key), self._asked, n=1)
            known = ", ".join(f"`{name}`" for name in self._asked)
            expected = f"a known key; did you mean `{near[0]}`?" if near else f"one of {known}"
            self._refuse((*self._path, str(key)), "an unknown key", expected)

    def _read(self, key: str, name: str) -> str:
        folder = Path(self._config.file).parent if self._config.file else Path()
        try:
            found = (folder / name).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:  # ValueError: no text, or a name that no file can have
            reason = getattr(error, "strerror", None) or "not text"
            # It may be the secret itself, put there by mistake, so only a path that opens is repeated.
            return self.refuse(key, f"a file that does not open: {reason}", "a file that can be read")
        return found or self.refuse(key, f"`$file: {shown(name)}`, which is empty", "a file with the secret")

    def _value(self, key: str, default: object) -> object:
        self._asked.append(key)
        value: object = self._data.get(key)
        if value is None:
            return _NOTHING if default is None else default
        return value

    def _wrong(self, key: str, value: object, expected: str, instead: T) -> T:
        self._refuse((*self._path, key), _describe(value), expected)
        return instead

    def _refuse(self, path: tuple[str, ...], found: str, expected: str) -> None:
        self.problems.append(
            Problem(
                path=".".join(map(shown, path)),
                found=found,
                expected=expected,
                file=str(self._config.file) if self._config.file else None,
                line=self._config.line(path),
            )
        )


def shown(text: str) -> str:
    """Return a text of the file for people to read, unless it has the look of a secret in the wrong place."""
    return f"(a text of {len(text)} characters that looks like a secret)" if looks_secret(text) else text


def _is_text(value: object) -> bool:
    """Whether it is a text, and one that a request or a command line can hold: no NUL, no half character."""
    return isinstance(value, str) and value != "" and not re.search("[\0\ud800-\udfff]", value)


def _describe(value: object) -> str:
    if value is _NOTHING:
        return "nothing"
    if isinstance(value, str) and shown(value) != value:
        return shown(value)
    try:
        return f"{value!r}" if isinstance(value, str | int | float) else f"a {type(value).__name__}"
    except ValueError:
        return "a number too long to be written out"
