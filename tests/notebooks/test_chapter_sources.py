"""The chapters as they are committed: how they are made, and that their outputs belong to their code."""

import ast
import importlib
import re
import sys
from pathlib import Path

import nbformat
import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent.parent / "book")]

from digests import cells_digest  # noqa: E402
from running import CHAPTERS, NAMES  # noqa: E402
from setup_cell import setup_cell  # noqa: E402

from mea_lib.teaching.answers import choice_digest  # noqa: E402


def code_cells(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_the_first_cells_are_the_same_everywhere(path):
    cells = code_cells(path)
    assert cells[0].source == setup_cell()
    assert "parameters" in cells[1].metadata.tags
    assert 'os.environ.get("MEA_SCALE", "laptop")' in cells[1].source


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_a_chapter_has_its_parts(path):
    text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
    for words in (
        "After this chapter you can",
        "Predict, then run",
        "claims.save()",
        "{exercise}",
        "{solution}",
    ):
        assert words in text, words
    assert f'Claims("{path.stem}", scale)' in text


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_cells_fit_a_screen_and_pictures_have_alt_texts(path):
    for cell in code_cells(path):
        assert cell.source.count("\n") < 45
        draws = any(output.get("data", {}).get("image/png") for output in cell.outputs)
        if draws:
            assert cell.metadata["mystnb"]["image"]["alt"]


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_cells_have_ids_of_their_own(path):
    ids = [cell.id for cell in nbformat.read(path, as_version=4).cells]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_what_a_chapter_takes_from_the_package_is_there(path):
    tree = ast.parse("\n".join(cell.source for cell in code_cells(path)))
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    for node in imported:
        if node.module.split(".")[0] != "mea_lib":
            continue
        room = importlib.import_module(node.module)
        for alias in node.names:
            if not hasattr(room, alias.name):
                importlib.import_module(f"{node.module}.{alias.name}")
    rooms = {"mea": "mea_lib", "proof": "mea_lib.proof"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in rooms:
            assert hasattr(importlib.import_module(rooms[node.value.id]), node.attr), node.attr


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_stored_outputs_belong_to_the_code(path):
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata["mea"].get("outputs_of") == cells_digest(notebook), "run: make refresh"
    assert any(cell.outputs for cell in notebook.cells if cell.cell_type == "code")
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error"
            assert output.get("name") != "stderr", "a warning or a log reached a stored output"
            assert len(str(output.get("text", "")).splitlines()) < 45


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_the_letter_of_a_solution_is_the_one_that_the_check_takes(path):
    text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
    checked = re.findall(r'check_choice\(\s*"([^"]+)",\s*answer,\s*"([^"]+)"', text)
    assert len(checked) == text.count("check_choice(")
    labels = re.findall(r"^:label: (ex-\S+)$", text, re.MULTILINE)
    assert len(set(labels)) == len(labels)
    for label, digest in checked:
        assert label in labels
        assert label.startswith(f"ex-{path.stem[:2]}-")
        (solution,) = re.findall(rf"\{{solution\}} {label}\n:class: dropdown\n(.*)", text)
        letter = re.match(r"\((\w)\)", solution)
        assert letter, solution
        assert choice_digest(label, letter[1]) == digest


def prose(notebook):
    """The words that a reader reads on the way: no formulas, no code, no exercises and their solutions."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    text = re.sub(r"^(`{3,}).*?^\1\s*$", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"\$\$.*?\$\$|\$[^$]+\$", " ", text, flags=re.DOTALL)
    text = re.sub(r"\{cite[:t]*\}`[^`]*`|\]\([^)]*\)", " ", text)
    return re.findall(r"[^\W\d_][\w'’-]*", text)


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_a_chapter_is_read_in_one_sitting(path):
    assert len(prose(nbformat.read(path, as_version=4))) <= 2_000


def test_formulas_code_and_exercises_are_no_prose():
    cells = [
        nbformat.v4.new_markdown_cell("Two *words*, $x = y$ {cite}`a2020b`.\n\n$$\nz\n$$"),
        nbformat.v4.new_markdown_cell(
            "```{exercise}\n:label: ex\nMany words here.\n```\n\n[linked](page.md)"
        ),
        nbformat.v4.new_markdown_cell("````{solution} ex\n```python\ncode = 1\n```\nMore.\n````\nLast."),
        nbformat.v4.new_code_cell("no_prose = True"),
    ]
    assert prose(nbformat.v4.new_notebook(cells=cells)) == ["Two", "words", "linked", "Last"]


def overwritten(notebook):
    """Imported names that a cell gives another value: whoever uses the import further below gets that."""
    trees = [ast.parse(cell.source) for cell in notebook.cells if cell.cell_type == "code"]
    imported = {
        alias.asname or alias.name
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    statements = [one for tree in trees for one in tree.body]
    defined = {one.name for one in statements if isinstance(one, ast.FunctionDef)}
    outside = [one for one in statements if not isinstance(one, ast.FunctionDef | ast.ClassDef)]
    given = {
        node.id
        for one in outside
        for node in ast.walk(one)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    return imported & (given | defined)


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_no_cell_overwrites_what_a_chapter_imports(path):
    assert not overwritten(nbformat.read(path, as_version=4))


def test_an_overwritten_import_is_seen():
    cells = ["from a import column, spread", "row, column = 1, 2", "def spread(x):\n    column = x"]
    cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    assert overwritten(nbformat.v4.new_notebook(cells=cells)) == {"column", "spread"}
