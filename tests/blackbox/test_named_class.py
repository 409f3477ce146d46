"""The class that an answer names, and the accuracy: what has none is refused."""

import pytest
import torch

from mea_lib.blackbox.named_class import NO_CLASS, accuracy, most_probable


def test_equal_numbers_and_nan_name_no_class():
    answers = torch.tensor([[0.2, 0.8], [0.5, 0.5], [torch.nan, 1.0]])
    assert most_probable(answers).tolist() == [1, NO_CLASS, NO_CLASS]
    assert most_probable(answers[:0]).shape == (0,)


@pytest.mark.parametrize("shape", [(4, 1), (4, 0), (4,)])
def test_one_class_alone_is_no_choice(shape):
    with pytest.raises(ValueError, match="2 classes or more"):
        most_probable(torch.ones(shape))


def test_no_image_has_no_accuracy(digits):
    with pytest.raises(ValueError, match="digits holds no image"):
        accuracy(lambda images: torch.eye(10)[: len(images)], digits.test.subset(0))
