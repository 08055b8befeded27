"""What pyproject.toml allows is what is tested: the lowest versions, and each Python that it names."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = DECLARED["project"]


def pinned(name: str) -> dict[str, str]:
    """Return each package's version in a file of constraints."""
    lines = (ROOT / "constraints" / name).read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    return {canonical(package): version for package, version in pins.items()}


def canonical(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def bounds() -> dict[str, str]:
    """Return the lowest version that is allowed of everything that we or our tests import."""
    extras = PROJECT["optional-dependencies"]
    required = [*PROJECT["dependencies"], *(each for name in extras if name != "dev" for each in extras[name])]
    found = (re.match(r"([\w.-]+)(?:\[\w+\])?>=([\w.]+)", each) for each in required)
    return {canonical(each[1]): each[2] for each in found if each}


def numbers(version: str) -> list[int]:
    parts = [int(part) for part in re.findall(r"\d+", version)]
    while parts and not parts[-1]:
        parts.pop()
    return parts


def test_the_lowest_versions_that_are_tested_are_the_lowest_that_are_allowed() -> None:
    lowest = pinned("lowest.txt")
    assert {package: numbers(lowest[package])[: len(numbers(bound))] for package, bound in bounds().items()} == {
        package: numbers(bound) for package, bound in bounds().items()
    }


@pytest.mark.parametrize("name", ["all.txt", "lowest.txt"])
def test_everything_is_pinned_to_one_version(name: str) -> None:
    text = (ROOT / "constraints" / name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    assert bounds().keys() <= pinned(name).keys()


def test_each_python_that_is_named_is_one_that_is_tested() -> None:
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert [f"py{each.replace('.', '')}" for each in named] == DECLARED["tool"]["tox"]["env_list"]
    assert PROJECT["requires-python"] == f">={named[0]}"
