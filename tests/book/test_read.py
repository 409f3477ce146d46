"""The book rendered from its stored outputs, as `make read` does it."""

import subprocess
import sys

import nbformat
import pytest
from read_book import stored_claims
from toy_chapters import ROOT, chapter

CLAIM = {"id": "00-a", "chapter": "00_a", "claim": "so it is", "paper": "–", "measured": "0.5"}
CLAIM |= {"rule": "at least 0.4", "holds": True, "scale": "laptop"}


def test_claims_come_from_the_notebooks(tmp_path):
    paths = [chapter(tmp_path, "00_a", claims=[CLAIM]), chapter(tmp_path, "01_b")]
    assert stored_claims(nbformat.read(path, as_version=4) for path in paths) == [CLAIM]


def test_it_needs_none_of_the_packages_that_run_chapters():
    forbidden = ("torch", "papermill", "psutil", "mea_lib", "numpy")
    look = f"import sys, read_book; print(*set({forbidden}) & set(sys.modules))"
    words = [sys.executable, "-c", look]
    found = subprocess.run(words, cwd=ROOT / "book", capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, "\n", "")


def test_a_folder_without_notebooks_is_said(tmp_path):
    words = [sys.executable, str(ROOT / "book" / "read_book.py"), "--notebooks", str(tmp_path)]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert found.stderr == f"there is no notebook in {tmp_path}; name the folder of the chapters\n"


@pytest.mark.chapters
def test_every_page_renders_without_a_warning_and_shows_its_outputs(tmp_path):
    words = [sys.executable, str(ROOT / "book" / "read_book.py"), "--out", str(tmp_path)]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert f"The book is at {tmp_path / 'html' / 'index.html'}\n" in found.stdout
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert "measured here" in (tmp_path / "html" / "notebooks" / f"{path.stem}.html").read_text()
