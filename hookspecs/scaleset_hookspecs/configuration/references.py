"""Values that stand in the file by reference: `{$env: NAME}` and `{$file: PATH}`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Final

from pydantic import SecretStr

from scaleset_hookspecs.configuration.refusals import (
    describe,
    describe_secret,
    is_variable_name,
    refusal,
)
from scaleset_hookspecs.problems import looks_secret

__all__ = [
    "REFERENCE",
    "SECRET_LIMIT",
    "Secret",
    "Sources",
    "is_reference",
    "rereader",
    "resolve",
    "reveal",
    "variables_of",
]

REFERENCE: Final = "a reference, `$env: NAME` or `$file: PATH`"
"""How a reference is written, in words."""

SECRET_LIMIT: Final = 64 * 1024
"""Characters of a secret at most."""


class Secret(SecretStr):
    """A secret that knows where it came from.

    Attributes:
        origin: The reference, such as `$env: GITHUB_TOKEN`.
        again: Reads it once more from its file; `None` if it is no file's. It raises `OSError` or `UnicodeError`.
    """

    def __init__(self, value: str, origin: str, again: Callable[[], str] | None = None) -> None:
        super().__init__(value)
        self.origin: Final = origin
        self.again: Final = again


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where references are looked up; passed in, so that reading settings is a function of its arguments.

    Attributes:
        environ: The environment's variables.
        read_file: Gives a file's text; raises `OSError` or `UnicodeError`.
        directory: Folder of the configuration file, which relative paths start from; `None` if unknown.
    """

    environ: Mapping[str, str] = field(repr=False)
    read_file: Callable[[str], str] = field(repr=False)
    directory: str | None = None

    def path(self, text: str) -> str:
        """Return a path of the file as one to open: `~/` is HOME, others start at the file's folder."""
        home = self.environ.get("HOME")
        if text.startswith("~/") and home:
            return str(PurePath(home) / text[2:])
        return str(PurePath(self.directory) / text) if self.directory else text

    def read(self, text: str, *, show: bool) -> str:
        """Return the file's text, or refuse it with the reason; `show` its path, where no secret is looked for."""
        where = f"the file `{text}`" if show and not looks_secret(text) else "a file that does not open"
        try:
            return self.read_file(self.path(text))
        except OSError as error:
            reason = error.strerror or type(error).__name__
        except UnicodeDecodeError:
            reason = "not UTF-8 text"
        except ValueError:  # a NUL, or half a character
            reason = "no path of a file"
        raise refusal(f"{where}: {reason[:1].lower()}{reason[1:]}", "a file that exists and can be read")


def is_reference(value: object) -> bool:
    """Whether a value is written as a reference, right or wrong, or is one looked up already."""
    return isinstance(value, Mapping | SecretStr)


def resolve(value: object, sources: object) -> SecretStr:
    """Return the secret a reference stands for; a secret made by a program passes as it is.

    Raises:
        PydanticCustomError: It is no reference, or what it names is missing, empty or too long.
    """
    if isinstance(value, SecretStr):
        return value
    if not isinstance(value, Mapping):
        raise refusal(describe_secret(value), f"{REFERENCE}; a secret never stands in the file itself")
    if len(value) != 1 or next(iter(value)) not in {"$env", "$file"}:
        raise refusal(describe_secret(value), f"exactly one key: {REFERENCE}")
    kind, name = next(iter(value.items()))
    if not isinstance(name, str) or not name:
        raise refusal(f"{kind} with {describe_secret(name) if name else describe(name)}", REFERENCE)
    if not isinstance(sources, Sources):
        raise refusal(f"a reference ({kind})", "a secret, where no file is read")
    return _read_environment(name, sources) if kind == "$env" else _read_file(name, sources)


def _read_environment(name: str, sources: Sources) -> Secret:
    shown = f"`$env: {name}`, which is not set" if is_variable_name(name) else "an environment variable that is not set"
    text = sources.environ.get(name) if name.isprintable() else None  # half a character is in no environment
    if text is None:
        raise refusal(shown, "the name of an environment variable that holds the secret")
    return _checked(text, f"$env: {name}")


def _read_file(name: str, sources: Sources) -> Secret:
    # What does not open may be the secret itself, put there by mistake: only a path that opens is repeated.
    text, path, read_file = sources.read(name, show=False), sources.path(name), sources.read_file
    return _checked(text, f"$file: {name}", lambda: read_file(path).rstrip("\r\n"))


def _checked(text: str, origin: str, again: Callable[[], str] | None = None) -> Secret:
    if len(text) > SECRET_LIMIT:
        raise refusal(f"`{origin}`, which holds more than {SECRET_LIMIT // 1024} KiB", "a secret")
    text = text.rstrip("\r\n")
    if not text.strip():
        raise refusal(f"`{origin}`, which is empty", "a secret")
    return Secret(text, origin, again)


def reveal(value: SecretStr | str | None) -> str | None:
    """Return the text of a value that may have been given by reference."""
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def rereader(value: SecretStr | None) -> Callable[[], str] | None:
    """Return what reads a secret once more, if it came from a file: that may be rotated while the program runs."""
    return value.again if isinstance(value, Secret) else None


def variables_of(config: Mapping[str, Any]) -> frozenset[str]:
    """Return the environment variables that a mapping takes secrets from, in whatever section: keep them from jobs."""
    return frozenset(_variables(config, set()))


def _variables(value: object, seen: set[int]) -> Iterator[str]:
    if id(value) in seen or not isinstance(value, Mapping | list | tuple):
        return
    seen.add(id(value))
    if isinstance(value, Mapping) and isinstance(value.get("$env"), str):
        yield value["$env"]
    for inner in value.values() if isinstance(value, Mapping) else value:
        yield from _variables(inner, seen)
