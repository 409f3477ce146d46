"""A hash of code from outside the package, such as a method that a notebook defines: other code, another model."""

import dis
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType, UnionType
from typing import Any

from mea_lib.shaping_code import code_digest
from mea_lib.training.plain import as_plain

PACKAGE = __name__.split(".")[0]
_FUNCTION = {staticmethod: "__func__", classmethod: "__func__", MethodType: "__func__"}
_FUNCTION |= {property: "fget", cached_property: "func"}


@dataclass(frozen=True)
class _Empty:
    """What it has every dataclass has, by no code of its own."""


def own_code_digest(*values: Any) -> str | None:
    """Hash of the code behind dataclasses, and lists and dicts of them, that is not the package's; None for none.

    Followed are methods, base classes and what their code names: the functions, classes and values of a notebook's
    other cells or of files that are not installed, and the package's code. It makes no difference where a file lies and
    what else is in it. The hash is the same in every run of one Python.

    Raises:
        TypeError: for code that names a value which could not be told from its like.
    """
    seen: set[Any] = set()
    texts = [text for value in values for text in _of_value(value, seen)]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest() if texts else None


def _of_value(value: Any, seen: set[Any]) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            yield from _of_value(one, seen)
    elif is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        if kind.__module__.split(".")[0] != PACKAGE:
            yield from _of_code(kind, kind.__module__.split(".")[0], seen)
        for one in fields(value):
            yield from _of_value(getattr(value, one.name), seen)


def _of_code(thing: Any, home: str, seen: set[Any]) -> Iterator[str]:
    """What a class or a function does and names; code of the top-level module `home` is followed though installed."""
    module = getattr(thing, "__module__", None) or home
    if thing in seen:
        return
    seen.add(thing)
    if module.split(".")[0] == PACKAGE:
        yield code_digest(module)
    elif module.split(".")[0] != home and _is_installed(module):
        return
    elif isinstance(thing, type):
        for base in thing.__bases__:
            yield from _of_code(base, home, seen)
        settings = {one.name for one in fields(thing)} if is_dataclass(thing) else set()
        for name, member in vars(thing).items():
            of_python = name.startswith("__") and not isinstance(member, FunctionType)
            if not of_python and name not in {*vars(_Empty), *settings, "_abc_impl"}:
                yield from _of_named(name, member, home, seen)
    elif isinstance(thing, FunctionType):
        yield _text(thing.__code__)
        defaults = [("default", value) for value in thing.__defaults__ or ()]
        cells = [cell.cell_contents for cell in thing.__closure__ or ()]
        closed = zip(thing.__code__.co_freevars, cells, strict=True)
        for name, value in (*_globals(thing), *closed, *defaults, *(thing.__kwdefaults__ or {}).items()):
            yield from _of_named(name, value, home, seen)


def _of_named(name: str, value: Any, home: str, seen: set[Any]) -> Iterator[str]:
    value = getattr(value, _FUNCTION.get(type(value), ""), value)
    value = value if isinstance(value, FunctionType) else getattr(value, "__wrapped__", value)
    if isinstance(value, ModuleType | UnionType):
        return
    yield name
    if hasattr(value, "__name__"):
        yield from _of_code(value, home, seen)
        return
    yield from _of_value(value, seen)
    try:
        yield json.dumps(as_plain(value))
    except TypeError as error:
        raise TypeError(f"the code of a method names {name!r}, and {error}") from error


def _globals(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """The globals that a function's code names, with their values; of a module, what is taken from it."""
    for code in _codes(function.__code__):
        value: Any = None
        for step in dis.get_instructions(code):
            if step.opname == "EXTENDED_ARG":
                continue
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and step.argval in function.__globals__:
                value = function.__globals__[step.argval]
            elif isinstance(value, ModuleType) and step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
                value = getattr(value, step.argval, None)
            else:
                value = None
                continue
            if not isinstance(value, ModuleType):
                yield step.argval, value


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A function's code, and that of the functions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _text(constant: Any) -> str:
    """A constant, or a whole function's code, in words that hang on no address and no order of a set."""
    if isinstance(constant, CodeType):
        names = (constant.co_names, constant.co_varnames, constant.co_freevars)
        return f"{constant.co_code.hex()}{names}{_text(constant.co_consts)}"
    if isinstance(constant, tuple | frozenset):
        parts = map(_text, constant)
        return f"{type(constant).__name__}{list(parts) if isinstance(constant, tuple) else sorted(parts)}"
    return repr(constant)


def _is_installed(module: str) -> bool:
    """Whether a module is Python's, or lies where pip installs."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return module.split(".")[0] in sys.stdlib_module_names
    folders = Path(file).parents
    return Path(dis.__file__).parent in folders or any(
        folder.name in ("site-packages", "dist-packages") for folder in folders
    )
