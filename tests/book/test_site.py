"""The pages around the chapters."""

import re
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import site_pages
import yaml
from one_page import pages_in_order
from site_pages import stage_pages
from toy_chapters import ROOT
from toy_chapters import STORED_CLAIM as CLAIM


def test_the_site_is_made_from_a_copy(tmp_path):
    executed = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("executed")])
    stage = stage_pages(ROOT, tmp_path / "stage", [CLAIM], {"00_steal": executed})
    assert nbformat.read(stage / "notebooks" / "00_steal.ipynb", as_version=4) == executed
    assert "✓ holds" in (stage / "book" / "claims.md").read_text()
    assert "✓ holds" not in (ROOT / "book" / "claims.md").read_text()
    for page in (stage / "book").glob("*.md"):
        assert "<!--" not in page.read_text(), page.name
    footer = yaml.safe_load((stage / "_config.yml").read_text())["sphinx"]["config"]["html_theme_options"]
    assert footer["extra_footer"].startswith('<p class="edition">Version ')
    assert {path.name for path in stage.iterdir()} == {"_config.yml", "book", "notebooks"}
    assert {"_toc.yml", "references.bib", "_static"} <= {path.name for path in (stage / "book").iterdir()}
    assert {path.parent.name for path in stage.rglob("*.py")} == {"_ext"}


@pytest.mark.parametrize("has_errors", [False, True])
def test_the_pages_are_replaced_when_the_new_ones_are_complete(tmp_path, monkeypatch, has_errors):
    def builder(command, **_):
        made = Path(command[command.index("--path-output") + 1]) / "_build" / "html"
        made.mkdir(parents=True)
        (made / "index.html").write_text("new")
        assert (tmp_path / "html" / "index.html").read_text() == "old"
        return SimpleNamespace(returncode=int(has_errors), stdout="", stderr="")

    for folder in ("html", "html.1", "rendering.1"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "index.html").write_text("old")
    monkeypatch.setattr(site_pages.subprocess, "run", builder)
    index = site_pages.render(ROOT, tmp_path, [], {})
    assert (tmp_path / "html" / "index.html").read_text() == ("old" if has_errors else "new")
    assert (index is None) == has_errors
    assert not (tmp_path / "html.1").exists()
    assert not (tmp_path / "rendering.1").exists()


def toc_files():
    return pages_in_order(yaml.safe_load((ROOT / "book" / "_toc.yml").read_text()))


def test_the_toc_names_every_chapter_in_order():
    chapters = [name for name in toc_files() if name.startswith("notebooks/")]
    assert chapters == sorted(f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("page", [name for name in toc_files() if name.startswith("book/")])
def test_every_page_exists(page):
    assert (ROOT / f"{page}.md").stat().st_size > 20


def test_every_citation_has_an_entry():
    entries = set(re.findall(r"@\w+\{([\w-]+),", (ROOT / "book" / "references.bib").read_text()))
    texts = [path.read_text() for folder in ("book", "notebooks") for path in (ROOT / folder).glob("*.[mi]*")]
    cited = {
        key
        for text in texts
        for keys in re.findall(r"\{cite(?::t)?\}`([^`]+)`", text)
        for key in keys.split(",")
    }
    assert cited
    assert cited <= entries
