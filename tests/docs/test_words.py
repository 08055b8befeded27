"""The words of the house: a private one is the name of nothing (docs/reference/glossary.md has those we use)."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRIVATE = {
    "lane", "gate", "allowance", "purse", "stray", "orphan", "overtake", "doubt", "succession", "heir", "heart", "beat",
    "upkeep", "fate", "verdict", "tally", "roster",
}  # fmt: skip


def names(tree: ast.AST) -> Iterator[str]:
    """Yield every name that a module gives, or uses."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.arg | ast.keyword) and node.arg is not None:
            yield node.arg


def words(name: str) -> set[str]:
    """Return the words of a name, in the singular."""
    return {word.lower().removesuffix("s") for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def test_no_private_word_is_a_name() -> None:
    found = set()
    for path in (*ROOT.glob("plugin/**/*.py"), *ROOT.glob("hookspecs/**/*.py"), *ROOT.glob("examples/**/*.py")):
        given = {path.stem, path.parent.name, *names(ast.parse(path.read_text()))}
        found |= {f"{path.relative_to(ROOT)}: {name}" for name in given if words(name) & PRIVATE}
    assert not found


def test_the_words_of_the_glossary_stand_there_once() -> None:
    lines = (ROOT / "docs/reference/glossary.md").read_text().splitlines()
    entries = [line.split("|")[1].strip() for line in lines if line.startswith("| ") and not line.startswith("| ---")]
    assert len(entries) == len(set(entries)) > 30


def test_the_way_of_a_mint_names_what_there_is() -> None:
    text = (ROOT / "docs/explanation/the-way-of-a-mint.md").read_text()
    named = set(re.findall(r"`(scaleset_\w+(?:\.\w+)+)`", text))
    assert len(named) > 20
    for name in named:
        parts = name.split(".")
        modules = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
        module = next(each for each in modules if exists(each))
        thing: object = importlib.import_module(module)
        for attribute in parts[module.count(".") + 1 :]:
            thing = getattr(thing, attribute)


def exists(module: str) -> bool:
    """Whether a module of that name can be imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
