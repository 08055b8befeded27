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
from hypothesis import event, given, settings
from hypothesis import strategies as st

from autoscaler.config import CHECKS, AutoscalerSettings, HostSettings, ScaleSetSettings
from scaleset_client.settings import GitHubSettings
from scaleset_hookspecs import ConfigError
from scaleset_hookspecs.configuration import Section, load, read_text
from tests.kit.examples import examples

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
TEXT = (EXAMPLES / "config.yaml").read_text()
SCHEMA = json.loads((EXAMPLES / "config.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


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


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 12),
    st.sampled_from(["5m", "-1s", "command", "simulated", "docker", "json", "", "http://localhost/acme"]),
    st.lists(st.sampled_from(["a", "", 5, None]), max_size=2),
    st.just({"$env": "T"}),
)


GITHUB = {"config_url": "http://localhost/acme", "token": {"$env": "T"}}
ONE: dict[str, Any] = {"scale_set": "a", "launcher": "simulated"}
SEVERAL: dict[str, Any] = {"launcher": "simulated", "scale_sets": [{"name": "a"}, {"name": "b"}]}


def changes(model: type[Section]) -> st.SearchStrategy[dict[str, Any]]:
    """A few keys of a section with any value, right or wrong, now and then a key that there is not."""
    return st.dictionaries(st.sampled_from([*model.model_fields, "other"]), VALUES, max_size=3)


@settings(max_examples=examples(400), deadline=None)
@given(
    st.one_of(st.just({}), changes(GitHubSettings)),
    st.sampled_from([ONE, SEVERAL]),
    changes(AutoscalerSettings),
    st.one_of(st.just({}), changes(ScaleSetSettings)),
)
def test_the_schema_never_refuses_what_the_host_takes(
    github: dict[str, Any], base: dict[str, Any], own: dict[str, Any], first: dict[str, Any]
) -> None:
    """`check` raises no false alarm; what it misses, the host says at its start."""
    autoscaler = {**base, **own}
    if autoscaler.get("scale_sets") == SEVERAL["scale_sets"]:
        autoscaler["scale_sets"] = [{"name": "a", **first}, {"name": "b"}]
    whole = {"github": {**GITHUB, **github}, "autoscaler": autoscaler}
    try:
        load(HostSettings, whole, environ={"T": "t"}, read_file=read_text, checks=CHECKS)
    except ConfigError:
        event("refused")
        return
    event("taken")
    VALIDATOR.validate(whole)
