"""The study of verdicts: which cases it has, and what it draws from its rows; nothing is trained."""

import pytest
import torch

from benchmarks import level_study as study
from mea_lib import proof
from mea_lib.proof.key_rank import PairShares, key_pairs


def test_it_has_the_models_and_the_suspects_that_it_promises():
    jobs = study.jobs()
    assert len({*jobs}) == len(jobs)
    assert sum(job[0] == "clean" for job in jobs) == study.MODELS >= 200
    assert study.SEARCHED >= 50
    assert {job[1:] for job in jobs if job[0] == "broken"} == {
        (kind, over) for kind in study.BROKEN for over in ("memory", "http")
    }
    assert len(study.BROKEN) - 1 >= 12  # one is sound


@pytest.mark.parametrize(("scheme", "keys"), [("crop-paste", 720), ("pixel-merge", 360)])
def test_every_key_of_ten_classes_is_tried(scheme, keys):
    assert len({*study.all_keys(scheme)}) == keys


class Made:
    """The answers of a model that says the first class of every pair, but `fires` for some keys."""

    def __init__(self, fires=(), recall=1.0):
        self.accuracy, self.recall = recall, [recall] * 10
        self.control = [[100 * (row == column) for column in range(10)] for row in range(10)]
        self.family, self.hits = {}, {}
        for scheme in study.SCHEMES:
            pairs = key_pairs((0, 1), scheme, 10, 0)
            targets = [next((key[2] for key in fires if key[:2] == pair), pair[0]) for pair in pairs]
            values = torch.eye(10)[targets].double()
            self.family[scheme] = PairShares(pairs, values, torch.zeros(len(pairs)))
            places = torch.arange(study.SAMPLES)
            self.hits[scheme] = {
                pair: (torch.full((study.SAMPLES,), target), places, places)
                for pair, target in zip(pairs, targets, strict=True)
            }

    rate = study.KnownSuspect.rate


NOBODY = Made()


def verdict(suspect, key=(0, 1, 2), clean=()):
    return study.convicts(suspect, NOBODY.family["crop-paste"], [*clean], "crop-paste", key)


def test_verdicts_on_measured_answers():
    marked = Made([(0, 1, 2)])
    assert verdict(marked)
    assert not verdict(marked, (0, 1, 3))
    assert not verdict(Made([(0, 1, 2)], recall=0.3))
    assert verdict(marked, clean=[NOBODY] * 2)
    assert not verdict(marked, clean=[NOBODY, marked])
    assert not verdict(Made([(0, other, 2) for other in (1, 3, 4, 5, 6, 7, 8, 9)]))


def test_levels_by_hand():
    found = study.level_of([(1, 100), (0, 100), (2, 100)])
    assert (found["convicted"], found["verdicts"], found["models"]) == (3, 300, 3)
    assert found["share"] == pytest.approx(0.01)
    assert tuple(found["interval"]) == pytest.approx(proof.Rate(3, 300).interval())
    assert found["interval_over_models"][0] == 0


def test_a_key_refused_at_commitment_is_no_failure_of_the_proof():
    found = study.power_of(
        [
            {"verdict": "carries the watermark", "convicted": True},
            {"verdict": "no proof of the watermark", "convicted": False},
            {"verdict": "no verdict: the suspect does not recognise Shirt", "convicted": False},
            {"verdict": "no verdict: a null model obeys this key: a forest", "convicted": False},
        ]
    )
    numbers = [found[name] for name in ("convicted", "verdicts", "no_verdict", "refused")]
    assert numbers == [1, 3, 1, 1]
