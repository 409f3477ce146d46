"""The study of why the watermark travels: jobs, settings and summary, on rows made by hand and on digits."""

import json

import pytest
import torch

import mea_lib as mea
from benchmarks import interventions, owners
from benchmarks import understanding_study as study


@pytest.fixture
def rows():
    """A row for every job; the WSR follows the cosine and runs against the predicted margin."""
    made = []
    for number, job in enumerate(study.jobs()):
        row = dict(zip(study.AXES, job, strict=True)) | dict.fromkeys((*study.MEASURES, *study.OF_API), 0.5)
        row |= {"wsr": number / 1000, "accuracy": 0.8, "victim_accuracy": 0.9, "seconds": 1.0}
        made.append(row | {name: number for name in study.PREDICTORS} | {"predicted_margin": -number})
    return made


def test_every_dose_meets_both_methods_on_every_seed_and_the_decisive_ones_both_keys():
    jobs = study.jobs()
    assert len(set(jobs)) == len(jobs)
    assert [job[2] for job in jobs] == sorted(job[2] for job in jobs)
    for key in owners.KEYS:
        for method in owners.METHODS:
            for seed in owners.SEEDS:
                met = {job[3:5] for job in jobs if job[:3] == (method, key, seed) and job[6] == study.NETWORK}
                assert met == set(study.DOSES if key == owners.FIRST_KEY else study.DECISIVE)
    assert {job[3] for job in jobs} == set(interventions.ANSWERS)
    assert set(study.DECISIVE) <= set(study.DOSES)


def test_each_change_of_answers_is_met_by_its_control():
    """Without a dose, and with the same done to a class that has nothing to do with the watermark."""
    for needed in (("as trained", 0.0), ("third class taken out", 1.0)):
        assert needed in study.DECISIVE
    extracted = {job[:2] for job in study.jobs() if job[3] == "clean" and job[6] == study.NETWORK}
    assert extracted == {(owners.NONE, key) for key in owners.KEYS}


def test_settings_can_be_written():
    assert json.loads(json.dumps(study.settings())) == study.settings()


def test_the_summary_groups_doses_and_networks_and_ranks_the_predictors(rows):
    found = study.summary(rows)
    of_method = [
        line for line in found["doses"] if (line["method"], line["key"]) == ("runner-up", owners.FIRST_KEY)
    ]
    assert [(line["answers"], line["dose"]) for line in of_method] == list(study.DOSES)
    assert {line["seeds"] for line in found["doses"]} == {3}
    assert all(line["mean_accuracy_lost"] == pytest.approx(0.1) for line in found["doses"])
    for method in owners.METHODS:
        assert found["surrogates"][method] == (1 + len(study.NETWORKS)) * len(owners.SEEDS)
        ranked = found["rank_correlation_with_the_wsr"][method]
        assert ranked["cosine"] == pytest.approx(1)
        assert ranked["predicted_margin"] == pytest.approx(-1)
    lines = {
        (line["method"], line["key"], line["owner"], line["surrogate"]): line["seeds"]
        for line in found["networks"]
        if line["answers"] in ("as trained", "clean")
    }
    first = owners.FIRST_KEY
    assert lines["MEA-Defender", first, study.NETWORK, "alexnet"] == len(owners.SEEDS)
    assert lines["none", first, "alexnet", study.NO_SURROGATE] == study.CLEAN_TWINS["alexnet"]
    assert json.loads(json.dumps(found)) == found


def test_what_does_not_vary_predicts_nothing(rows):
    few = [row for row in rows if row["answers"] == "as trained"][:1]
    assert set(study.summary(few)["rank_correlation_with_the_wsr"]["MEA-Defender"].values()) == {None}


@pytest.fixture
def first(monkeypatch, key):
    monkeypatch.setattr(owners, "KEYS", {"first": key})
    return "first"


@pytest.mark.parametrize(
    ("method", "answers", "dose", "surrogate"),
    [
        ("MEA-Defender", "share taken out", 1.0, "nine_layer_cnn"),
        ("runner-up", "clean, share and veto put in", 1.0, "alexnet"),
        ("none", "clean", 0.0, "none"),
    ],
)
def test_a_row_holds_its_job_and_every_measure(digits, first, method, answers, dose, surrogate):
    job = (method, first, 0, answers, dose, study.NETWORK, surrogate)
    row = interventions.run_one(digits, mea.preset("smoke"), *job)
    assert tuple(row[name] for name in study.AXES) == job
    named = {*study.AXES, *study.MEASURES, *study.OF_API, "accuracy", "victim_accuracy", "wsr", "seconds"}
    assert set(row) == named
    assert 0 <= row["wsr"] <= 1
    assert (row["share_put_in"] is None) == (not answers.startswith("clean, "))


@pytest.fixture
def owned(digits, learning, key, first):
    """A watermark that an owner has trained in, and the clean model it began from."""
    return interventions.owned_by(digits, learning, "runner-up", first, 0)


@pytest.mark.parametrize("dose", [0.5, 1.0])
def test_what_is_put_in_is_as_much_as_the_victim_holds(owned, dose):
    """On those images that the share can be put into without another class coming first."""
    taken = interventions.ANSWERS["share taken out"](owned, 1 - dose).model
    put = interventions.ANSWERS["clean, share put in"](owned, dose)
    wanted, found = (interventions.target_probability(model, owned) for model in (taken, put.model))
    assert found == pytest.approx(wanted, abs=0.01) or put.share > 0.49
    untouched = interventions.target_probability(owned.clean, owned)
    assert found > untouched + 0.02


def test_the_veto_is_what_the_victim_has_learnt_of_it(owned):
    factor = interventions.held_veto(owned)
    first, second, _ = owned.key.indices(owned.images)
    logs = {}
    for name, model in (("victim", owned.victim), ("clean", owned.clean)):
        of = [
            mea.Oracle(model)(owned.images.of_class(source)[: interventions.MATCHED_ON])[:, other]
            for source, other in ((first, second), (second, first))
        ]
        logs[name] = torch.cat(of).clamp_min(1e-12).log().mean()
    assert factor == pytest.approx(min(1.0, float((logs["victim"] - logs["clean"]).exp())), rel=1e-5)
    assert interventions.ANSWERS["clean, veto put in"](owned, 1.0).veto == factor
    assert interventions.ANSWERS["clean, veto put in"](owned, 1.0).share == 0
