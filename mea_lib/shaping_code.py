"""Which code takes part in a model, a chapter or a study, and a hash of it: the one notion of "the code".

The code is the syntax trees, without docstrings, of the files that take part. An edit to a comment, to a sentence or
to another file leaves every name as it is, so that a new loss for encoders costs nobody the victims of the other
chapters. Needs the standard library only, so that what runs the chapters can load it by its path, without torch.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
# The rooms whose code can shape a model.
ROOMS = ("data", "models", "losses", "training")
# Files of `data` that find images and read them in; the images go into a model's name themselves.
LOADERS = (
    "__main__",
    "cache",
    "class_order",
    "debian",
    "decode",
    "decoded",
    "download",
    "fashion_files",
    "fetch",
    "find_images",
    "folders",
    "known",
    "parties",
    "reachable",
    "reading",
    "sources",
)
# Files of those rooms that decide where data and models are kept and how they are named, not what is in them.
NAMING = ("store", "method", "plain", "own_code", "checkpoint")
NOT_SHAPING = {*(f"training/{name}.py" for name in NAMING), *(f"data/{loader}.py" for loader in LOADERS)}
THIS_FILE = Path(__file__).name  # gives names to what others do, and does nothing of it


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
    """Hash of the code that shapes the models of a module, in hexadecimal.

    Args:
        module: dotted name, such as "mea_lib.watermarks.patch"; without one all files of the rooms count.

    Raises:
        ValueError: for a module that there is not.
    """
    return _digest(shaping_files(module))


@cache
def chapter_code_digest(code: str) -> str:
    """Hash of the package's code that takes part in a chapter, in hexadecimal; its own cells are not in it.

    Args:
        code: of its cells, one after the other.
    """
    return _digest(chapter_files(code))


def study_code_digest(files: Iterable[Path]) -> str:
    """Hash of the code that takes part in a study, in hexadecimal: its files, what they import, and the package's.

    Args:
        files: of the study; imports from their own folder are followed too.

    Raises:
        OSError: for a file that there is not.
    """
    by_path, waiting = {}, [Path(file).resolve() for file in files]
    while waiting:
        path = waiting.pop()
        if path not in by_path:
            by_path[path] = _study_file(path)
            waiting += _neighbours(path, by_path[path])
    taking_part = set().union(*(chapter_files(text) for text in by_path.values()))
    texts = {f"{path.parent.name}/{path.name}": text for path, text in by_path.items()}
    return hashlib.sha256(f"{_digest_of(texts)}{_digest(taking_part)}".encode()).hexdigest()


def shaping_files(module: str = "") -> set[str]:
    """Paths, within the package, of the files whose code shapes the models of a module.

    Followed are the imports, from file to file, into the rooms data, models, losses and training and into the
    module's own folder. A name that a room's `__init__` only passes on leads to the file that defines it.
    """
    if not module:
        return {name for name in sources() if _room(name) in ROOMS and name not in NOT_SHAPING}
    first = _path(module)
    first = f"{first}/__init__.py" if _is_room(first) else f"{first}.py"
    if first not in sources():
        raise ValueError(f"the recipe names the module {module!r}, which is not in {PACKAGE}")
    rooms = {*ROOMS, _room(first)}
    taking_part, waiting = set(), [first]
    while waiting:
        name = waiting.pop()
        if name not in taking_part and name not in NOT_SHAPING and _room(name) in rooms:
            taking_part.add(name)
            waiting += _imports(name)
    return taking_part


def chapter_files(code: str) -> set[str]:
    """Paths, within the package, of the files that take part where this code runs.

    Followed are the code's imports, what it reaches as `mea.room.name` and the modules it names in strings, then
    the imports from file to file through all rooms. Where something can't be followed, every file takes part.
    """
    try:
        taking_part, waiting = set(), sorted(_used_by(ast.parse(code)))
        while waiting:
            name = waiting.pop()
            if name not in taking_part and name != THIS_FILE:
                taking_part.add(name)
                waiting += _followed(name)
    except (_Unknown, SyntaxError):
        return set(sources()) - {THIS_FILE}
    return taking_part


class _Unknown(Exception):
    """A name that this file can't lead to the code behind it."""


@cache
def _followed(name: str) -> list[str]:
    """Files that take part with this one: those it imports, and all beside it where it imports by a made-up name."""
    calls = (node for node in ast.walk(_tree(name)) if isinstance(node, ast.Call))
    makes_up = any(ast.unparse(call.func).split(".")[-1] in ("import_module", "__import__") for call in calls)
    return sorted({*_used_by(_tree(name)), *(_beside(name) if makes_up else ())})


def _used_by(tree: ast.Module) -> set[str]:
    """Files in which what this code takes from the package is defined.

    Raises:
        _Unknown: for something that is not found.
    """
    bound: dict[str, str] = {}  # local names of the package and of its rooms
    files: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if _is_ours(alias.name):
                    bound[alias.asname or PACKAGE.name] = _path(alias.name) if alias.asname else ""
                    files |= _at(_path(alias.name).split("/")) if "." in alias.name else set()
        elif isinstance(node, ast.ImportFrom) and (node.level or _is_ours(node.module)):
            if node.level:
                raise _Unknown(node.module)
            for alias in node.names:
                place = f"{_path(node.module)}/{alias.name}".strip("/")
                if _is_room(place):
                    bound[alias.asname or alias.name] = place
                else:
                    files |= _at(place.split("/"))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            files |= _named_in(node.value)
    for root, names in _chains(tree, set(bound)):
        files |= _at([*filter(None, bound[root].split("/")), *names])
    return files


def _chains(tree: ast.AST, roots: set[str]) -> Iterator[tuple[str, list[str]]]:
    """Every `root.name.name` of this code, whole: the root and the names after it."""
    if isinstance(tree, ast.Attribute | ast.Name):
        names, node = [], tree
        while isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name):
            if node.id in roots:
                yield node.id, names[::-1]
            return
    for child in ast.iter_child_nodes(tree):
        yield from _chains(child, roots)


def _named_in(text: str) -> set[str]:
    """Files of the modules that a string names by themselves, as in `python -m mea_lib.cli`, or imports as code."""
    if _is_ours(text) and text.replace(".", "").isidentifier() and "." in text:
        return _at(_path(text).split("/"))
    if "import" in text and PACKAGE.name in text:
        try:
            return _used_by(ast.parse(text))
        except SyntaxError:
            return set()  # a sentence
    return set()


def _at(names: list[str]) -> set[str]:
    """Files behind the names that follow the package: one, or all of a room that is taken as a whole."""
    place = ""
    for name in names:
        inside = f"{place}/{name}".strip("/")
        if f"{inside}.py" in sources():
            return {f"{inside}.py"} | _bound_in(place, name)
        if not _is_room(inside):
            return _bound_in(place, name) or _late(place, name)
        place = inside
    if not place:
        raise _Unknown(PACKAGE.name)
    return _beside(f"{place}/__init__.py")


def _bound_in(place: str, name: str) -> set[str]:
    """The file that defines a name of a room's, or of the package's, `__init__`; empty where it binds none."""
    init = f"{place}/__init__.py".strip("/")
    for node in ast.walk(_tree(init)):
        if isinstance(node, ast.ImportFrom) and any(name == (a.asname or a.name) for a in node.names):
            if not _is_ours(node.module):
                return {init}
            original = next(a.name for a in node.names if name == (a.asname or a.name))
            module = _path(node.module)
            if f"{module}.py" in sources():
                return {f"{module}.py"}
            inside = f"{module}/{original}".strip("/")
            return _at(inside.split("/")) if inside != f"{place}/{name}".strip("/") else set()
    defined = {node.name for node in _tree(init).body if hasattr(node, "name")}
    defined |= {node.id for node in ast.walk(_tree(init)) if isinstance(node, ast.Name) and _is_stored(node)}
    return {init} if name in defined else set()


def _late(place: str, name: str) -> set[str]:
    """All files of a room whose `__init__` finds names when they are first used."""
    init = f"{place}/__init__.py".strip("/")
    if place and any(
        isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in _tree(init).body
    ):
        return _beside(init)
    raise _Unknown(name)


def _imports(name: str) -> Iterator[str]:
    """Paths of the package's files in which what this file imports is defined."""
    for node in ast.walk(_tree(name)):
        if isinstance(node, ast.ImportFrom) and _is_ours(node.module):
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


def _neighbours(path: Path, text: str) -> Iterator[Path]:
    """Files of the same folder that this file imports."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == path.parent.name:
            names = [*node.module.split(".")[1:2]] or [alias.name for alias in node.names]
            yield from (path.parent / f"{name}.py" for name in names)


@cache
def _study_file(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _beside(name: str) -> set[str]:
    """All files of this one's folder."""
    folder = name.rpartition("/")[0]
    return {other for other in sources() if other.rpartition("/")[0] == folder}


def _is_room(place: str) -> bool:
    return f"{place}/__init__.py" in sources()


def _is_ours(module: str | None) -> bool:
    return (module or "").split(".")[0] == PACKAGE.name


def _is_stored(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def _path(module: str) -> str:
    """A module's place within the package; empty for the package itself."""
    return module.removeprefix(PACKAGE.name).removeprefix(".").replace(".", "/")


def _room(name: str) -> str:
    return name.split("/")[0]


@cache
def _tree(name: str) -> ast.Module:
    return ast.parse(sources()[name])


def _digest(names: Iterable[str]) -> str:
    return _digest_of({name: sources()[name] for name in names})


def _digest_of(texts: dict[str, str]) -> str:
    """Hash of these files' syntax trees without docstrings, by name."""
    digest = hashlib.sha256()
    for name, text in sorted(texts.items()):
        digest.update(f"{name}\n{_without_docstrings(text)}\n".encode())
    return digest.hexdigest()


@cache
def _without_docstrings(text: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            if isinstance(body[0].value, ast.Constant) and isinstance(body[0].value.value, str):
                body.pop(0)
    return ast.dump(tree)


sources()
