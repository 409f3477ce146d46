"""The study of why the watermark travels: jobs, settings and summary, on rows made by hand and on digits."""

import json

import pytest

import mea_lib as mea
from benchmarks import understanding_study as study

JOB = ("answers", "dose", "owner", "surrogate", "seed")


@pytest.fixture
def rows():
    """A row for every job; the WSR follows the cosine and runs against the predicted margin."""
    made = []
    for number, job in enumerate(study.jobs()):
        row = dict(zip(JOB, job, strict=True)) | dict.fromkeys(study.MEASURES, 0.5)
        row |= {"wsr": number / 100, "accuracy": 0.8, "victim_accuracy": 0.9, "seconds": 1.0}
        made.append(row | {name: number for name in study.PREDICTORS} | {"predicted_margin": -number})
    return made


def test_every_job_is_there_once_and_seed_by_seed():
    jobs = study.jobs()
    assert len(set(jobs)) == len(jobs)
    assert [job[-1] for job in jobs] == sorted(job[-1] for job in jobs)
    stolen = {
        (answers, dose) for answers, dose, owner, surrogate, _ in jobs if owner == surrogate == study.NETWORK
    }
    assert stolen == set(study.DOSES)
    assert {answers for answers, *_ in jobs} == set(study.ANSWERS)


def test_each_change_of_answers_is_met_by_its_control():
    """Without a dose, and with the same done to a class that has nothing to do with the watermark."""
    for needed in (("as trained", 0.0), ("clean", 0.0), ("third class taken out", 1.0)):
        assert needed in study.DOSES


def test_settings_can_be_written():
    assert json.loads(json.dumps(study.settings())) == study.settings()


def test_the_summary_groups_doses_and_networks_and_ranks_the_predictors(rows):
    found = study.summary(rows)
    assert [(line["answers"], line["dose"]) for line in found["doses"]] == list(study.DOSES)
    assert [line["seeds"] for line in found["doses"]] == list(study.DOSES.values())
    assert found["surrogates"] == (1 + len(study.NETWORKS)) * len(study.SEEDS)
    ranked = found["rank_correlation_with_the_mark"]
    assert ranked["cosine"] == pytest.approx(1)
    assert ranked["predicted_margin"] == pytest.approx(-1)
    lines = {(line["answers"], line["owner"], line["surrogate"]): line["seeds"] for line in found["networks"]}
    assert lines["as trained", study.NETWORK, "alexnet"] == len(study.SEEDS)
    assert lines["clean", "alexnet", study.NO_SURROGATE] == study.CLEAN_TWINS["alexnet"]
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("answers", "dose", "surrogate"),
    [
        ("share taken out", 1.0, "nine_layer_cnn"),
        ("clean, share put in", 1.0, "alexnet"),
        ("clean", 0.0, "none"),
    ],
)
def test_a_row_holds_its_job_and_every_measure(digits, key, monkeypatch, answers, dose, surrogate):
    monkeypatch.setattr(study, "KEY", key)
    row = study.run_one(digits, mea.preset("smoke"), answers, dose, study.NETWORK, surrogate, 0)
    assert tuple(row[name] for name in JOB) == (answers, dose, study.NETWORK, surrogate, 0)
    assert set(row) == {*JOB, *study.MEASURES, "accuracy", "victim_accuracy", "wsr", "seconds"}
    assert 0 <= row["wsr"] <= 1


def test_half_a_dose_is_half_the_share_and_the_root_of_the_veto(tiny, digits, key, monkeypatch):
    monkeypatch.setattr(study, "KEY", key)
    marked = study.ANSWERS["clean, share and veto put in"](tiny, digits.owner, 0.5)
    assert (marked.share, marked.veto) == pytest.approx((study.SHARE / 2, study.VETO**0.5))
