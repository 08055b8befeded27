"""Any model of sections is read by the same machine: lists, names, places, what is compared, what is quoted."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from scaleset_hookspecs import ConfigError
from scaleset_hookspecs.configuration import (
    Duration,
    Flag,
    Mistake,
    Reference,
    Secret,
    Section,
    Text,
    View,
    Whole,
    listing,
    load,
    read_config,
    read_text,
    rereader,
    variables_of,
)


class Pool(Section):
    """One pool."""

    name: Text = Field(description="Its name.")
    size: Whole = Field(default=2, ge=1, description="Its size.")


class House(Section):
    """A file of another project."""

    pools: tuple[Pool, ...] = Field(default=(), description="The pools.")
    by_name: dict[str, Pool] = Field(default={}, description="More of them.")
    most: Whole = Field(default=5, description="The largest.")
    wait: Duration = Field(default=60.0, description="A wait.")
    lit: Flag = Field(default=True, description="A switch.")
    key: Reference | None = Field(default=None, description="A secret.")


def small_enough(view: View) -> Iterator[Mistake]:
    most = view.get("most")
    for path in (*view.each("pools"), *view.each("by_name")):
        size = view.known(*path, "size")
        if size is not None and size > most:
            yield Mistake(path=(*path, "size"), found=f"`{size}`", expected=f"at most {most}")


def read(config: Mapping[str, Any], path: tuple[str, ...] = ()) -> House:
    return load(House, config, path, environ={"KEY": "k"}, read_file=read_text, checks=[small_enough])


def written(folder: Path, text: str) -> House:
    (folder / "house.yaml").write_text(text)
    return read(read_config(folder / "house.yaml"))


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        written(folder, text)
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def test_lists_and_names_hold_sections(tmp_path: Path) -> None:
    house = written(tmp_path, "x-any: &n {name: a}\npools: [*n, {name: b, size: 3}]\nby_name: {c: {name: c}}\n")
    assert [(pool.name, pool.size) for pool in (*house.pools, *house.by_name.values())] == [
        ("a", 2),
        ("b", 3),
        ("c", 2),
    ]
    assert [row.path for row in listing(house)][:4] == ["pools.0.name", "pools.0.size", "pools.1.name", "pools.1.size"]


def test_each_problem_has_its_place_in_lists_and_under_names(tmp_path: Path) -> None:
    text = """\
pools:
  - name: a
    size: 9
  - size: 0
  - 5
by_name:
  b:
    name: b
    size: 7
"""
    assert problems(tmp_path, text) == [
        "house.yaml:3: pools.0.size: found `9`; expected at most 5",
        "house.yaml:4: pools.1.name: found nothing; expected a text that is not empty",
        "house.yaml:4: pools.1.size: found `0`; expected a whole number from 1 up",
        "house.yaml:5: pools.2: found `5`; expected a section",
        "house.yaml:9: by_name.b.size: found `7`; expected at most 5",
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('most: "5"', 'most: found `"5"`; expected a whole number'),
        ('lit: "yes"', 'lit: found `"yes"`; expected `true` or `false`'),
        ("lit: maybe", 'lit: found `"maybe"`; expected `true` or `false`'),
        ("lit: 5", "lit: found `5`; expected `true` or `false`"),
        ('wait: "300"', 'wait: found `"300"`; expected a unit after the number'),
        ("wait: soon", "wait: found `soon`; expected a duration"),
    ],
)
def test_a_text_in_the_place_of_a_number_or_a_truth_value_stands_in_quotes(
    tmp_path: Path, value: str, said: str
) -> None:
    (found,) = problems(tmp_path, value + "\n")
    assert found.startswith(f"house.yaml:1: {said}")


def test_a_section_may_stand_anywhere() -> None:
    assert read({"a": {"b": {"most": 7}}}, ("a", "b")).most == 7
    assert read({"a": None}, ("a", "b")) == House()
    with pytest.raises(ConfigError, match=r"a: found `5`; expected a section that holds others, such as `b`"):
        read({"a": 5}, ("a", "b"))


def test_the_file_of_a_secret_can_be_read_again(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("one\n")
    first = written(tmp_path, "key: {$file: key}\n").key
    assert isinstance(first, Secret)
    (tmp_path / "key").write_text("two\n")
    again = rereader(first)
    assert again is not None
    assert (first.origin, again()) == ("$file: key", "two")
    (tmp_path / "key").unlink()
    with pytest.raises(OSError, match="key"):
        again()
    second = read({"key": {"$env": "KEY"}}).key
    assert isinstance(second, Secret)
    assert rereader(second) is None


def test_the_variables_of_secrets_are_known_wherever_they_stand() -> None:
    config: dict[str, Any] = {"a": [{"b": {"$env": "ONE"}}], "c": {"$env": "TWO"}, "d": {"$file": "f"}, "$env": 5}
    config["itself"] = config
    assert variables_of(config) == {"ONE", "TWO"}


def test_the_contract_loads_neither_the_machine_nor_its_libraries() -> None:
    program = "import sys, scaleset_hookspecs, scaleset_hookspecs.host; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert "scaleset_hookspecs.host.manager" in loaded
    assert not {"pydantic", "yaml", "scaleset_hookspecs.configuration", "scaleset_client"} & set(loaded)
