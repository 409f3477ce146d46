"""The package's rooms: what each may import, and that all that is public is documented."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "mea_lib"
# A room may import those in its own line of this list and in all lines above it.
ORDER = (
    ("files", "scale", "training_settings", "shaping_code", "data", "models", "losses"),
    ("model_files",),
    ("training",),
    ("watermarks", "blackbox"),
    ("defences",),
    ("extraction", "removal", "detection"),
    ("proof",),
    ("serving",),
    ("arena",),
    ("teaching", "cli"),
)
ROOMS = [room for level in ORDER for room in level]


def level(room):
    return next(number for number, rooms in enumerate(ORDER) if room in rooms)


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (name.split(".") for name in names if name and name.startswith("mea_lib"))


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_one_way(room):
    files = (
        [PACKAGE / f"{room}.py"] if (PACKAGE / f"{room}.py").exists() else list((PACKAGE / room).glob("*.py"))
    )
    assert files
    for path in files:
        for name in imports(path):
            assert len(name) > 1, f"{path.name} imports the whole package"
            assert level(name[1]) <= level(room), f"{path} imports {'.'.join(name)}"


def test_every_room_is_in_the_order():
    found = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert found | {path.stem for path in PACKAGE.glob("[!_]*.py")} == set(ROOMS)


def test_every_public_function_and_class_is_documented():
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree), path
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path.name}: {node.name}"
