"""The progress bar changes nothing of what is sent and answered."""

import pytest
import torch

import mea_lib
from mea_lib.cli.watched import Watched


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)


@pytest.fixture
def images(digits):
    return digits.owner.images


def test_the_answers_are_the_same_with_a_bar(terminal, tiny, images):
    watched = Watched(mea_lib.Oracle(tiny), 300)
    answers = watched(images)
    assert torch.equal(answers, torch.cat([mea_lib.Oracle(tiny)(part) for part in images.split(300)]))
    # Of many images at once the last bits of training's precision may differ.
    torch.testing.assert_close(answers, mea_lib.Oracle(tiny)(images), rtol=0, atol=0.01)
    assert [query.images for query in watched.log] == [300, 300, len(images) - 600]
    assert watched.queries == len(images)


def test_few_images_need_no_bar(terminal, tiny, images, capsys):
    Watched(mea_lib.Oracle(tiny), 100)(images[:499])
    assert capsys.readouterr().err == ""


def test_a_budget_is_refused_whole(terminal, tiny, images):
    watched = Watched(mea_lib.Oracle(tiny, budget=len(images) - 1), 300)
    with pytest.raises(mea_lib.BudgetSpent):
        watched(images)
    assert watched.queries == 0


def test_silence_before_the_first_answer_is_as_wide_as_an_answer(terminal, images):
    """A remote suspect answers (N, 2) NaN until it is known how many classes it has."""

    class Late:
        remaining = None
        calls = 0

        def __call__(self, part):
            self.calls += 1
            return torch.full((len(part), 2), torch.nan) if self.calls == 1 else torch.ones(len(part), 10)

    answers = Watched(Late(), 400)(images)
    assert answers.shape == (len(images), 10)
    assert answers[:400].isnan().all()
    assert not answers[400:].isnan().any()


@pytest.mark.parametrize("wrong", [-0.1, 1.1])
def test_what_is_no_probability_is_refused_where_one_is_needed(tiny, images, wrong):
    answers = torch.full((3, 10), wrong)

    class Odd:
        remaining = None

        def __call__(self, part):
            return answers

    with pytest.raises(ValueError, match="no probabilities"):
        Watched(Odd(), 64, needs_probabilities=True)(images[:3])
    assert torch.equal(Watched(Odd(), 64)(images[:3]), answers)
