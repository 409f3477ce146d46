"""What the metadata of every chapter's cells must say, so that its page can be read."""

import ast
import re

import nbformat
import pytest
from toy_chapters import ROOT

CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def cells(path):
    return nbformat.read(path, as_version=4).cells


def code_cells(path):
    return [cell for cell in cells(path) if cell.cell_type == "code"]


def tags(cell):
    return cell.metadata.get("tags", [])


def shows(cell, form):
    """The outputs of a cell that have a form, such as image/png."""
    return [output.data[form] for output in cell.outputs if form in output.get("data", {})]


@each_chapter
def test_every_picture_has_a_caption_and_a_text_for_those_who_cannot_see_it(path):
    for cell in code_cells(path):
        if shows(cell, "image/png"):
            about = cell.metadata.get("mystnb", {})
            assert about.get("figure", {}).get("caption", "").endswith("."), cell.source
            assert about.get("image", {}).get("alt"), cell.source


@each_chapter
def test_every_table_has_a_caption_or_a_title(path):
    for cell in code_cells(path):
        for shown in shows(cell, "text/html"):
            caption = cell.metadata.get("table", {}).get("caption")
            assert caption or "<caption>" in shown, cell.source
            assert caption is None or caption.endswith("."), caption


def test_no_two_figures_or_tables_have_the_same_name():
    found = [
        about["name"]
        for path in CHAPTERS
        for cell in code_cells(path)
        for about in (cell.metadata.get("mystnb", {}).get("figure", {}), cell.metadata.get("table", {}))
        if "name" in about
    ]
    assert len(found) == len(set(found))
    assert all(re.fullmatch(r"(fig|tab)-[a-z-]+", name) for name in found)


@each_chapter
def test_what_the_reader_is_to_predict_is_hidden_until_they_ask(path):
    predicted = False
    for cell in cells(path):
        if cell.cell_type == "markdown":
            *_, last = re.split(r"^#", cell.source, flags=re.M)  # a heading ends what is predicted
            predicted = "predict, then run" in last.lower()
        elif cell.outputs:
            assert ("hide-output" in tags(cell)) == predicted, cell.source


@each_chapter
def test_imports_set_up_and_claims_are_folded(path):
    for cell in code_cells(path):
        statements = ast.parse(cell.source).body
        only_imports = all(isinstance(statement, ast.Import | ast.ImportFrom) for statement in statements)
        claims = re.search(r"\bclaims\.(save|true|at_least|at_most)\(", cell.source)
        set_up = "use_style()" in cell.source or "parameters" in tags(cell) or "SOURCES" in cell.source
        if only_imports or claims or set_up:
            assert "hide-input" in tags(cell), cell.source


@each_chapter
def test_plots_are_folded(path):
    for cell in code_cells(path):
        if shows(cell, "image/png"):
            assert "hide-input" in tags(cell), cell.source


@each_chapter
def test_readers_see_the_method_and_their_own_cells(path):
    code = code_cells(path)
    assert sum("hide-input" not in tags(cell) for cell in code) >= 4
    for cell in code:
        if cell.source.startswith("answer = "):
            assert "hide-input" not in tags(cell), cell.source
