"""The study of detectors: its jobs, a row of each detector on an untrained model, and a summary by hand."""

import json

import pytest

import mea_lib as mea
from benchmarks import detection_study
from mea_lib.data import ImageSet
from mea_lib.data.class_order import FASHION as FASHION_CLASSES
from mea_lib.detection import ABS, NeuralCleanse

SMOKE = mea.preset("smoke")


@pytest.fixture
def clothes(digits, monkeypatch, tiny):
    """The digits under the names of clothes, an untrained network for every model, and detectors that hardly look."""
    parts = (
        ImageSet(part.images, part.labels, FASHION_CLASSES, "clothes") for part in (digits.owner, digits.test)
    )
    train, test = parts
    monkeypatch.setattr(
        detection_study, "MODELS", {name: lambda data, scale, seed: tiny for name in detection_study.MODELS}
    )
    monkeypatch.setattr(detection_study, "SEARCHED", 40)
    monkeypatch.setattr(detection_study, "STRIPPED", 20)
    monkeypatch.setattr(detection_study, "OVERLAYS", 2)
    monkeypatch.setattr(detection_study, "NeuralCleanse", lambda: NeuralCleanse(rounds=1, batches=1))
    monkeypatch.setattr(detection_study, "ABS", lambda: ABS(steps=1, candidates=2))
    return mea.Data("clothes", train, train, test)


def test_every_detector_meets_every_model_and_seed_once():
    jobs = detection_study.jobs()
    assert len(jobs) == len(set(jobs)) == 4 * 6 * 3
    assert [seed for _, _, seed in jobs] == [0] * 24 + [1] * 24 + [2] * 24


def test_rows_are_json_and_have_what_the_summary_reads(clothes):
    rows = [
        detection_study.run_one(clothes, SMOKE, model, detector, 0)
        for model in ("victim", "patch")
        for detector in detection_study.DETECTORS
    ]
    again = json.loads(json.dumps(rows, allow_nan=False))
    assert again == rows
    found = detection_study.summary(again)
    assert list(found["detectors"]) == list(detection_study.DETECTORS)
    for lines in found["detectors"].values():
        assert [(line["model"], line["seeds"]) for line in lines] == [("victim", 1), ("patch", 1)]
    json.dumps(detection_study.settings() | found, allow_nan=False)


def test_the_owners_inputs_are_patched_or_combined(clothes):
    patched = detection_study.trigger_inputs("patch", clothes, 30)
    assert len(patched) == 30
    assert (patched[:, 0, -5:-1, -5:-1] == 255).all()
    combined = detection_study.trigger_inputs("victim", clothes, 30)
    assert combined.equal(detection_study.trigger_inputs("clean", clothes, 30))


def lines(**changes):
    """A summary that clears every bar, but for these changes of one value each: detector, model, names."""
    found = {
        "Neural Cleanse": [
            {"model": "victim", "largest_target_index": 1.9},
            {"model": "patch", "least_target_index": 2.1, "target_alone": 3, "seeds": 3},
        ],
        "ABS": [{"model": "patch", "target_alone": 3, "seeds": 3}],
        "LOF": [{"model": "victim", "mean_detection_rate": 0.09}],
        "preprocessing": [{"model": "victim", "gaussian noise": {"mean_mark_at_cost": 0.9}}],
    }
    for detector, (line, value) in changes.items():
        found[detector.replace("_", " ")][line] |= value
    return found


@pytest.mark.parametrize(
    ("changes", "failing"),
    [
        ({}, []),
        ({"Neural_Cleanse": (0, {"largest_target_index": 2.0})}, [0]),
        ({"LOF": (0, {"mean_detection_rate": 0.10})}, [1]),
        ({"preprocessing": (0, {"gaussian noise": {"mean_mark_at_cost": 0.89}})}, [2]),
        ({"Neural_Cleanse": (1, {"least_target_index": 2.0})}, [3]),
        ({"Neural_Cleanse": (1, {"target_alone": 2})}, [3]),
        ({"ABS": (0, {"target_alone": 2})}, [4]),
    ],
)
def test_each_bar_fails_where_it_must(changes, failing):
    found = detection_study.bars(lines(**changes))
    assert [number for number, bar in enumerate(found) if not bar["holds"]] == failing


def test_flags_and_means_by_hand():
    row = {"model": "clean", "detector": "ABS", "best_success_of_the_target": 0.2}
    rows = [
        row | {"seed": 0, "flagged": ["Pullover"], "best_success": 0.9},
        row | {"seed": 1, "flagged": ["Pullover", "Coat"], "best_success": 0.8},
        row | {"seed": 2, "flagged": [], "best_success": 0.4},
    ]
    assert detection_study._LINES["ABS"](rows) == {
        "target_alone": 1,
        "others_flagged": 1,
        "mean_best_success": pytest.approx(0.7),
        "mean_best_success_of_the_target": pytest.approx(0.2),
    }
