"""Which code shapes a model: the module its recipe names, and whatever that imports from the rooms that shape models.

An edit to a file that takes no part in a model leaves the model's name as it is, so that a new loss for encoders
costs nobody the victims of the other chapters.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
ROOMS = ("data", "models", "losses", "training")
# Files there that decide where data and models are kept, not what is in them; data go into the name themselves.
NOT_SHAPING = ("data/sources.py", "training/store.py", "training/shaping_code.py")


@cache
def sources() -> dict[str, str]:
    """The package's code as this process runs it, by path: read once, when this file is imported.

    A file that is edited later does not change what the process does, so it must not change the names of the
    models it makes.
    """
    return {
        path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(PACKAGE.rglob("*.py"))
    }


@cache
def code_digest(module: str = "") -> str:
    """Hash of the code that shapes the models of a module.

    The files' syntax trees without docstrings are hashed, so that a comment or a sentence changes nothing.

    Args:
        module: dotted name, such as "mea_lib.watermarks.patch"; without one all files of the rooms count.

    Raises:
        ValueError: for a module that there is not.
    """
    digest = hashlib.sha256()
    for name in sorted(shaping_files(module)):
        digest.update(f"{name}\n{_without_docstrings(sources()[name])}\n".encode())
    return digest.hexdigest()


def shaping_files(module: str = "") -> set[str]:
    """Paths, within the package, of the files whose code shapes the models of a module.

    Followed are the imports, from file to file, into the rooms data, models, losses and training and into the
    module's own folder. A name that a room's `__init__` only passes on leads to the file that defines it.
    """
    if not module:
        return {name for name in sources() if _room(name) in ROOMS and name not in NOT_SHAPING}
    own = _path(module)
    if f"{own}.py" not in sources():
        raise ValueError(f"the recipe names the module {module!r}, which is not in {PACKAGE}")
    rooms = {*ROOMS, _room(f"{own}.py")}
    found, waiting = set(), [f"{own}.py"]
    while waiting:
        name = waiting.pop()
        if name not in found and name not in NOT_SHAPING and _room(name) in rooms:
            found.add(name)
            waiting += _imports(name)
    return found


def _imports(name: str) -> Iterator[str]:
    """Paths of the package's files in which what this file imports is defined."""
    for node in ast.walk(_tree(name)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE.name:
            for alias in node.names:
                yield _defined_in(_path(node.module), alias.name)


def _defined_in(place: str, name: str) -> str:
    """The file in which `from place import name` finds the name."""
    if f"{place}.py" in sources():
        return f"{place}.py"
    if f"{place}/{name}.py" in sources():
        return f"{place}/{name}.py"
    for node in _tree(f"{place}/__init__.py").body:
        if isinstance(node, ast.ImportFrom) and any(name == (a.asname or a.name) for a in node.names):
            return _defined_in(_path(node.module), name)
    return f"{place}/__init__.py"


def _path(module: str) -> str:
    return module.removeprefix(f"{PACKAGE.name}.").replace(".", "/")


def _room(name: str) -> str:
    return name.split("/")[0]


@cache
def _tree(name: str) -> ast.Module:
    return ast.parse(sources()[name])


def _without_docstrings(text: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            if isinstance(body[0].value, ast.Constant) and isinstance(body[0].value.value, str):
                body.pop(0)
    return ast.dump(tree)


sources()
