"""Whatever stands in the file, the answer is settings or problems, and no secret is repeated."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleset_burst.settings import Settings, load_settings
from scaleset_hookspecs import ConfigError
from scaleset_hookspecs.configuration import Section
from scaleset_hookspecs.configuration.accepts import section_of

MARK = "ghp_hunter2hunter2"

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5000),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["5m", "auto", "always", "-1s", MARK, f"https://x:{MARK}@h", "https://github.com/a/b", "all"]),
    st.lists(st.integers(), max_size=2),
    st.fixed_dictionaries({}, optional={"$env": st.sampled_from(["T", "U", MARK]), "$file": st.just("f")}),
)
mint = st.dictionaries(st.one_of(st.text(max_size=4), st.booleans(), st.just(MARK)), values, max_size=1)


def sections(section: type[Section]) -> st.SearchStrategy[dict[Any, Any]]:
    """Sections with the keys of the model, now and then another one, and any value."""
    keys: dict[Any, st.SearchStrategy[Any]] = {}
    for name, field in section.model_fields.items():
        inner = section_of(field)
        if inner is None:
            keys[name] = values
        elif name == "scale_sets":
            keys[name] = st.one_of(values, st.dictionaries(st.text(max_size=3), sections(inner), max_size=2))
        else:
            keys[name] = st.one_of(sections(inner), values)
    known = st.fixed_dictionaries({}, optional=keys)
    return st.tuples(known, mint).map(lambda both: {**both[0], **both[1]})


@given(sections(Settings))
def test_any_section_is_settings_or_problems(section: dict[Any, Any]) -> None:
    def read_file(path: str) -> str:
        raise FileNotFoundError(2, "No such file or directory", path)

    settings, said = None, ""
    try:
        settings = load_settings({"plugins": {"burst": section}}, environ={"T": MARK}, read_file=read_file)
    except ConfigError as error:
        said = str(error)
    assert MARK not in said
    assert MARK not in repr(settings)
    assert (settings is None) == (said.count("; expected ") > 0)


secrets = st.one_of(
    st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/+=._-~ $@!", min_size=12, max_size=80),
    st.from_regex(r"[A-Z2-7]{16,32}", fullmatch=True),
    st.from_regex(r"[./~]?[a-z0-9/.]{12,40}", fullmatch=True),
    st.text(min_size=12, max_size=40),
).filter(lambda text: re.search("[a-z2-7]|[^_]{16}", text) is not None)


@given(st.sampled_from(["$env", "$file"]), secrets)
def test_a_secret_in_place_of_its_reference_is_never_repeated(kind: str, secret: str) -> None:
    """Neither as the name of a variable or a file, nor as a key; the place is."""

    def read_file(path: str) -> str:
        raise FileNotFoundError(2, "No such file or directory", path)

    for value in ({kind: secret}, {secret: None}, {kind: {secret: 1}}, secret):
        section = {"github": {"config_url": "https://github.com/a", "token": value}}
        with pytest.raises(ConfigError) as caught:
            load_settings({"plugins": {"burst": section}}, environ={"T": MARK}, read_file=read_file)
        assert secret not in str(caught.value)
        assert "plugins.burst.github.token" in str(caught.value)
