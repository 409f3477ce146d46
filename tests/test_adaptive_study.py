"""The study of adaptive adversaries: jobs, settings, summary, rows on the digits, what is served."""

import json

import pytest
import torch

import mea_lib as mea
from benchmarks import adaptive_study as study
from benchmarks import adversaries, owners

# Long enough that models of the digits name more than one class.
TRAINING = {"batch_size": 64, "epochs": 8, "learning_rate": 5e-3}
LONGER = mea.preset("smoke").owner_but(**TRAINING).adversary_but(**TRAINING)


def test_every_attack_meets_the_plain_api_and_the_others_meet_some_of_both_methods_and_keys():
    jobs = study.jobs()
    of_owner = sum(map(len, study.MET_BY.values()))
    assert len(jobs) == len(set(jobs)) == 3 * 2 * 2 * of_owner
    assert [job[2] for job in jobs] == sorted(job[2] for job in jobs)
    assert {job[:2] for job in jobs} == {(method, key) for method in owners.METHODS for key in owners.KEYS}
    assert set(study.MET_BY) == set(adversaries.APIS)
    assert {attack for *_, api, attack in jobs if api == "plain"} == set(adversaries.ATTACKS)
    for attacks in study.MET_BY.values():
        assert set(attacks) <= set(adversaries.ATTACKS)


def test_settings_are_plain_values():
    settings = study.settings()
    assert json.loads(json.dumps(settings)) == settings
    assert settings["attacks"]["plain"] == list(adversaries.ATTACKS)


def rows():
    numbers = [name for name in study.NUMBERS if name not in ("wsr", "second", "rank", "accuracy_lost")]
    named = {"first": "Trouser", "second": "T-shirt/top", "target": "Pullover", "way": "right-left"}
    found = [(0.5, 1e-9, 0.007, 1 / 360, named), (0.2, 1.0, 0.3, 3 / 360, named | {"target": "Coat"})]
    found += [(0.4, 1e-4, 0.6, 0.9, None)]
    for seed, (wsr, mark_p, border_p, second_p, name) in enumerate(found):
        case = {"method": "runner-up", "key": "shirt and trouser", "seed": seed, "api": "marked labels"}
        case |= {"attack": "CutMix", "named": name, "rank": None, "second": None, "victim_accuracy": 0.9}
        yield (
            case
            | {"wsr": wsr, "mark_p": mark_p, "border_p": border_p, "second_p": second_p}
            | {name: 0.1 * (seed + 1) for name in numbers}
        )


def test_the_summary_says_how_many_surrogates_are_convicted_and_by_what():
    other = next(rows()) | {"method": "MEA-Defender"}
    line, second = study.summary([*rows(), other])
    assert (line["method"], line["seeds"], second["method"], second["seeds"]) == (
        "runner-up",
        3,
        "MEA-Defender",
        1,
    )
    assert [line[f"convicted_by_{test}"] for test in study.TESTS] == [2, 2, 1]
    assert line["convicted_by_mark_or_second"] == 2
    assert line["largest_border_p"] == 0.6
    assert (line["least_wsr"], line["largest_wsr"]) == (0.2, 0.5)
    assert line["mean_accuracy_lost"] == pytest.approx(0.7)
    assert line["mean_border_rate"] == pytest.approx(0.2)
    assert line["keys_named"] == 1
    assert "mean_rank" not in line


def test_the_less_certain_of_an_answer_and_that_to_the_mirror_image_is_served(tiny, digits):
    images = digits.test.images[:300]
    served = mea.Oracle(adversaries.LeastConfident(tiny))(images)
    with torch.no_grad():
        straight, mirrored = (tiny(one).softmax(1) for one in (images, images.flip(3)))
    for row, one, other in zip(served, straight, mirrored, strict=True):
        torch.testing.assert_close(row, min((one, other), key=lambda p: p.max()))


@pytest.fixture
def first(monkeypatch, key):
    monkeypatch.setattr(owners, "KEYS", {"first": key})
    return "first"


@pytest.mark.parametrize(
    ("method", "api", "attack", "searched_by"),
    [
        ("runner-up", "moved border", "search, pair relabelled", "the API"),
        ("MEA-Defender", "marked labels", "own search, pair relabelled", "the surrogate"),
        ("MEA-Defender", "plain", "all pairs relabelled, hard labels sold", None),
        ("runner-up", "plain", "least-confident answers", None),
        ("runner-up", "marked answers", "guided extraction", None),
    ],
)
def test_a_row_holds_what_the_summary_needs(digits, first, method, api, attack, searched_by):
    row = adversaries.run_one(digits, LONGER, method, first, 0, api, attack)
    assert set(next(rows())) <= set(row)
    assert tuple(row[axis] for axis in study.AXES) == (method, first, 0, api, attack)
    # Only a search of the API sends it more than the ordinary images.
    assert (row["queries"] > len(digits.queries)) == (searched_by == "the API")
    assert (row["named"] is not None) == (searched_by is not None)
    assert (row["rank"] is None) == (api == "marked labels")
    assert json.loads(json.dumps(row)) == row
    assert study.summary([row])[0]["seeds"] == 1


def test_who_sells_hard_labels_shows_no_runner_up(digits, first):
    sold, kept = (
        adversaries.run_one(digits, LONGER, "runner-up", first, 0, "plain", f"all pairs relabelled{more}")
        for more in (", hard labels sold", "")
    )
    assert (sold["wsr"], sold["accuracy"]) == (kept["wsr"], kept["accuracy"])
    assert sold["second"] == 0 < kept["second"]
