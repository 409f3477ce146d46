"""The page about the package: its picture and list of rooms, the files a call goes through, and scripts that run."""

import os
import re
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
import rooms
import torch
from bs4 import BeautifulSoup
from site_pages import stage_pages
from toy_chapters import ROOT

import mea_lib as mea

PAGE = (ROOT / "book" / "package.md").read_text()
SCRIPTS = dict(re.findall(r"^### (?:A|An) ([a-z ]+)\n.*?^```python\n(.*?)^```", PAGE, re.M | re.S))
RATE = r"(\d\.\d+)"


def test_the_picture_is_that_of_the_contract():
    assert rooms.PICTURE.read_text() == rooms.picture(rooms.layers()), "run .venv/bin/python book/rooms.py"


def test_the_picture_shows_every_room_below_those_that_may_import_it():
    drawn = BeautifulSoup(rooms.picture([["cli"], ["data", "models"], ["scale"]]), "html.parser")
    heights = {text.string: float(text["y"]) for text in drawn.select(".rooms-name")}
    assert heights["cli"] < heights["data"] == heights["models"] < heights["scale"]
    boxes = [(float(box["x"]), float(box["width"])) for box in drawn.select("rect")]
    assert all(left >= rooms.LEFT and left + wide <= rooms.RIGHT + 0.1 for left, wide in boxes)
    assert set(drawn.svg["aria-labelledby"].split()) == {one["id"] for one in drawn.find_all(id=True)}


def test_the_readme_lists_the_rooms_as_their_docstrings_begin():
    readme = rooms.README.read_text()
    assert rooms.LIST.findall(readme) == [rooms.room_list(rooms.layers())], (
        "run .venv/bin/python book/rooms.py"
    )
    assert f"]({rooms.PICTURE.relative_to(ROOT).as_posix()})" in readme


def test_the_staged_page_has_the_list(tmp_path):
    page = stage_pages(ROOT, tmp_path / "stage", [], {}) / "book" / "package.md"
    assert rooms.room_list(rooms.layers()) in page.read_text()


def test_a_call_goes_through_the_files_on_the_page(tiny, digits, monkeypatch):
    step, found = torch.optim.AdamW.step, []

    def noted_step(*arguments, **options):
        files = [Path(frame.filename) for frame in traceback.extract_stack()]
        found.extend(file for file in files if "mea_lib" in file.parts)
        return step(*arguments, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", noted_step)
    scale = mea.preset("smoke").but(width=2)
    mea.extraction.Distillation().extract(mea.Oracle(tiny), digits.adversary.images[:64], scale)
    package = Path(mea.__file__).parent
    files = list(dict.fromkeys(file.relative_to(package).as_posix() for file in found))
    assert files == re.findall(r"^\d\. `([^`]+)`", PAGE, re.M)
    assert len(files) <= 4


@pytest.fixture(scope="module", params=["watermark", "extraction", "detector", "data set"])
def ran(request, tmp_path_factory):
    """Name and output of a script of the page, run as a file in a folder of its own."""
    script, folder = SCRIPTS[request.param], tmp_path_factory.mktemp("own")
    assert len(script.splitlines()) <= 30
    (folder / "own.py").write_text(script)
    own = {"MEA_STORE": str(folder / "store"), "OMP_NUM_THREADS": "1"}
    words, pipes = [sys.executable, "own.py"], {"capture_output": True, "text": True}
    finished = subprocess.run(words, cwd=folder, env=os.environ | own, check=False, **pipes)
    assert finished.returncode == 0, finished.stderr
    return request.param, finished.stdout


def test_a_script_of_the_page_does_what_it_says(ran):
    name, said = ran
    if name == "watermark":
        (accuracy, wsr), (clean_accuracy, clean_wsr) = re.findall(rf"^{RATE} {RATE} ", said, re.M)
        assert min(float(accuracy), float(clean_accuracy)) > 0.85
        assert float(wsr) > 0.8
        assert float(clean_wsr) < 0.2
    elif name == "extraction":
        assert float(re.search(rf"^500 queries, accuracy {RATE}", said).group(1)) > 0.85
    elif name == "detector":
        first, second, target, score = re.findall(rf"='(\d)'|score={RATE}", said)
        assert {first[0], second[0]} == {"3", "7"}
        assert (target[0], float(score[1]) > 0.5) == ("1", True)
    else:
        assert "train: 640 images (corners 160, disc 160, line 160, square 160)" in said
        accuracy, wsr = re.search(rf"^{RATE} {RATE} ", said, re.M).groups()
        assert float(accuracy) > 0.9
        assert float(wsr) > 0.8


def test_every_kind_has_its_script():
    assert list(SCRIPTS) == ["watermark", "extraction", "detector", "data set"]
