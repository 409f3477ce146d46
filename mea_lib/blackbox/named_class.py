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
        answers: (N, K) probabilities.
    """
    largest, runner_up = answers.topk(2, dim=1).values.unbind(1)
    return torch.where(largest > runner_up, answers.argmax(1), NO_CLASS)


def accuracy(suspect: Suspect, test: ImageSet) -> float:
    """Share of clean test images that get their own class."""
    return (most_probable(suspect(test.images)) == test.labels).float().mean().item()
