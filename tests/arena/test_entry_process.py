"""An entry from a file, in a process of its own: the same outcome, and no way to hang or to crash the judge."""

from dataclasses import replace

import pytest
import torch

from mea_lib.arena import judge_defence, judge_removal
from mea_lib.arena.baselines import no_watermark
from mea_lib.arena.entry import EntryFailed
from mea_lib.arena.entry_process import EntryProcess
from mea_lib.arena.entry_worker import load_function

FILE = """
import os, sys, time
import torch
from helper import half
from mea_lib.arena.baselines import no_watermark
from mea_lib.training import current_store

print("this must not reach stdout")

def remove(model, images, scale):
    assert "JUDGES_TOKEN" not in os.environ
    assert not current_store().cards()
    assert not model.card
    assert sys.argv == [__file__]
    noise = half(torch.rand(1).item())
    return lambda queries: model(queries) + noise

def defend(train_images, key, scale, seed):
    return no_watermark(train_images, key, scale, seed)
"""


@pytest.fixture
def entry(tmp_path, monkeypatch):
    monkeypatch.setenv("JUDGES_TOKEN", "nobody may read this")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "helper.py").write_text("def half(number):\n    return number / 2\n")
    (tmp_path / "entry.py").write_text(FILE)

    def open_entry(function, discipline="removal", seconds=60.0):
        return EntryProcess(tmp_path / "entry.py", function, discipline, seconds)

    return open_entry


def test_a_removal_in_a_process_is_that_of_the_package(entry, strong, capfd):
    def here(model, images, scale):
        noise = torch.rand(1).item() / 2
        return lambda queries: model(queries) + noise

    contest = replace(strong, clean=())
    with entry("remove") as removal:
        outcome = judge_removal("remove", removal, contest)
    assert outcome == judge_removal("remove", here, contest)
    captured = capfd.readouterr()
    assert "this must not reach stdout" in captured.err
    assert captured.out == ""


@pytest.mark.usefixtures("one_attack")
@pytest.mark.usefixtures("processors_own_precision")
def test_a_defence_in_a_process_is_that_of_the_package(entry, weak):
    contest = replace(weak, watermarked=weak.watermarked[:1])
    with entry("defend", "defence") as defence:
        assert judge_defence("none", defence, contest) == judge_defence("none", no_watermark, contest)


def test_a_function_is_found_in_its_file_or_the_names_there_are(tmp_path):
    path = tmp_path / "entry.py"
    path.write_text("from math import sqrt\n\ndef remove(): return 5\n\ndef other(): pass\n\nnumber = 3\n")
    assert load_function(str(path), "remove")() == 5
    for name in ("missing", "number"):
        with pytest.raises(EntryFailed, match=f"no function '{name}'; it has: remove, other$"):
            load_function(str(path), name)
    path.write_text("def remove(:\n")
    with pytest.raises(SyntaxError):
        load_function(str(path), "remove")
