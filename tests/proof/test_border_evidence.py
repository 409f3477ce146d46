"""Evidence at a moved border: which images are sent, what follows by scipy, who is convicted or not."""

import json

import pytest
import torch
from scipy.stats import binom, hypergeom

import mea_lib as mea
from mea_lib.data import ImageSet
from mea_lib.defences import MarkedLabels
from mea_lib.proof import BorderEvidence, Rate, verify_border
from mea_lib.proof.border_evidence import border_images

NAMES = ("a", "b", "c", "d")
KEY = mea.WatermarkKey(("a", "b"), "c", seed=3)


class Painted(torch.nn.Module):
    """Reads class and likeness to c from an image's grey: class g // 64, the target's logit rising with g % 64."""

    def __init__(self):
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(()))  # says on which device it is

    def forward(self, images):
        grey = images[:, 0, 0, 0].long()
        label, likeness = grey // 64, grey % 64
        logits = 5.0 * torch.nn.functional.one_hot(label, 4)
        logits[:, 2] += torch.where(label < 2, likeness / 16, 0)
        return logits


@pytest.fixture
def painted():
    greys = torch.arange(256).repeat(4)
    images = greys.to(torch.uint8)[:, None, None, None].expand(-1, 1, 8, 8).contiguous()
    images[:, 0, 7, 7] = torch.arange(1_024) // 256  # no two are alike
    return ImageSet(images, greys // 64, NAMES, "painted")


@pytest.fixture
def owner(painted):
    return MarkedLabels(Painted(), KEY, painted, rate=0.25)


def greys(images):
    return sorted({int(image[0, 0, 0]) for image in images})


def test_images_nearest_to_the_border_are_asked_on_both_sides(owner, painted):
    beyond, this_side = border_images(owner, KEY, painted, controls=1)
    assert greys(beyond) == [*range(48, 64), *range(112, 128)]
    assert greys(this_side) == [*range(32, 48), *range(96, 112)]
    assert len(beyond) == len(this_side) == 4 * 32
    further = border_images(owner, KEY, painted, controls=2)[1]
    assert greys(further) == [*range(16, 48), *range(80, 112)]
    everything = border_images(owner, KEY, painted, controls=9)[1]
    assert greys(everything) == [*range(48), *range(64, 112)]
    called = mea.Oracle(owner)
    assert (called(beyond).argmax(1) == 2).all()
    assert (called(this_side).argmax(1) != 2).all()


def test_the_p_value_is_the_larger_of_two_tails():
    evidence = BorderEvidence(KEY, Rate(40, 100), Rate(20, 90), (Rate(10, 100), Rate(15, 100)), 0.01, 190)
    bound = Rate(15, 100).interval()[1]
    assert evidence.null_bound == bound
    against_clean = binom.sf(39, 100, bound)
    against_this_side = hypergeom.sf(39, 190, 60, 100)
    assert evidence.p_value == pytest.approx(max(against_clean, against_this_side))
    assert against_clean != pytest.approx(against_this_side)


def test_silence_never_makes_an_accusation():
    answered = BorderEvidence(KEY, Rate(40, 100), Rate(30, 100), (Rate(5, 100),), 0.01, 200)
    silent_here = BorderEvidence(KEY, Rate(40, 100), Rate(30, 100, 60), (Rate(5, 100),), 0.01, 200)
    silent_beyond = BorderEvidence(KEY, Rate(20, 100, 50), Rate(30, 100), (Rate(5, 100),), 0.01, 200)
    assert silent_here.p_value > answered.p_value
    assert silent_beyond.p_value > answered.p_value
    nothing = BorderEvidence(KEY, Rate(0, 100, 100), Rate(0, 100, 100), (Rate(5, 100),), 0.01, 200)
    assert nothing.p_value == 1


def test_the_owners_api_is_recognised_and_its_model_alone_is_not(owner, painted):
    clean = mea.Oracle(owner.model)
    guilty = verify_border(mea.Oracle(owner), owner, KEY, painted, [clean])
    assert guilty.is_stolen
    assert guilty.p_value < 1e-12
    assert guilty.queries == 512 + 80  # twenty of each class first
    assert not verify_border(clean, owner, KEY, painted, [clean]).is_stolen


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_clean_suspect_that_confuses_the_classes_everywhere_is_not_accused(owner, painted, share):
    generator = torch.Generator().manual_seed(1)

    def careless(images):
        labels = Painted()(images).argmax(1)
        labels[torch.rand(len(images), generator=generator) < share] = 2
        return torch.nn.functional.one_hot(labels, 4).float()

    evidence = verify_border(careless, owner, KEY, painted, [mea.Oracle(owner.model)])
    assert not evidence.is_stolen
    assert evidence.is_decided == (share < 0.5)
    assert evidence.beyond.value > evidence.null_bound or not evidence.is_decided


def test_a_clean_suspect_that_errs_as_clean_models_do_is_not_accused(owner, painted):
    def errs(images):
        labels = Painted()(images).argmax(1)
        grey = images[:, 0, 0, 0].long()
        labels[(labels < 2) & (grey % 64 > 52)] = 2
        return torch.nn.functional.one_hot(labels, 4).float()

    assert verify_border(errs, owner, KEY, painted, [mea.Oracle(owner.model)]).is_stolen
    assert not verify_border(errs, owner, KEY, painted, [mea.Oracle(owner.model), errs]).is_stolen


def test_the_report_is_for_people_and_for_programs(owner, painted, tmp_path):
    evidence = verify_border(mea.Oracle(owner), owner, KEY, painted, [mea.Oracle(owner.model)])
    assert "Verdict: answers as the owner does at the border" in str(evidence)
    assert "by 1 clean model, beyond the border: at most 0.000" in str(evidence)
    evidence.save(tmp_path / "evidence.json")
    saved = json.loads((tmp_path / "evidence.json").read_text())
    assert saved["is_stolen"] is True
    assert saved["beyond"]["successes"] == saved["beyond"]["trials"] == 128
    assert saved["sources"] == ["a", "b"]


def test_a_budget_that_is_too_small_is_not_spent_in_part(owner, painted):
    suspect = mea.Oracle(owner, budget=591)
    with pytest.raises(mea.BudgetSpent, match="takes 592 queries"):
        verify_border(suspect, owner, KEY, painted, [mea.Oracle(owner.model)])
    assert suspect.queries == 0


def test_what_proves_nothing_is_refused(owner, painted):
    clean = [mea.Oracle(owner.model)]
    at_random = MarkedLabels(Painted(), KEY, painted, rate=0.25, choice="random")
    with pytest.raises(ValueError, match="must be 'border', not 'random'"):
        verify_border(clean[0], at_random, KEY, painted, clean)
    with pytest.raises(ValueError, match="at least one clean model"):
        verify_border(clean[0], owner, KEY, painted, [])
    with pytest.raises(ValueError, match="alpha must lie between 0 and 1"):
        verify_border(clean[0], owner, KEY, painted, clean, alpha=1)
    with pytest.raises(ValueError, match="controls must be at least 1"):
        verify_border(clean[0], owner, KEY, painted, clean, controls=0)
    unmoved = MarkedLabels(Painted(), KEY, painted, rate=0)
    with pytest.raises(ValueError, match="no image of a or b in painted lies beyond"):
        verify_border(clean[0], unmoved, KEY, painted, clean)
