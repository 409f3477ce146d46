"""The study of detectors: its jobs, a row of each detector on an untrained model, and a summary by hand."""

import json

import pytest

import mea_lib as mea
from benchmarks import detection_study as study
from benchmarks import detectors, owners
from mea_lib.data import ImageSet
from mea_lib.data.class_order import FASHION as FASHION_CLASSES
from mea_lib.detection import ABS, NeuralCleanse, RandomMixing

SMOKE = mea.preset("smoke")


@pytest.fixture
def clothes(digits, monkeypatch, tiny):
    """The digits under the names of clothes, an untrained network for every model, and detectors that hardly look."""
    parts = (
        ImageSet(part.images, part.labels, FASHION_CLASSES, "clothes") for part in (digits.owner, digits.test)
    )
    train, test = parts
    monkeypatch.setattr(detectors, "MODELS", dict.fromkeys(detectors.MODELS, lambda *case: tiny))
    monkeypatch.setattr(detectors, "SEARCHED", 40)
    monkeypatch.setattr(detectors, "STRIPPED", 20)
    monkeypatch.setattr(detectors, "OVERLAYS", 2)
    monkeypatch.setattr(detectors, "NeuralCleanse", lambda **_: NeuralCleanse(rounds=1, batches=1))
    monkeypatch.setattr(detectors, "ABS", lambda **_: ABS(steps=1, candidates=2))
    monkeypatch.setattr(detectors, "RandomMixing", lambda ways, **_: RandomMixing(ways, samples=5))
    return mea.Data("clothes", train, train, test)


def test_every_detector_meets_clean_models_victims_and_surrogates_of_both_methods_and_keys():
    jobs = study.jobs()
    assert len(jobs) == len(set(jobs))
    assert [job[2] for job in jobs] == sorted(job[2] for job in jobs)
    found = {(method, key, model) for method, key, _, model, _ in jobs}
    methods = [(owners.NONE, "clean")]
    methods += [(method, model) for method in owners.METHODS for model in ("victim", "surrogate")]
    assert found == {(method, key, model) for method, model in methods for key in owners.KEYS} | {
        ("patch", owners.FIRST_KEY, "patch")
    }
    for method, key, model in found:
        met = {job[2:] for job in jobs if (job[0], job[1], job[3]) == (method, key, model)}
        wanted = {name for name in detectors.DETECTORS if model != "patch" or name not in study.MIXING}
        assert met == {(seed, model, detector) for seed in owners.SEEDS for detector in wanted}


def test_the_owners_arrangement_is_not_tried_in_either_order():
    assert {owners.KEYS[key].combine for key in owners.KEYS} == {"crop-paste"}
    tried = RandomMixing(detectors.OTHER_WAYS).ways
    assert not {"left-right", "right-left"} & set(tried)
    assert len(tried) == 5


def test_rows_are_json_and_have_what_the_summary_reads(clothes):
    key = "sandal and sneaker"
    cases = [("MEA-Defender", "victim"), ("patch", "patch"), ("none", "clean")]
    rows = [
        detectors.run_one(clothes, SMOKE, method, key, 0, model, detector)
        for method, model in cases
        for detector in detectors.DETECTORS
    ]
    again = json.loads(json.dumps(rows, allow_nan=False))
    assert again == rows
    assert all(set(study.AXES) <= set(row) for row in again)
    found = study.summary(again)
    assert list(found["detectors"]) == list(detectors.DETECTORS)
    for lines in found["detectors"].values():
        assert [(line["method"], line["model"], line["seeds"]) for line in lines] == [
            (method, model, 1) for method, model in cases
        ]
    assert len(found["bars"]) == 5
    json.dumps(study.settings() | found, allow_nan=False)
    few, all_ways = (row["queries"] for row in again[-1:-3:-1])
    assert few * 7 == all_ways * 5


def test_the_owners_inputs_are_patched_or_combined(clothes):
    patched = detectors.trigger_inputs("patch", clothes, "shirt and trouser", 30)
    assert len(patched) == 30
    assert (patched[:, 0, -5:-1, -5:-1] == 255).all()
    combined = [
        detectors.trigger_inputs(model, clothes, key, 30)
        for key in owners.KEYS
        for model in ("victim", "clean")
    ]
    assert combined[0].equal(combined[1])
    assert combined[2].equal(combined[3])
    assert not combined[0].equal(combined[2])


def lines(**changes):
    """A summary that clears every bar, but for these changes of one value each: detector, line, names."""
    victim = {"method": "runner-up", "model": "victim"}
    patched = {"method": "patch", "model": "patch"}
    found = {
        "Neural Cleanse": [
            victim | {"largest_target_index": 1.9},
            victim | {"largest_target_index": 0.3},
            patched | {"least_target_index": 2.1, "target_alone": 3, "seeds": 3},
        ],
        "ABS": [patched | {"target_alone": 3, "seeds": 3}],
        "LOF": [victim | {"mean_detection_rate": 0.09}, victim | {"mean_detection_rate": 0.10}],
        "preprocessing": [victim | {"gaussian noise": {"mean_wsr_at_cost": 0.9}}],
    }
    for detector, (line, value) in changes.items():
        found[detector.replace("_", " ")][line] |= value
    return found


@pytest.mark.parametrize(
    ("changes", "failing"),
    [
        ({}, []),
        ({"Neural_Cleanse": (1, {"largest_target_index": 2.0})}, [0]),
        ({"LOF": (0, {"mean_detection_rate": 0.11})}, [1]),
        ({"preprocessing": (0, {"gaussian noise": {"mean_wsr_at_cost": 0.89}})}, [2]),
        ({"Neural_Cleanse": (2, {"least_target_index": 2.0})}, [3]),
        ({"Neural_Cleanse": (2, {"target_alone": 2})}, [3]),
        ({"ABS": (0, {"target_alone": 2})}, [4]),
    ],
)
def test_each_bar_fails_where_it_must(changes, failing):
    found = study.bars(lines(**changes))
    assert [number for number, bar in enumerate(found) if not bar["holds"]] == failing


def test_bars_of_what_is_not_measured_yet_are_left_out():
    assert study.bars({}) == []
    assert len(study.bars({"LOF": lines()["LOF"]})) == 1


def test_flags_and_spreads_by_hand():
    row = {"method": "none", "key": "shirt and trouser", "model": "clean", "detector": "ABS", "seconds": 2.0}
    row |= {"best_success_of_the_target": 0.2}
    rows = [
        row | {"seed": 0, "flagged": ["Pullover"], "best_success": 0.9},
        row | {"seed": 1, "flagged": ["Pullover", "Coat"], "best_success": 0.8},
        row | {"seed": 2, "flagged": [], "best_success": 0.4},
        row | {"seed": 0, "flagged": ["Coat"], "best_success": 0.4, "key": "sandal and sneaker"},
    ]
    first, second = study.summary(rows)["detectors"]["ABS"]
    assert (first["target_alone"], first["others_flagged"], first["seeds"]) == (1, 1, 3)
    assert first["mean_best_success"] == pytest.approx(0.7)
    assert (first["least_best_success"], first["largest_best_success"]) == (0.4, 0.9)
    assert (second["target_alone"], second["others_flagged"]) == (1, 0)
