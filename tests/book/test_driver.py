"""The driver of `make book` at its door: what it runs, keeps, reports and refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).parent.parent.parent
DRIVER = ROOT / "book" / "make_book.py"
PARAMETERS = 'import os\nSCALE = os.environ.get("MEA_SCALE", "laptop")'
CLAIM = """
import mea_lib as mea
from mea_lib.teaching import Claims
claims = Claims({chapter!r}, mea.preset(SCALE))
claims.at_least("one", "One is enough", {value}, 0.5)
claims.save()
"""


def chapter(folder, name, *cells):
    folder.mkdir(exist_ok=True)
    parameters = nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell(f"# {name}"),
            parameters,
            *map(nbformat.v4.new_code_cell, cells),
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, folder / f"{name}.ipynb")


def drive(tmp_path, *options, scale="laptop"):
    command = [sys.executable, str(DRIVER), "--scale", scale, "--no-site"]
    command += ["--notebooks", str(tmp_path / "notebooks"), "--out", str(tmp_path / "out"), *options]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False, timeout=300)


def test_claims_that_hold_end_with_zero_and_finished_chapters_are_kept(tmp_path):
    folder = tmp_path / "notebooks"
    chapter(folder, "00_good", CLAIM.format(chapter="00_good", value=0.7))
    first = drive(tmp_path)
    assert first.returncode == 0, first.stderr
    assert "00_good: done" in first.stdout
    written = json.loads((tmp_path / "out" / "claims.json").read_text())
    assert {"id", "chapter", "claim", "paper", "measured", "holds", "scale"} <= set(written[0])
    assert "00_good: unchanged, kept" in drive(tmp_path).stdout
    chapter(folder, "00_good", CLAIM.format(chapter="00_good", value=0.8))
    assert "00_good: done" in drive(tmp_path).stdout


def test_a_claim_that_does_not_hold_is_named(tmp_path):
    chapter(tmp_path / "notebooks", "00_bad", CLAIM.format(chapter="00_bad", value=0.2))
    found = drive(tmp_path)
    assert found.returncode == 1
    assert "does not hold: 00-one: One is enough (measured 0.200, rule: at least 0.5)" in found.stderr
    assert drive(tmp_path, scale="smoke").returncode == 0


def test_a_chapter_that_fails_is_named_and_the_others_are_kept(tmp_path):
    folder = tmp_path / "notebooks"
    chapter(folder, "00_good", CLAIM.format(chapter="00_good", value=0.7))
    chapter(folder, "01_broken", "raise ValueError('this is the reason')")
    found = drive(tmp_path)
    assert found.returncode == 1
    assert "failed: chapter 01_broken" in found.stderr
    assert "this is the reason" in found.stderr
    assert (tmp_path / "out" / "notebooks" / "00_good.ipynb").exists()
    assert not (tmp_path / "out" / "notebooks" / "01_broken.ipynb").exists()


def test_refresh_stores_outputs_with_the_code_they_belong_to(tmp_path):
    folder = tmp_path / "notebooks"
    chapter(folder, "00_good", CLAIM.format(chapter="00_good", value=0.7), "print(SCALE, 6 * 7)")
    assert drive(tmp_path, "--refresh").returncode == 0
    kept = nbformat.read(folder / "00_good.ipynb", as_version=4)
    assert kept.cells[-1].outputs[0].text == "laptop 42\n"
    assert len(kept.cells) == 4
    assert len(kept.metadata["mea"]["outputs_of"]) == 16


def test_no_chapter_of_that_name(tmp_path):
    (tmp_path / "notebooks").mkdir()
    found = drive(tmp_path, "--only", "77")
    assert found.returncode == 1
    assert "'77'" in found.stderr
