"""The package as its readers find it: imports that point one way, documented names, short signatures."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mea_lib"


def lint_imports(folder):
    """import-linter on the contract and the package in this folder."""
    words = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def copied(tmp_path):
    """The contract and the package, to be broken."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(PACKAGE, tmp_path / "mea_lib", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_imports_point_one_way():
    found = lint_imports(ROOT)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("data/images.py", "def late():\n    from mea_lib.proof import accuracy"),
        ("training/loop.py", "from mea_lib import Oracle"),
        ("watermarks/base.py", "import mea_lib.blackbox.oracle"),
        ("attic/__init__.py", "import mea_lib.scale"),
    ],
    ids=["upwards in a function", "the whole package", "beside", "a room that is in no layer"],
)
def test_an_import_that_points_elsewhere_is_found(copied, file, line):
    path = copied / "mea_lib" / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{path.read_text() if path.exists() else ''}\n{line}\n")
    found = lint_imports(copied)
    assert found.returncode == 1
    assert path.parent.name in found.stdout


def test_every_public_function_and_class_is_documented():
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree), path
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path.name}: {node.name}"


# The core is all that is not a program on it.
PROGRAMS = ("serving", "arena", "teaching", "cli")
MOST_PARAMETERS = 7


def signatures(path):
    """Name and number of parameters, but for self and cls, of every function and method in a file."""
    tree = ast.parse(path.read_text())
    methods = {
        function
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for function in node.body
        if isinstance(function, ast.FunctionDef)
        and "staticmethod" not in map(ast.unparse, function.decorator_list)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = node.args
            all_kinds = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
            yield node.name, sum(one is not None for one in all_kinds) - (node in methods)


def test_no_signature_of_the_core_is_long():
    core = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in PROGRAMS]
    counted = [
        (f"{path.relative_to(PACKAGE).as_posix()} {name}", number)
        for path in core
        for name, number in signatures(path)
    ]
    assert len(counted) > 500
    assert {where: number for where, number in counted if number > MOST_PARAMETERS} == {}


def test_a_method_is_read_on_one_screen_or_two():
    assert len((PACKAGE / "extraction" / "distillation.py").read_text().splitlines()) <= 70
