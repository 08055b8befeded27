"""The rooms of minting hold one another; nothing is handed in as a callback, or set from outside afterwards."""

import ast
from pathlib import Path

import pytest

from scaleset_burst import minting, sharing

MODULES = sorted(path for room in (minting, sharing) for path in Path(room.__path__[0]).glob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_a_constructor_takes_few_things_and_no_callback(module: Path) -> None:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            given = [*node.args.args, *node.args.kwonlyargs][1:]
            assert "Callable" not in "".join(ast.unparse(each.annotation) for each in given if each.annotation)
            if module.parent.name == "minting":
                assert len(given) <= 7


@pytest.mark.parametrize("module", MODULES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_no_room_sets_a_hook_of_another(module: Path) -> None:
    for node in ast.walk(ast.parse(module.read_text())):
        for target in node.targets if isinstance(node, ast.Assign) else ():
            if isinstance(target, ast.Attribute) and ast.unparse(target.value) != "self":
                assert not target.attr.startswith("on_"), f"line {target.lineno}"
