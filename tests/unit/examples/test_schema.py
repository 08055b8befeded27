"""The JSON Schema of the whole example file: made from the declarations, and true for a validator that is not ours."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from autoscaler.config import AutoscalerSettings

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
TEXT = (EXAMPLES / "config.yaml").read_text()
SCHEMA = json.loads((EXAMPLES / "config.schema.json").read_text())


def refused(change: dict[str, Any]) -> bool:
    """Whether the example with another section is wrong."""
    whole = {**yaml.safe_load(TEXT), **change}
    return not jsonschema.Draft202012Validator(SCHEMA).is_valid(whole)


def test_the_schema_is_up_to_date() -> None:
    program = "import schema; print(schema.schema_text(), end='')"
    made = subprocess.run([sys.executable, "-c", program], cwd=EXAMPLES, check=True, capture_output=True, text=True)
    assert made.stdout == (EXAMPLES / "config.schema.json").read_text(), "run python examples/schema.py"


def test_the_example_names_it_and_is_right_as_it_stands_and_with_everything_switched_on() -> None:
    assert TEXT.startswith("# yaml-language-server: $schema=config.schema.json\n")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    everything = yaml.safe_load(re.sub(r"(?m)^( *)#(?=[a-z_-]+:)", r"\1", TEXT))
    del everything["plugins"]["burst"]["github"]["app"]  # beside a token
    jsonschema.validate(yaml.safe_load(TEXT), SCHEMA)
    jsonschema.validate(everything, SCHEMA)


def test_several_scale_sets_and_anchors_are_right() -> None:
    assert not refused({"autoscaler": {"scale_sets": [{"name": "a"}, {"name": "b", "launcher": "docker"}]}, "x-a": 5})


@pytest.mark.parametrize(
    "change",
    [
        {"autoscaler": {"scale_set": "a", "max_runners": "x"}},
        {"autoscaler": {"scale_set": "a", "launcher": "podman"}},
        {"autoscaler": {"scale_set": "a", "scale_sets": [{"name": "b"}]}},
        {"autoscaler": {}},
        {"autoscaler": {"scale_set": "a"}},
        {"autoscaler": {"scale_set": "a", "launcher": "command", "command": []}},
        {"autoscaler": {"scale_sets": [{}]}},
        {"github": {"config_url": "u", "token": "literal"}},
        {"github": {"config_url": "u"}},
        {"plugins": {"burst": {"batch": {"hedge": "yes"}}}},
        {"plugins": {"burst": 5}},
        {"autoscalar": {}},
    ],
)
def test_what_is_wrong_is_refused(change: dict[str, Any]) -> None:
    assert refused(change)


def test_every_setting_of_the_host_says_what_it_means_and_what_is_expected() -> None:
    properties = SCHEMA["$defs"]["AutoscalerSettings"]["properties"]
    assert properties.keys() == AutoscalerSettings.model_fields.keys()
    assert all(each["description"] for each in properties.values())
    assert [name for name, each in properties.items() if "errorMessage" not in each] == ["scale_sets"]
