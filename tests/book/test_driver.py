"""The driver of `make book` at its door: what it runs, keeps, reports and refuses."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest

from mea_lib.scale import SCALES

ROOT = Path(__file__).parent.parent.parent
DRIVER = ROOT / "book" / "make_book.py"
sys.path.insert(0, str(ROOT / "book"))

import chapters  # noqa: E402
import make_book  # noqa: E402

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


def test_a_chapter_is_run_again_when_it_the_scale_or_its_claims_changed(tmp_path):
    folder = tmp_path / "notebooks"
    chapter(folder, "00_good", PLAIN_CLAIM.format(chapter="00_good", value=0.7))
    assert "00_good: done" in drive(tmp_path).stdout
    chapter(folder, "00_good", PLAIN_CLAIM.format(chapter="00_good", value=0.8))
    assert "00_good: done" in drive(tmp_path).stdout
    assert "00_good: done" in drive(tmp_path, scale="smoke").stdout
    (tmp_path / "out" / "claims" / "00_good.json").unlink()
    assert "00_good: done" in drive(tmp_path, scale="smoke").stdout


def test_a_chapter_is_run_again_when_a_study_that_it_shows_changed(tmp_path):
    shows = 'from mea_lib.teaching import find_results\nshown = find_results("shown_study")'
    chapter(tmp_path / "notebooks", "00_good", shows, PLAIN_CLAIM.format(chapter="00_good", value=0.7))
    results = tmp_path / "results"
    results.mkdir()
    (results / "shown_study.json").write_text("{}")
    assert "00_good: done" in drive(tmp_path).stdout
    (results / "another_study.json").write_text("{}")
    assert "00_good: unchanged, kept" in drive(tmp_path).stdout
    (results / "shown_study.json").write_text('{"seconds": 1}')
    assert "00_good: done" in drive(tmp_path).stdout


def test_a_claim_that_does_not_hold_is_named(tmp_path):
    chapter(tmp_path / "notebooks", "00_bad", PLAIN_CLAIM.format(chapter="00_bad", value=0.2))
    found = drive(tmp_path)
    assert found.returncode == 1
    assert "does not hold: 00-one: One is enough (measured 0.2, rule: at least 0.5)" in found.stderr
    assert drive(tmp_path, scale="smoke").returncode == 0


@pytest.mark.parametrize(
    ("holds", "scale", "status"), [(True, "laptop", 0), (False, "laptop", 1), (False, "smoke", 0)]
)
def test_the_site_shows_claims_that_do_not_hold_and_they_are_not_stored(
    tmp_path, monkeypatch, holds, scale, status
):
    (tmp_path / "00_a.ipynb").touch()
    claims = [{"id": "00-a", "claim": "so", "measured": "1", "rule": "r", "holds": holds}]
    rendered, stored = [], []
    monkeypatch.setattr(chapters, "run_all", lambda *_: [])
    monkeypatch.setattr(chapters, "collect_claims", lambda *_: claims)
    monkeypatch.setattr(chapters, "store_outputs", lambda *_: stored.append(True))
    monkeypatch.setattr(make_book.site_pages, "render", lambda *given: rendered.append(given[2]) or tmp_path)
    options = ["--scale", scale, "--notebooks", str(tmp_path), "--out", str(tmp_path), "--refresh"]
    assert make_book.main(options) == status
    assert rendered == [claims]
    assert bool(stored) == (status == 0)


def test_a_chapter_that_fails_is_named_and_the_others_are_kept(tmp_path):
    folder = tmp_path / "notebooks"
    chapter(folder, "02_silent", "print('no claims')")
    chapter(folder, "00_good", PLAIN_CLAIM.format(chapter="00_good", value=0.7))
    chapter(folder, "01_broken", "raise ValueError('this is the reason')")
    found = drive(tmp_path)
    assert found.returncode == 1
    assert "failed: chapter 01_broken" in found.stderr
    assert "this is the reason" in found.stderr
    assert "02_silent: failed, since it saved no claims" in found.stderr
    assert (tmp_path / "out" / "notebooks" / "00_good.ipynb").exists()
    assert not (tmp_path / "out" / "notebooks" / "01_broken.ipynb").exists()


def test_refresh_stores_outputs_with_the_code_they_belong_to(tmp_path):
    folder = tmp_path / "notebooks"
    chapter(folder, "00_good", PLAIN_CLAIM.format(chapter="00_good", value=0.7), "print(SCALE, 6 * 7)")
    assert drive(tmp_path, "--refresh").returncode == 0
    kept = nbformat.read(folder / "00_good.ipynb", as_version=4)
    assert kept.cells[-1].outputs[0].text == "laptop 42\n"
    assert len(kept.cells) == 4
    assert kept.metadata["mea"] == {
        "outputs_of": chapters.cells_digest(kept),
        "code_digest": chapters.code_digest(kept),
    }
    assert not any("papermill" in cell.metadata or "execution" in cell.metadata for cell in kept.cells)


def test_the_digest_of_the_code_follows_the_cells_and_the_package(tmp_path, monkeypatch):
    (tmp_path / "loss.py").write_text("a = 1")
    monkeypatch.setattr(chapters, "PACKAGE", tmp_path)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    digests = [chapters.code_digest(notebook)]
    notebook.cells.append(nbformat.v4.new_markdown_cell("prose"))
    assert chapters.code_digest(notebook) == digests[0]
    (tmp_path / "loss.py").write_text("a = 2")
    digests.append(chapters.code_digest(notebook))
    notebook.cells[0].source = "2"
    digests.append(chapters.code_digest(notebook))
    assert len(set(digests)) == 3


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_an_interruption_ends_every_process_and_says_that_work_is_kept(tmp_path, ending):
    alive = tmp_path / "alive"
    wait = f"import pathlib, time\npathlib.Path({str(alive)!r}).write_text(str(os.getpid()))\ntime.sleep(100)"
    chapter(tmp_path / "notebooks", "00_long", wait)
    chapter(tmp_path / "notebooks", "01_queued", wait)
    command = [sys.executable, str(DRIVER), "--no-site", "--workers", "1"]
    command += ["--notebooks", str(tmp_path / "notebooks"), "--out", str(tmp_path / "out")]
    # Whoever runs the tests in the background has made them ignore Ctrl-C, and children inherit that.
    driver = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    waited_until = time.monotonic() + 60
    while not (alive.exists() and alive.read_text()) and time.monotonic() < waited_until:
        time.sleep(0.1)
    kernel = int(alive.read_text())
    driver.send_signal(ending)
    said, complained = driver.communicate(timeout=60)
    assert driver.returncode == 130
    assert complained == "interrupted; what was finished is kept, the same command goes on from there\n"
    assert "01_queued" not in said
    assert not psutil.pid_exists(kernel)
    assert not list((tmp_path / "out" / "notebooks").glob("*.stamp"))


def test_the_scales_are_those_of_the_package():
    assert make_book.SCALES == SCALES


def test_no_chapter_of_that_name(tmp_path):
    (tmp_path / "notebooks").mkdir()
    found = drive(tmp_path, "--only", "77")
    assert found.returncode == 1
    assert "'77'" in found.stderr
