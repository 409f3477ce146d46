"""What a suspect calls mixes of two classes, by hand."""

import pytest
import torch

from mea_lib.blackbox.named_class import NO_CLASS, accuracy, most_probable
from mea_lib.blackbox.pair_mixes import labels_of_pairs, third_class
from mea_lib.data import ImageSet


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 1, 3, 3, 2], (3, 0.4)),
        ([0, 0, 1, 1], (NO_CLASS, 0.0)),
        ([NO_CLASS, NO_CLASS, NO_CLASS, 2], (2, 0.25)),
        ([NO_CLASS, NO_CLASS], (NO_CLASS, 0.0)),
        ([1, 1, 1, 1, 4], (4, 0.2)),
    ],
)
def test_the_third_class_is_the_most_frequent_outside_the_pair(labels, expected):
    assert third_class(torch.tensor(labels), (0, 1), 5) == (expected[0], pytest.approx(expected[1]))


def test_each_pair_gets_the_labels_of_its_own_mixes():
    labels = torch.arange(4).repeat_interleave(5)
    images = (labels * 10).to(torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4).contiguous()
    painted = ImageSet(images, labels, tuple("abcd"), "painted")
    questions = []

    def right_half(asked):
        questions.append(len(asked))
        return torch.nn.functional.one_hot(asked[:, 0, 0, -1].long() // 10, 4).float()

    pairs = [(0, 1), (2, 3), (3, 1)]
    found = labels_of_pairs(right_half, painted, pairs, 7, "left-right", torch.Generator())
    assert [part.tolist() for part in found] == [[second] * 7 for _, second in pairs]
    assert questions == [21]
    assert labels_of_pairs(right_half, painted, [], 7, "left-right", torch.Generator()) == ()


def test_an_answer_that_names_no_class_is_not_right():
    answers = torch.tensor([[0.6, 0.4, 0.0], [0.5, 0.5, 0.0], [float("nan")] * 3, [0.1, 0.2, 0.7]])
    assert most_probable(answers).tolist() == [0, NO_CLASS, NO_CLASS, 2]
    four = ImageSet(
        torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 0, 0, 1]), tuple("abc"), "four"
    )
    assert accuracy(lambda images: answers, four) == 0.25


def test_mixes_of_no_number_are_refused(digits):
    with pytest.raises(ValueError, match="at least 1"):
        labels_of_pairs(None, digits.test, [(0, 1)], 0, "left-right", torch.Generator())
