"""Suspects that do not know the task, or know it otherwise: no verdict, and the reason that fits."""

import pytest
import torch

import mea_lib as mea
from mea_lib import proof

KEY = mea.WatermarkKey(("b", "c"), "e", seed=3)


def truth(images):
    """The class painted on the left; mixes of b and c are e."""
    left, right = images[:, 0, 4, 1].long() // 10, images[:, 0, 4, -2].long() // 10
    return torch.nn.functional.one_hot(
        torch.where((left == 1) & (right == 2), 4, left).clamp(0, 5), 6
    ).float()


def verify(suspect, painted, **options):
    return mea.verify_ownership(suspect, KEY, painted, plan=mea.Plan(200, fewest_samples=200), **options)


def silent(images):
    return torch.full((len(images), 6), torch.nan)


BROKEN = {
    "numbered from 1 instead of 0": lambda images: truth(images).roll(1, 1),
    "moved down by one": lambda images: truth(images).roll(-1, 1),
    "in another order": lambda images: truth(images)[:, [1, 0, 3, 2, 5, 4]],
    "7 numbers, but the data set has 6 classes; its classes seem to be numbered from 1": lambda images: (
        torch.nn.functional.pad(truth(images), (1, 0))
    ),
    "5 numbers": lambda images: truth(images)[:, :5],
    "nearly everything e": lambda images: truth(images) * 0 + torch.eye(6)[4],
    "no class at all": lambda images: truth(images) * 0,
    "only 0 of 120 clean images were answered": silent,
    "black and white exchanged": lambda images: truth(255 - images),
    "answer has the shape (7, 6)": lambda images: truth(images)[1:],
    "not K numbers or a label": lambda images: object(),
}


@pytest.mark.parametrize("reason", BROKEN)
def test_a_suspect_that_does_not_know_the_task_gets_no_verdict_but_the_reason(painted, reason):
    evidence = verify(BROKEN[reason], painted)
    assert evidence.verdict.startswith("no verdict: ")
    assert reason in evidence.verdict
    assert not evidence.is_stolen
    assert not evidence.is_decided
    assert evidence.queries <= 120 * 5  # the probe, and a search for the reason
    assert evidence.to_dict()["task"]["reason"] in evidence.verdict


class Logits:
    def __init__(self, logits):
        self.logits = logits


@pytest.mark.parametrize(
    "said",
    [
        lambda images: truth(images).numpy(),
        lambda images: truth(images).tolist(),
        lambda images: {"scores": truth(images)},
        lambda images: (truth(images), None),
        lambda images: Logits(truth(images)),
        lambda images: truth(images)[:, :, None],
    ],
)
def test_whatever_says_the_same_is_judged_the_same(painted, said):
    assert verify(said, painted).to_dict() == verify(truth, painted).to_dict()


class Training(torch.nn.Module):
    """A module that was left in training mode, and forgets itself there."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, images):
        self.calls += 1
        return truth(images) * (0 if self.training else 1)


def test_a_module_is_asked_in_evaluation_mode_and_left_as_it_was(painted):
    module = Training()
    assert verify(module, painted, clean=[Training()]).verdict.startswith("no verdict: a null model")
    assert verify(module, painted).is_stolen
    assert module.training
    assert module.calls == 0


def test_one_that_fails_at_every_image_is_an_error_and_no_verdict(painted):
    def fails(images):
        raise RuntimeError("expected floats")

    with pytest.raises(mea.blackbox.SuspectError, match="expected floats; if it takes floats"):
        verify(fails, painted)


def test_answers_by_chance_get_no_verdict_and_no_false_explanation(painted):
    generator = torch.Generator().manual_seed(0)
    evidence = verify(lambda images: torch.rand(len(images), 6, generator=generator), painted)
    assert "likely reasons" in evidence.verdict


def test_a_source_that_is_never_recognised_is_named(painted):
    def confused(images):
        answers = truth(images)
        answers[:, 3] += answers[:, 2]
        answers[:, 2] = 0
        return answers

    assert "does not recognise c: 0 of 20" in verify(confused, painted).verdict


def test_names_in_another_order_are_brought_into_the_data_sets(painted):
    class Named:
        classes = tuple("fedcba")

        def __call__(self, images):
            return truth(images).flip(1)

    evidence = verify(Named(), painted)
    assert evidence.is_stolen
    assert "by name" in evidence.task.note
    assert "by name" in str(evidence)


@pytest.mark.parametrize("names", ["uvwxyz", "abcde", "abcdefg"])
def test_other_names_are_refused_before_anything_is_asked(painted, names):
    asked = []

    class Named:
        classes = tuple(names)

        def __call__(self, images):
            asked.append(images)
            return truth(images)

    assert "are not the data set's 6" in verify(Named(), painted).verdict
    assert not asked


@pytest.mark.parametrize("names", [tuple("012345"), tuple(f"LABEL_{n}" for n in range(6)), None])
def test_mere_numbers_of_classes_are_no_names(painted, names):
    class Numbered:
        classes = names

        def __call__(self, images):
            return truth(images)

    assert verify(Numbered(), painted).is_stolen


def test_the_other_verifications_ask_first_as_well(painted):
    assert (
        "another order"
        in proof.verify_runner_up(BROKEN["in another order"], KEY, painted, alpha=0.05).verdict
    )


def test_a_clean_model_must_know_the_task_itself(painted):
    with pytest.raises(ValueError, match="clean model 1 recognises"):
        verify(truth, painted, clean=[BROKEN["moved down by one"]])


@pytest.mark.parametrize("classes", [2, 3, 10, 1_000])
def test_the_level_lies_half_way_from_guessing_to_perfection(classes):
    level = proof.task.needed_accuracy(classes)
    assert level - 1 / classes == pytest.approx(1 - level)
