"""The study of removals: which cases it has, and what it draws from its rows; nothing is trained."""

import json

import pytest
import torch

import mea_lib as mea
from benchmarks import removal_study as study
from mea_lib.data.class_order import FASHION as FASHION_CLASSES
from mea_lib.models import Input, build


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


def test_every_removal_meets_every_model_in_every_seed():
    jobs = study.jobs()
    assert len(set(jobs)) == len(jobs)
    assert {job[:2] + job[3:] for job in jobs} == {
        (model, removal, seed)
        for model in study.MODELS
        for removal in study.REMOVALS
        for seed in study.SEEDS_OF[model]
    }
    assert [job[3] for job in jobs] == sorted(job[3] for job in jobs)
    assert study.SEEDS_OF["copy"] == study.SEEDS


def test_weaker_marks_meet_strengths_that_the_victim_meets_too():
    for removal in study.REMOVALS.values():
        assert set(removal.weaker) <= set(removal.strengths)


def test_settings_and_jobs_are_the_same_once_they_were_written():
    assert json.loads(json.dumps(study.settings())) == study.settings()
    assert [tuple(job) for job in json.loads(json.dumps(study.jobs()))] == study.jobs()


@pytest.mark.parametrize("kind", study.MODELS)
def test_the_mark_is_the_share_of_the_target_class(clothes, always, kind):
    data = mea.Data("noise", clothes, clothes, clothes, 50)
    target = clothes.class_index("Pullover")
    assert study.mark(always(target), data, kind) == (1, 1)
    assert study.mark(always(target + 1), data, kind) == (0, 0)


def test_kinds_of_clothes_are_a_task_of_every_class(clothes, always):
    case = study.Case(always(0), 0.1, mea.Data("noise", clothes, clothes, clothes), clothes, None, 0)
    kinds = study._kinds(case)
    assert sorted(name for names in study.KINDS.values() for name in names) == sorted(FASHION_CLASSES)
    for label, kind in zip(clothes.labels, kinds.labels, strict=True):
        assert FASHION_CLASSES[label] in study.KINDS[kinds.classes[kind]]


def row(model, removal, strength, seed, accuracy, wsr):
    found = {"model": model, "removal": removal, "strength": strength, "seed": seed, "accuracy": accuracy}
    found |= {"wsr": wsr, "wfpr": 0.0, "second": wsr, "second_p": 1 - wsr}
    return found | {"victim_accuracy": 0.9, "seconds": 1.0}


def test_the_largest_pruning_is_chosen_by_accuracy_in_each_seed():
    rows = [
        row("copy", "nothing", 0, 0, 0.90, 0.8),
        row("copy", "pruning", 0.1, 0, 0.89, 0.7),
        row("copy", "pruning", 0.2, 0, 0.85, 0.6),  # five points less, which is allowed
        row("copy", "pruning", 0.3, 0, 0.84, 0.1),
        row("copy", "pruning, then fine-tuning", 0.9, 0, 0.90, 0.0),
        row("copy", "nothing", 0, 1, 0.90, 0.9),
        row("copy", "pruning", 0.1, 1, 0.60, 0.2),
        row("victim", "nothing", 0, 0, 0.90, 1.0),
    ]
    copy, victim = study.summary(rows)["largest_pruning"]
    assert (copy["model"], copy["shares"], copy["wsr"]) == ("copy", [0.2, 0], [0.6, 0.9])
    assert (copy["mean_wsr"], copy["least_wsr"]) == (pytest.approx(0.75), 0.6)
    assert (victim["shares"], victim["wsr"]) == ([0], [1.0])


def test_means_are_of_one_model_removal_and_strength():
    rows = [row("copy", "WRK", 2, seed, 0.8, wsr) for seed, wsr in ((0, 0.2), (1, 1.0))]
    rows += [row("copy", "nothing", 0, 0, 0.9, 0.9), row("copy", "nothing", 0, 1, 0.9, 0.9)]
    first = study.summary(rows)["removals"][0]
    assert (first["removal"], first["seeds"], first["least_wsr"]) == ("WRK", 2, 0.2)
    assert first["mean_wsr"] == first["mean_second"] == pytest.approx(0.6)
    assert first["convicted_by_runner_up"] == 1
    assert first["mean_accuracy_lost"] == pytest.approx(0.1)
