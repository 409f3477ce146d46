"""What a chapter depends on, as hashes: its cells, the package's code that takes part, the studies it shows."""

import hashlib
import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

import nbformat

# Found without importing it, which would load PyTorch into a process that only starts others.
PACKAGE = Path(importlib.util.find_spec("mea_lib").origin).parent


def cells_digest(notebook: nbformat.NotebookNode) -> str:
    """Hash of the code in a notebook's cells, which its stored outputs must belong to."""
    cells = "\0".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return hashlib.sha256(cells.encode()).hexdigest()[:16]


def code_digest(notebook: nbformat.NotebookNode) -> str:
    """Hash of the code in a notebook's cells and of the package's code that takes part in them."""
    both = cells_digest(notebook) + _package_digest(notebook)
    return hashlib.sha256(both.encode()).hexdigest()[:16]


def chapter_digest(path: Path, scale: str, work: Path) -> str:
    """Hash of everything an executed copy depends on: the cells' code, the package's, the scale, the studies shown.

    The text between is not among it: pages take it from the notebook as it is.

    Args:
        path: of the notebook.
        scale: its name.
        work: the folder in which the chapter runs.
    """
    notebook = nbformat.read(path, as_version=4)
    digest = hashlib.sha256((code_digest(notebook) + scale).encode())
    for study in _studies(notebook, work):
        digest.update(study.read_bytes())
    return digest.hexdigest()


def code_of(notebook: nbformat.NotebookNode) -> str:
    """The code of a notebook's cells, one after the other."""
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")


def _package_digest(notebook: nbformat.NotebookNode) -> str:
    return _shaping_code(PACKAGE / "shaping_code.py").chapter_code_digest(code_of(notebook))


@cache
def _shaping_code(file: Path) -> ModuleType:
    """The package's notion of "the code", loaded by its path for the same reason as PACKAGE is found."""
    spec = importlib.util.spec_from_file_location("shaping_code", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _studies(notebook: nbformat.NotebookNode, work: Path) -> list[Path]:
    """The results that the code names, in all folders where `find_results` looks when it runs in `work`."""
    code = code_of(notebook)
    found = (file for folder in work.resolve().parents for file in sorted(folder.glob("results/*.json")))
    return [file for file in found if f'"{file.stem}"' in code]
