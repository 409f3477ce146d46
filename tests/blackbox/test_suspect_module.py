"""A suspect before which an API is set: what its answers are is decided once, and silence stays silence."""

import pytest
import torch

from mea_lib import Oracle
from mea_lib.blackbox import AnswerFormat, SuspectError, as_suspect
from mea_lib.blackbox.in_order import InOrder
from mea_lib.blackbox.suspect_module import SuspectModule

IMAGES = torch.arange(200, dtype=torch.uint8).view(-1, 1, 1, 1)
# By the image's grey: logits of which some look like probabilities.
LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.2, 0.5, 0.3], [1.0, 3.0, -2.0], [0.9, 0.05, 0.05]])


def logits(images):
    return LOGITS[images.flatten().long() % 4]


def probabilities(images):
    return logits(images).softmax(1)


def api(model, **settings):
    return Oracle(SuspectModule(as_suspect(model, **settings)))


@pytest.mark.parametrize("settings", [{"answers": "logits"}, {}], ids=["declared", "found out"])
def test_an_answer_does_not_depend_on_its_neighbours(settings):
    together = api(logits, **settings)(IMAGES[:40])
    oracle = api(logits, **settings)
    oracle(IMAGES[:4])
    alone = torch.cat([oracle(image[None]) for image in IMAGES[:40]])
    torch.testing.assert_close(alone, together)
    torch.testing.assert_close(together, logits(IMAGES[:40]).softmax(1))


def test_probabilities_stay_what_they_are():
    for settings in ({}, {"answers": "probabilities"}, {"answers": AnswerFormat("probabilities", number=3)}):
        torch.testing.assert_close(api(probabilities, **settings)(IMAGES), probabilities(IMAGES))


def test_declared_probabilities_of_low_precision_are_brought_to_the_sum_1():
    def rounded(images):
        return torch.tensor([[0.3, 0.6, -0.0005]]).expand(len(images), 3)

    found = api(rounded, answers="probabilities")(IMAGES[:5])
    torch.testing.assert_close(found, torch.tensor([[1 / 3, 2 / 3, 0.0]]).expand(5, 3))


def test_what_contradicts_the_first_answers_is_said():
    oracle = api(lambda images: probabilities(images) if images.max() < 50 else logits(images))
    oracle(IMAGES[:50])
    with pytest.raises(SuspectError, match="answers=logits or answers=probabilities"):
        oracle(IMAGES[50:60])


def test_a_suspect_in_another_order_says_what_its_answers_are_too():
    suspect = as_suspect(probabilities, answers="probabilities", classes=("a", "b", "c"))
    found = Oracle(SuspectModule(InOrder(suspect, ("c", "b", "a"))))(IMAGES[:5])
    torch.testing.assert_close(found, probabilities(IMAGES[:5]).flip(1))


@pytest.mark.parametrize("answer", ["soft", "hard"])
def test_an_image_without_an_answer_changes_no_other(answer):
    def sometimes(images):
        rows = probabilities(images)
        rows[images.flatten() % 10 == 3] = torch.nan
        return rows

    whole, found = (
        Oracle(SuspectModule(as_suspect(model)), answer=answer)(IMAGES)
        for model in (probabilities, sometimes)
    )
    silent = IMAGES.flatten() % 10 == 3
    assert found[silent].isnan().all()
    assert torch.equal(found[~silent], whole[~silent])
