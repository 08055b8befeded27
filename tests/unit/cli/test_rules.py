"""Whatever stands in a host's sections, its rules end in problems with no secret in them."""

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from scaleset_burst.cli.rules import host_problems
from scaleset_hookspecs import SourcedConfig
from tests.kit.examples import examples

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
MARK = "ghp_hunter2hunter2"
KNOWN = ["github", "autoscaler", "plugins", "scale_set", "scale_sets", "labels", "token", "$env", "app", "max_runners"]

leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just(MARK), st.dates())
keys = st.one_of(st.sampled_from(KNOWN), st.integers(), st.booleans(), st.none(), st.dates(), st.just(MARK))
values = st.recursive(
    leaves, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=4)), max_leaves=8
)


@settings(max_examples=examples(100), deadline=None)
@given(st.dictionaries(keys, values, max_size=4))
def test_any_file_ends_in_problems_and_no_secret_is_repeated(data: dict[Any, Any]) -> None:
    config = SourcedConfig(data, file=str(EXAMPLES / "config.yaml"))
    config.schema = ("config.schema.json", 1)
    note, problems = host_problems(config)
    said = "\n".join(map(str, problems))
    assert note == "right by the rules of config.schema.json"
    assert ": found " in said, "a file without a right `github` and `autoscaler` is never right"
    assert MARK not in said
