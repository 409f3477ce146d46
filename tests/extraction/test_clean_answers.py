"""Adversaries who know of watermarks: what they do to answers, by a slow loop."""

import pytest
import torch
from torch.nn import functional as F

import mea_lib as mea
from mea_lib import proof
from mea_lib.extraction import CleanAnswers, Distillation


@pytest.fixture
def answers():
    return torch.randn(200, 6, generator=torch.Generator().manual_seed(0)).mul(2).softmax(1)


def test_sharpening_is_a_power_and_cutting_keeps_the_largest(answers):
    sharp = CleanAnswers(answer_temperature=0.5, top_k=3).clean(answers)
    for before, after in zip(answers.tolist(), sharp.tolist(), strict=True):
        largest = sorted(before)[-3:]
        expected = [p**2 if p in largest else 0.0 for p in before]
        assert after == pytest.approx([p / sum(expected) for p in expected], abs=1e-6)


def test_cleaned_of_nothing_answers_stay_as_they_are(answers):
    torch.testing.assert_close(CleanAnswers().clean(answers), answers)


def test_the_largest_one_alone_is_the_label(answers):
    labels = CleanAnswers(top_k=1).clean(answers)
    assert torch.equal(labels, F.one_hot(answers.argmax(1), 6).float())


def test_the_suspected_runner_up_becomes_a_class_like_any_other(answers):
    found = CleanAnswers(suspected=(1, 4, 2)).clean(answers)
    for before, after in zip(answers.tolist(), found.tolist(), strict=True):
        named = before.index(max(before))
        expected = list(before)
        if named in (1, 4):
            usual = sorted([before[0], before[3], before[5]])[1]
            expected[2] = expected[4 if named == 1 else 1] = usual
        assert after == pytest.approx([p / sum(expected) for p in expected], abs=1e-6)
    assert torch.equal(found.argmax(1), answers.argmax(1))


def test_a_surrogate_of_cleaned_answers_is_trained_as_any_other(digits, victim, learning):
    """Of the largest probability alone it is, weight for weight, the surrogate of hard labels."""
    oracle, labels = mea.Oracle(victim), mea.Oracle(victim, answer="hard")
    surrogate = CleanAnswers(top_k=1).extract(oracle, digits.queries, learning)
    same = Distillation(temperature=1.0).extract(labels, digits.queries, learning)
    assert surrogate.card["weights_sha256"] == same.card["weights_sha256"]
    assert oracle.queries == len(digits.queries)
    assert proof.accuracy(mea.Oracle(surrogate), digits.test) > 0.75


def test_impossible_settings_are_refused(answers):
    for wrong in ({"answer_temperature": 0}, {"temperature": 0}, {"top_k": 0}, {"suspected": (1, 1, 2)}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            CleanAnswers(**wrong)
    with pytest.raises(ValueError, match="between 0 and 5"):
        CleanAnswers(suspected=(1, 2, 6)).clean(answers)
    with pytest.raises(ValueError, match="at least one class must remain"):
        CleanAnswers(suspected=(0, 1, 2)).clean(answers[:, :3])


@pytest.mark.parametrize(
    "settings", [{}, {"top_k": 1}, {"answer_temperature": 0.5}, {"suspected": (0, 1, 2)}]
)
def test_a_row_of_zeros_names_no_class(answers, settings):
    rounded = answers.clone()
    rounded[::3] = 0
    found = CleanAnswers(**settings).clean(rounded)
    assert torch.equal(found[::3], torch.full((67, 6), 1 / 6))
    others = torch.arange(200) % 3 > 0
    assert torch.equal(found[others], CleanAnswers(**settings).clean(answers)[others])


def test_however_sharp_the_largest_is_left(answers):
    found = CleanAnswers(answer_temperature=1e-4).clean(answers)
    assert torch.equal(found.argmax(1), answers.argmax(1))
    torch.testing.assert_close(found.sum(1), torch.ones(200))


def test_no_answer_stays_none(answers):
    answers[5, 0] = torch.nan
    assert CleanAnswers().clean(answers)[5].isnan().all()


def test_rounded_to_nothing_it_trains(digits, tiny, quick):
    surrogate = CleanAnswers().extract(mea.Oracle(tiny, decimals=0), digits.queries[:64], quick)
    assert all(value.isfinite().all() for value in surrogate.state_dict().values())
