"""The driver of `make book` at its door: what it runs, keeps, reports and refuses."""

import json
import os
import signal
import subprocess
import time

import chapters
import digests
import make_book
import nbformat
import psutil
import pytest
import stored_outputs
from toy_chapters import CLAIM, PLAIN_CLAIM, chapter, command, drive, wait_for

from mea_lib.scale import SCALES


def test_the_folders_of_the_store_are_listed_whole_for_processes_that_run_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEA_STORE", f"shared{os.pathsep}own")
    listed = f"{tmp_path / 'shared'}{os.pathsep}{tmp_path / 'own'}"
    assert chapters.environment(tmp_path / "out", "smoke")["MEA_STORE"] == listed
    monkeypatch.delenv("MEA_STORE")
    assert chapters.stores(tmp_path / "out") == [tmp_path / "out" / "store"]


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


def test_a_text_that_changed_is_on_the_page_and_runs_nothing_again(tmp_path):
    path = chapter(
        tmp_path / "notebooks", "00_good", PLAIN_CLAIM.format(chapter="00_good", value=0.7), "6 * 7"
    )
    assert "00_good: done" in drive(tmp_path).stdout
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].source = "# A better title"
    notebook.cells[-1].metadata["tags"] = ["hide-input"]
    nbformat.write(notebook, path)
    assert "00_good: unchanged, kept" in drive(tmp_path).stdout
    page = stored_outputs.page_of(path, tmp_path / "out")
    assert page.cells[0].source == "# A better title"
    assert page.cells[-1].metadata["tags"] == ["hide-input"]
    assert page.cells[-1].outputs[0].data["text/plain"] == "42"


def test_code_edited_while_it_ran_is_shown_as_it_ran_and_no_output_is_stored_beside_it(tmp_path, capsys):
    """As many cells as before, so that only their text tells."""
    path = chapter(
        tmp_path / "notebooks", "00_good", PLAIN_CLAIM.format(chapter="00_good", value=0.7), "6 * 7"
    )
    assert drive(tmp_path).returncode == 0
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[-1].source = "6 * 8"
    nbformat.write(notebook, path)
    assert stored_outputs.page_of(path, tmp_path / "out").cells[-1].source == "6 * 7"
    assert stored_outputs.store_outputs([path], tmp_path / "out") == ["00_good"]
    assert "00_good: edited while it ran, so its outputs are not stored" in capsys.readouterr().err
    assert not nbformat.read(path, as_version=4).cells[-1].outputs


def test_a_chapter_is_run_again_when_a_study_that_it_shows_changed(tmp_path):
    shows = 'shown = "shown_study"'
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
    monkeypatch.setattr(chapters, "fetch_data", lambda *_: True)
    monkeypatch.setattr(chapters, "run_all", lambda *_: {"00_a": "digest"})
    monkeypatch.setattr(chapters, "collect_claims", lambda *_: claims)
    monkeypatch.setattr(chapters, "overtaken", lambda *_: [])
    monkeypatch.setattr(make_book.stored_outputs, "store_outputs", lambda *_: stored.append(True) or [])
    monkeypatch.setattr(make_book.stored_outputs, "page_of", lambda *_: {})
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
    cells = [PLAIN_CLAIM.format(chapter="00_good", value=0.7), "print(SCALE, 6 * 7)"]
    chapter(folder, "00_good", *cells, minutes=3, seconds={"laptop": 1000, "colab": 7})
    assert drive(tmp_path, "--refresh", MEA_STORE=str(tmp_path / "store")).returncode == 0
    kept = nbformat.read(folder / "00_good.ipynb", as_version=4)
    assert kept.cells[-1].outputs[0].text == "laptop 42\n"
    assert len(kept.cells) == 4
    mea = kept.metadata["mea"]
    assert {name: mea[name] for name in ("minutes", "scale", "outputs_of", "code_digest")} == {
        "minutes": 3,
        "scale": "laptop",
        "outputs_of": digests.cells_digest(kept),
        "code_digest": digests.code_digest(kept),
    }
    assert mea["claims"] == json.loads((tmp_path / "out" / "claims.json").read_text())
    assert mea["seconds"]["laptop"] < 1000
    assert mea["seconds"]["colab"] == 7
    assert {"date", "machine", "versions", "peak_mib"} == set(mea["run"])
    assert 10 < mea["run"]["peak_mib"] < 10_000
    assert not any("papermill" in cell.metadata or "execution" in cell.metadata for cell in kept.cells)


def test_times_from_a_store_that_has_models_are_not_stored(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "model.json").touch()
    path = chapter(tmp_path / "notebooks", "00_good", PLAIN_CLAIM.format(chapter="00_good", value=0.7))
    assert drive(tmp_path, "--refresh", MEA_STORE=str(tmp_path / "store")).returncode == 0
    assert "seconds" not in nbformat.read(path, as_version=4).metadata["mea"]


def test_the_digest_of_the_code_follows_the_cells_and_what_takes_part_of_the_package(tmp_path, monkeypatch):
    def package(name, answer):
        folder = tmp_path / name
        folder.mkdir()
        asked = f"def chapter_code_digest(code):\n    return {answer!r} + str('loss' in code)"
        (folder / "shaping_code.py").write_text(asked)
        monkeypatch.setattr(digests, "PACKAGE", folder)

    package("first", "a")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    found = [digests.code_digest(notebook)]
    notebook.cells.append(nbformat.v4.new_markdown_cell("prose"))
    assert digests.code_digest(notebook) == found[0]
    package("second", "b")
    found.append(digests.code_digest(notebook))
    notebook.cells[0].source = "2"
    found.append(digests.code_digest(notebook))
    assert len(set(found)) == 3


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_an_interruption_ends_every_process_and_says_that_work_is_kept(tmp_path, ending):
    alive = tmp_path / "alive"
    wait = f"import pathlib, time\npathlib.Path({str(alive)!r}).write_text(str(os.getpid()))\ntime.sleep(100)"
    chapter(tmp_path / "notebooks", "00_long", wait)
    chapter(tmp_path / "notebooks", "01_queued", wait)
    # Whoever runs the tests in the background has made them ignore Ctrl-C, and children inherit that.
    driver = subprocess.Popen(
        command(tmp_path, "--workers", "1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert wait_for(lambda: alive.exists() and alive.read_text())
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


def test_what_the_chapters_load_is_fetched_once_before_any_of_them_starts(tmp_path):
    """With a package made for this test, which notes how it is called."""
    package = tmp_path / "python" / "mea_lib"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "data" / "__init__.py").touch()
    (package / "shaping_code.py").write_text("def chapter_code_digest(code):\n    return 'same'")
    fetch = package / "data" / "__main__.py"
    loads = 'if 0:\n    mea.load("clothes", 1), mea.load(\n        "digits", 1), mea.load(a)'
    cells = [loads, PLAIN_CLAIM.format(chapter="00_good", value=0.7)]
    chapter(tmp_path / "notebooks", "00_good", *cells)
    chapter(tmp_path / "notebooks", "01_more", 'if 0:\n    mea.load("clothes", 1)')

    def found(*options):
        return drive(tmp_path, *options, cwd=tmp_path, PYTHONPATH=str(tmp_path / "python"))

    fetch.write_text("import sys\nsys.exit('no room for the data')")
    refused = found()
    assert refused.returncode == 1
    assert "no room for the data\nthe data are not there, so no chapter was started" in refused.stderr
    assert "started" not in refused.stdout

    fetch.write_text("import sys\nprint('fetched', *sys.argv[1:])")
    assert "fetched clothes digits\n00_good: started" in found("--only", "00").stdout
    assert "fetched" not in found("--only", "00").stdout


def test_no_chapter_of_that_name(tmp_path):
    (tmp_path / "notebooks").mkdir()
    found = drive(tmp_path, "--only", "77")
    assert found.returncode == 1
    assert "'77'" in found.stderr


def test_what_a_chapter_leaves_running_does_not_hold_up_the_book(tmp_path):
    leave = "import subprocess\nsubprocess.Popen(['sleep', '100'], start_new_session=True)"
    chapter(tmp_path / "notebooks", "00_a", leave, PLAIN_CLAIM.format(chapter="00_a", value=1))
    before = time.monotonic()
    done = drive(tmp_path)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - before < 60


def test_a_kernel_takes_no_port_that_another_program_may_take_first(tmp_path):
    look = (
        'import ipykernel.connect\nassert \'"transport": "ipc"\' in ipykernel.connect.get_connection_info()'
    )
    chapter(tmp_path / "notebooks", "00_a", look, PLAIN_CLAIM.format(chapter="00_a", value=1))
    done = drive(tmp_path)
    assert done.returncode == 0, done.stderr
