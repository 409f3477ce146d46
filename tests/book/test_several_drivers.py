"""Two drivers in one tree, and one that is killed."""

import json
import os
import signal
import subprocess

import nbformat
import psutil
from finished import Finished
from toy_chapters import PLAIN_CLAIM, chapter, command, wait_for

SLOW = """
import pathlib, time
with open({log!r}, "a") as file:
    file.write("run\\n")
time.sleep(3)
print("the end")
"""
WITH_CHILDREN = """
import pathlib, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
pathlib.Path({alive!r}).touch()
time.sleep(100)
"""


def start(tmp_path, *options, **variables):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command(tmp_path, *options), env=os.environ | variables, **pipes)


def test_two_drivers_at_once_run_a_chapter_once_and_publish_it_whole(tmp_path):
    log = tmp_path / "log"
    cells = [SLOW.format(log=str(log)), PLAIN_CLAIM.format(chapter="00_slow", value=0.7)]
    path = chapter(tmp_path / "notebooks", "00_slow", *cells)
    drivers = [start(tmp_path, "--refresh") for _ in range(2)]
    said = [driver.communicate(timeout=120) for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0], said
    assert sorted("00_slow: done" in out for out, _ in said) == [False, True]
    assert sorted("another process runs it, waiting" in out for out, _ in said) == [False, True]
    assert sorted("00_slow: unchanged, kept" in out for out, _ in said) == [False, True]
    assert log.read_text() == "run\n"
    finished = Finished(tmp_path / "out", "00_slow")
    assert finished.is_of(finished.read_stamp()["digest"])
    for notebook in (finished.notebook, path):
        cells = nbformat.read(notebook, as_version=4).cells
        assert any(output.get("text") == "the end\n" for cell in cells for output in cell.get("outputs", []))
    assert not list((tmp_path / "out" / "running").iterdir())
    assert json.loads((tmp_path / "out" / "claims.json").read_text())[0]["id"] == "00-one"


def test_nothing_outlives_a_killed_driver_and_the_next_one_starts_afresh(tmp_path):
    alive = tmp_path / "alive"
    chapter(tmp_path / "notebooks", "00_long", WITH_CHILDREN.format(alive=str(alive)))
    driver = start(tmp_path)
    assert wait_for(alive.exists)
    descendants = psutil.Process(driver.pid).children(recursive=True)
    assert len(descendants) >= 3  # papermill, the kernel and what that has started
    driver.send_signal(signal.SIGKILL)
    driver.communicate(timeout=20)
    _, left = psutil.wait_procs(descendants, timeout=15)
    assert left == []

    chapter(tmp_path / "notebooks", "00_long", PLAIN_CLAIM.format(chapter="00_long", value=0.7))
    again = start(tmp_path)
    said, complained = again.communicate(timeout=60)
    assert again.returncode == 0, complained
    assert "waiting" not in said
    assert not list((tmp_path / "out" / "running").iterdir())
