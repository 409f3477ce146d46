"""The study of removals: which cases it has, what it draws from its rows, a row on the digits."""

import json

import pytest
import torch

import mea_lib as mea
from benchmarks import owners, removals
from benchmarks import removal_study as study
from benchmarks.study import LONGER_SMOKE, changed
from mea_lib.data.class_order import FASHION as FASHION_CLASSES
from mea_lib.models import Input, build

SMOKE = changed(mea.preset("smoke"), LONGER_SMOKE)


@pytest.fixture(scope="module")
def clothes():
    """Ten noisy images of each class of Fashion-MNIST's names."""
    labels = torch.arange(100) % 10
    images = torch.randint(256, (100, 1, 28, 28), generator=torch.Generator().manual_seed(0))
    return mea.ImageSet(images.to(torch.uint8), labels, FASHION_CLASSES, "noise")


@pytest.fixture
def always():
    """A model that answers everything with one class."""

    def make(label):
        model = build("nine_layer_cnn", Input(1, 28, [0.3], [0.3]), classes=10, width=2)
        torch.nn.init.zeros_(model.head.weight)
        with torch.no_grad():
            model.head.bias.copy_(torch.eye(10)[label])
        return model.eval()

    return make


def test_both_methods_meet_every_removal_as_victims_and_surrogates_on_both_keys_and_every_seed():
    jobs = study.jobs()
    assert len(set(jobs)) == len(jobs)
    found = {job[:5] for job in jobs}
    for method in owners.METHODS:
        for key in owners.KEYS:
            for seed in owners.SEEDS:
                for model in ("victim", "surrogate"):
                    met = {removal for *case, removal in found if case == [method, key, seed, model]}
                    fewer = {name for name, strengths in study.STRENGTHS.items() if strengths.fewer}
                    assert met == (set(study.STRENGTHS) if key == owners.FIRST_KEY else fewer)
    seeds = [job[2] for job in jobs]
    assert seeds == sorted(seeds)


def test_the_baseline_the_weaker_watermark_and_a_victim_from_scratch_stand_beside_them():
    jobs = study.jobs()
    baseline = {(key, seed, removal) for method, key, seed, _, removal, _ in jobs if method == owners.NONE}
    assert baseline == {
        (key, seed, name) for key in owners.KEYS for seed in owners.SEEDS for name in study.BASELINES
    }
    assert {job[1:3] for job in jobs if job[0] == removals.PATCH} == {
        (owners.FIRST_KEY, seed) for seed in owners.SEEDS
    }
    scratch = {job[:3] for job in jobs if job[3] == "victim from scratch"}
    assert scratch == {(method, owners.FIRST_KEY, 0) for method in owners.METHODS}
    assert {job[4] for job in jobs} == set(removals.REMOVALS)


def test_fewer_strengths_are_some_of_all():
    for strengths in study.STRENGTHS.values():
        assert set(strengths.fewer) <= set(strengths.all)


def test_settings_and_jobs_are_the_same_once_they_were_written():
    assert json.loads(json.dumps(study.settings())) == study.settings()
    assert [tuple(job) for job in json.loads(json.dumps(study.jobs()))] == study.jobs()


@pytest.mark.parametrize("method", [*owners.METHODS, removals.PATCH])
def test_the_wsr_is_the_share_of_the_target_class(clothes, always, method):
    data = mea.Data("noise", clothes, clothes, clothes, 50)
    target = clothes.class_index("Coat")
    assert removals.success(always(target), data, method, "sandal and sneaker") == (1, 1)
    assert removals.success(always(target + 1), data, method, "sandal and sneaker") == (0, 0)


def test_kinds_of_clothes_are_a_task_of_every_class(clothes, always):
    data = mea.Data("noise", clothes, clothes, clothes)
    case = removals.Case(always(0), 0.1, "Pullover", data, clothes, None, 0)
    kinds = removals._kinds(case)
    assert sorted(name for names in removals.KINDS.values() for name in names) == sorted(FASHION_CLASSES)
    for label, kind in zip(clothes.labels, kinds.labels, strict=True):
        assert FASHION_CLASSES[label] in removals.KINDS[kinds.classes[kind]]


def row(removal, strength, seed, accuracy, wsr, model="surrogate", method="runner-up"):
    found = {"method": method, "key": "sandal and sneaker", "seed": seed, "model": model}
    found |= {"removal": removal, "strength": strength, "accuracy": accuracy, "accuracy_lost": 0.9 - accuracy}
    return found | {"wsr": wsr, "wfpr": 0.0, "second": wsr, "second_p": 1 - wsr, "seconds": 1.0}


def test_the_largest_pruning_is_chosen_by_accuracy_in_each_seed():
    cut = [(0, 0.90, 0.8), (0.3, 0.89, 0.7), (0.4, 0.88, 0.65)]
    cut += [(0.5, 0.85, 0.6), (0.6, 0.84, 0.1), (0.7, 0.5, 0.1), (0.8, 0.5, 0.1)]  # 0.85 is allowed
    rows = [row("pruning" if share else "nothing", share, 0, *rest) for share, *rest in cut]
    rows += [
        row("pruning" if share else "nothing", share, 1, 0.90 if share == 0 else 0.60, 0.9)
        for share, *_ in cut
    ]
    rows += [row("pruning, then fine-tuning", 0.9, 0, 0.90, 0.0)]
    rows += [row("nothing", 0, 2, 0.9, 0.9), row("nothing", 0, 0, 0.9, 1.0, model="victim")]  # not pruned yet
    (line,) = study.summary(rows)["largest_pruning"]
    assert (line["method"], line["model"]) == ("runner-up", "surrogate")
    assert (line["shares"], line["wsr"]) == ([0.5, 0], [0.6, 0.9])
    assert (line["mean_wsr"], line["least_wsr"]) == (pytest.approx(0.75), 0.6)


def test_lines_are_of_one_method_key_model_removal_and_strength():
    rows = [row("WRK", 2, seed, 0.8, wsr) for seed, wsr in ((0, 0.2), (1, 1.0))]
    rows += [row("WRK", 2, 0, 0.9, 0.9, method="MEA-Defender"), row("nothing", 0, 1, 0.9, 0.9)]
    first, other, _ = study.summary(rows)["removals"]
    assert (first["method"], first["removal"], first["seeds"]) == ("runner-up", "WRK", 2)
    assert (first["least_wsr"], first["mean_wsr"], first["largest_wsr"]) == (0.2, pytest.approx(0.6), 1.0)
    assert first["convicted_by_runner_up"] == 1
    assert first["mean_accuracy_lost"] == pytest.approx(0.1)
    assert (other["method"], other["seeds"]) == ("MEA-Defender", 1)


@pytest.mark.parametrize(
    ("model", "removal", "strength"),
    [
        ("surrogate", "WRK, never class 0, tenfold rate", 2),
        ("none", "held-out labels alone, mirrored and shifted", 10),
    ],
)
def test_a_row_holds_what_the_summary_needs(digits, key, monkeypatch, model, removal, strength):
    monkeypatch.setattr(owners, "KEYS", {"first": key})
    method = owners.NONE if model == "none" else "MEA-Defender"
    data = mea.Data("digits", digits.owner, digits.owner, digits.test, 1_000)
    found = removals.run_one(data, SMOKE, method, "first", 0, model, removal, strength)
    assert set(study.NUMBERS) | set(study.AXES) | {"second_p", "accuracy_before"} == set(found)
    assert (found["accuracy_lost"] is None) == (model == "none")
    assert json.loads(json.dumps(found)) == found
    assert study.summary([found])["removals"][0]["rows"] == 1
