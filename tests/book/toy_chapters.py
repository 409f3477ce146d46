"""Chapters of a few lines, and the driver run on them as a user runs it."""

import os
import subprocess
import sys
import time
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
# The same file written by hand, for the tests that look at the driver alone.
PLAIN_CLAIM = """
import json, pathlib
claim = dict(id="00-one", chapter={chapter!r}, claim="One is enough", paper="–", measured="{value}",
             rule="at least 0.5", holds={value} >= 0.5, scale=SCALE)
folder = pathlib.Path(os.environ["MEA_CLAIMS_DIR"])
folder.mkdir(parents=True, exist_ok=True)
(folder / ({chapter!r} + ".json")).write_text(json.dumps([claim]))
"""
# One claim as claims.json has it.
STORED_CLAIM = {
    "id": "00-a",
    "chapter": "00_steal",
    "claim": "A < B",
    "paper": "–",
    "measured": "0.5",
    "rule": "at least 0.4",
    "holds": True,
    "scale": "laptop",
}


def chapter(folder, name, *cells, **mea):
    """Write a notebook of these code cells, with `mea` as its metadata of that name."""
    folder.mkdir(exist_ok=True)
    parameters = nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell(f"# {name}"),
            parameters,
            *map(nbformat.v4.new_code_cell, cells),
        ],
        metadata=metadata | ({"mea": mea} if mea else {}),
    )
    nbformat.write(notebook, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def command(tmp_path, *options, scale="laptop"):
    """The driver's command line for the notebooks in `tmp_path`."""
    words = [sys.executable, str(DRIVER), "--scale", scale, "--no-site"]
    return [*words, "--notebooks", str(tmp_path / "notebooks"), "--out", str(tmp_path / "out"), *options]


def drive(tmp_path, *options, scale="laptop", cwd=ROOT, **variables):
    """Run the driver to its end."""
    return subprocess.run(
        command(tmp_path, *options, scale=scale),
        capture_output=True,
        text=True,
        env=os.environ | variables,
        cwd=cwd,
        check=False,
        timeout=300,
    )


def wait_for(condition, seconds=60):
    """Whether `condition()` comes true in time."""
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.1)
    return bool(condition())
