"""Reading a configuration file with its lines, and the files that its settings name, within limits."""

import os
import re
import sys
from pathlib import Path
from typing import Final

import yaml

from scaleset_hookspecs.errors import ConfigError, Problem
from scaleset_hookspecs.sources import SourcedConfig, unfolded

__all__ = ["STANDARD_INPUT", "read_config", "read_text"]

STANDARD_INPUT: Final = "-"
"""The path that stands for standard input."""

CONFIG_LIMIT: Final = 1024 * 1024
"""Bytes of a configuration at most."""

FILE_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of a file that a setting names at most; bundles of authorities are large."""

NODE_LIMIT: Final = 100_000
"""Values of a configuration at most, aliases counted as often as they are used."""

_SCHEMA_LINE: Final = re.compile(r"^#\s*yaml-language-server:\s*\$schema=(\S+)", re.MULTILINE)
"""How a file names its JSON Schema to editors."""


def read_text(path: str) -> str:
    """Return the text of a file that a setting names.

    Raises:
        OSError: It does not open, or is no regular file, or is too long.
        UnicodeDecodeError: It is not UTF-8.
    """
    return _read(path, FILE_LIMIT)


def read_config(path: str | os.PathLike[str]) -> SourcedConfig:
    """Return the mapping of a YAML file, or of standard input, with its lines.

    Raises:
        ConfigError: There is no such file, or it is no YAML mapping; with the line where YAML stopped.
    """
    name = os.fspath(path)
    try:
        if name == STANDARD_INPUT:
            name = "(standard input)"
            text = _decoded(sys.stdin.buffer.read(CONFIG_LIMIT + 1), CONFIG_LIMIT)
        else:
            text = _read(name, CONFIG_LIMIT)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise _refused(name, f"a file that does not open ({reason})", "a YAML file of at most 1 MiB") from None
    except UnicodeDecodeError as error:
        raise _refused(name, f"a byte that is not UTF-8 at offset {error.start}", "a text file in UTF-8") from None
    return _parse(text, name)


def _read(path: str, limit: int) -> str:
    place = Path(path)
    if place.exists() and not place.is_file():
        raise OSError(0, "Not a file")
    with place.open("rb") as file:
        return _decoded(file.read(limit + 1), limit)


def _decoded(raw: bytes, limit: int) -> str:
    if len(raw) > limit:
        raise OSError(0, f"Longer than {limit // 1024} KiB")
    return raw.decode("utf-8-sig")


def _parse(text: str, name: str) -> SourcedConfig:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None and unfolded(node, NODE_LIMIT) > NODE_LIMIT:
            raise _refused(name, "aliases that unfold to too much", f"at most {NODE_LIMIT} values in all")
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _syntax(name, error) from None
    except RecursionError:
        raise _refused(name, "values nested too deeply", "a YAML mapping") from None
    except ValueError as error:  # PyYAML builds dates and numbers without a check of its own
        raise _refused(name, f"a value that YAML cannot read ({error})", "a YAML mapping") from None
    if not isinstance(data, dict):
        found = "an empty file" if data is None else f"a {type(data).__name__} at the top"
        raise _refused(name, found, "a YAML mapping of sections")
    config = SourcedConfig.from_node(data, node, name)
    named = _SCHEMA_LINE.search(text)
    config.schema = None if named is None else (named[1], text.count("\n", 0, named.start()) + 1)
    return config


def _syntax(name: str, error: yaml.YAMLError) -> ConfigError:
    mark = getattr(error, "problem_mark", None)
    said = getattr(error, "problem", None) or "characters that YAML does not allow"
    where = "" if mark is None else f" at column {mark.column + 1}"
    said = said.removeprefix("found ")  # the problem says it
    return _refused(name, f"{said}{where}", "YAML", line=None if mark is None else mark.line + 1)


def _refused(name: str, found: str, expected: str, *, line: int | None = None) -> ConfigError:
    return ConfigError([Problem(path="(file)", found=found, expected=expected, file=name, line=line)])
