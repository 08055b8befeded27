"""The JSON Schema, the listing, the reference page and the example say what the model says."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from scaleset_burst.settings import Settings
from scaleset_burst.settings.reference import reference_page
from scaleset_burst.settings.schema import schema, schema_text
from scaleset_hookspecs.configuration import Section
from scaleset_hookspecs.configuration.accepts import section_of
from scaleset_hookspecs.configuration.durations import parse_duration
from scaleset_hookspecs.configuration.listing import listing

Load = Callable[[Mapping[str, Any]], Settings]

ROOT = Path(__file__).parents[3]
EXAMPLE = (ROOT / "examples" / "config.yaml").read_text(encoding="utf-8")


def uncommented() -> str:
    """The example with every setting switched on: `#name:` stands for `name:`."""
    return re.sub(r"(?m)^( *)#(?=[a-z_-]+:)", r"\1", EXAMPLE)


def declared(section: type[Section] = Settings, above: str = "") -> Iterator[tuple[str, Any]]:
    """Every key path of the model with its field; the scale sets' overrides under the example's name."""
    for name, field in section.model_fields.items():
        yield f"{above}{name}", field
        inner = section_of(field)
        if inner is not None:
            yield from declared(inner, f"{above}{name}." + ("demo-linux." if name == "scale_sets" else ""))


def at(data: object, path: str) -> object:
    for key in path.split("."):
        assert isinstance(data, dict)
        data = data[key]
    return data


def test_the_pages_made_from_the_model_are_up_to_date() -> None:
    folder = ROOT / "docs" / "reference"
    hint = "run python -m scaleset_burst.settings"
    assert (folder / "settings.md").read_text(encoding="utf-8") == reference_page(), hint
    assert (folder / "config.schema.json").read_text(encoding="utf-8") == schema_text(), hint


def test_the_schema_is_one_and_accepts_the_example() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(yaml.safe_load(EXAMPLE)["plugins"]["burst"], schema())


def test_the_schema_accepts_the_example_with_everything_switched_on() -> None:
    section = yaml.safe_load(uncommented())["plugins"]["burst"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(section, schema())  # with both credentials
    del section["github"]["app"]
    jsonschema.validate(section, schema())


@pytest.mark.parametrize(
    "section",
    [
        {"nonsense": 1},
        {"batch": {"merge_window": "5 parsecs"}},
        {"batch": {"merge_window": 2}},
        {"github": {"config_url": "x", "token": "literal"}},
        {"github": {"config_url": "x", "token": {"$env": "A", "$file": "b"}}},
        {"connections": {"proxy": "http://user:word@h"}},
        {"sharing": {"url": "rediss://h?ssl_cert_reqs=none"}},
        {"enabled": "yes"},
    ],
)
def test_the_schema_refuses_what_is_wrong(section: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(section, schema())


def test_the_schema_shows_defaults_as_the_file_says_them() -> None:
    text = json.dumps(schema())
    assert '"default": "5ms"' in text
    assert "****" not in text


def test_the_example_names_every_setting() -> None:
    everything = yaml.safe_load(uncommented())["plugins"]["burst"]
    for path, _ in declared():
        at(everything, path)


def test_the_example_shows_every_default() -> None:
    everything = yaml.safe_load(uncommented())["plugins"]["burst"]
    shown = 0
    for path, field in declared():
        if section_of(field) is not None or field.is_required() or path.startswith("github."):
            continue
        value = at(everything, path)
        same = parse_duration(value) if isinstance(field.default, float) else value
        assert same == field.default, path
        shown += 1
    assert shown > 35


def test_the_example_tells_what_every_setting_means() -> None:
    prose = " ".join(EXAMPLE.replace("#", " ").split())
    missing = [path for path, field in declared() if " ".join((field.description or "").split()) not in prose]
    assert missing == []


def test_the_listing_has_every_setting_that_holds_and_masks_secrets(load_burst: Load) -> None:
    settings = load_burst({"batch": {"merge_window": "10ms"}, "scale_sets": {"linux": {"work_folder": "w"}}})
    rows = {row.path: row for row in listing(settings)}
    assert rows["github.token"].value == "*** ($env: TOKEN)"
    assert (rows["batch.merge_window"].value, rows["batch.merge_window"].is_default) == ("10ms", False)
    assert (rows["cache.runner_group_ttl"].value, rows["cache.runner_group_ttl"].is_default) == ("1h", True)
    assert rows["scale_sets.linux.work_folder"].value == "w"
    assert rows["sharing"].value == "none"
    assert rows["batch.name_prefix"].value == '""'
    assert all(row.description for row in rows.values())
    assert "a-token" not in str(rows)
