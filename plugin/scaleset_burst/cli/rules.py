"""What a host's own rules say of its file: the JSON Schema that the file names for itself, as it does for editors."""

import json
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from scaleset_hookspecs import Problem, SourcedConfig
from scaleset_hookspecs.configuration import Path as KeyPath
from scaleset_hookspecs.configuration import describe, read_text
from scaleset_hookspecs.configuration.problems import NOTHING
from scaleset_hookspecs.configuration.refusals import describe_secret
from scaleset_hookspecs.configuration.schema import EXPECTED
from scaleset_hookspecs.problems import locate

__all__ = ["host_problems"]

_KINDS: Final = {
    "array": "a list",
    "boolean": "`true` or `false`",
    "integer": "a whole number",
    "null": "nothing",
    "number": "a number",
    "object": "a section",
    "string": "a text",
}


def host_problems(config: SourcedConfig) -> tuple[str, list[Problem]]:
    """Return whose rules were asked, or why nobody's, in words; and what they say is wrong with the file."""
    if config.schema is None:
        return "not checked: no line `# yaml-language-server: $schema=FILE` names rules for them", []
    name, line = config.schema
    if "://" in name:
        return f"not checked: rules at an address are not fetched, and `{name}` is one", []
    try:
        validator = _validator(Path(config.file or "").parent / name)
        errors = list(validator.iter_errors(_plain(config)))
    except OSError as error:
        return f"not checked: `{name}` does not open ({error.strerror})", []
    except (ValueError, SchemaError, Unresolvable) as error:
        found = f"rules that cannot be used: `{name}`: {getattr(error, 'message', None) or error}"
        expected = "a JSON Schema that stands alone"
        return "", [Problem(path="(file)", found=found, expected=expected, file=config.file, line=line)]
    problems = [problem for one in errors for leaf in _leaves(one) for problem in _problems(leaf, config)]
    return f"right by the rules of {name}", problems


def _validator(path: Path) -> Validator:
    schema = json.loads(read_text(str(path)))
    kind = validator_for(schema, default=Draft202012Validator)
    kind.check_schema(schema)
    return kind(schema, registry=Registry())  # an empty one: nothing is ever fetched


def _plain(value: object) -> Any:  # noqa: ANN401 - whatever stands in the file
    """Return a value whose keys are texts, which is all that JSON knows."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    """Yield what is wrong inside the alternative that was probably meant: the one of the right kind."""
    if not error.context or EXPECTED in _schema(error):
        yield error
        return
    branches: dict[object, list[ValidationError]] = {}
    for inner in error.context:
        branches.setdefault(inner.schema_path[0], []).append(inner)
    fitting = [
        branch for branch in branches.values() if not any(one.validator == "type" and not one.path for one in branch)
    ]
    if not fitting:
        yield error
    for inner in fitting[0] if fitting else ():
        yield from _leaves(inner)


def _problems(error: ValidationError, config: SourcedConfig) -> Iterator[Problem]:
    path: KeyPath = tuple(error.absolute_path)
    schema, instance = _schema(error), error.instance
    properties = schema.get("properties", {})
    if error.validator == "additionalProperties" and isinstance(instance, Mapping) and properties:
        patterns = schema.get("patternProperties", ())
        for key in instance:
            if key not in properties and not any(re.search(pattern, key) for pattern in patterns):
                yield locate(config, (*path, key), "an unknown key", _known(key, properties))
    elif error.validator == "required" and isinstance(instance, Mapping):
        for key in schema["required"]:
            if key not in instance:
                yield locate(config, (*path, key), NOTHING, _expected(properties.get(key, {})))
    else:
        yield locate(config, path, _found(schema, instance), _expected(schema))


def _schema(error: ValidationError) -> Mapping[str, Any]:
    return error.schema if isinstance(error.schema, Mapping) else {}


def _known(key: str, properties: Mapping[str, Any]) -> str:
    close = get_close_matches(key.lower().replace("-", "_"), list(properties), n=1)
    return f"a known key; did you mean `{close[0]}`?" if close else "one of " + ", ".join(f"`{k}`" for k in properties)


def _found(schema: Mapping[str, Any], instance: object) -> str:
    if "$env" in json.dumps(schema):
        return describe_secret(instance)
    return describe(instance, quoted=schema.get("type") in ("integer", "number", "boolean"))


def _expected(schema: Mapping[str, Any]) -> str:
    if EXPECTED in schema:
        return str(schema[EXPECTED]).removeprefix("expected ")
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    kinds = schema.get("type", "object")
    return " or ".join(_KINDS.get(kind, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds))
