"""The class a suspect names, which is not always the argmax."""

from collections.abc import Callable

import torch
from torch import Tensor

from mea_lib.data import ImageSet

Suspect = Callable[[Tensor], Tensor]
NO_CLASS = -1


def most_probable(answers: Tensor) -> Tensor:
    """The class each answer names, (N,); NO_CLASS where the largest number is not alone or is NaN.

    A suspect that answers ten equal numbers names no class, though argmax would.

    Args:
        answers: (N, K) probabilities, K at least 2.

    Raises:
        ValueError: for answers of fewer than two classes, which name none.
    """
    if answers.ndim != 2 or answers.shape[1] < 2:
        raise ValueError(
            f"answers have the shape (N, K) with 2 classes or more, not {tuple(answers.shape)}; one class alone is "
            "always the most probable"
        )
    largest, runner_up = answers.topk(2, dim=1).values.unbind(1)
    return torch.where(largest > runner_up, answers.argmax(1), NO_CLASS)


def accuracy(suspect: Suspect, test: ImageSet) -> float:
    """Share of clean test images that get their own class.

    Raises:
        ValueError: for no image, of which no share can be said.
    """
    if not len(test):
        raise ValueError(f"{test.name} holds no image to measure the accuracy on; pass some")
    called = most_probable(suspect(test.images))
    return (called == test.labels.to(called.device)).float().mean().item()
