"""Ours: the target class becomes the runner-up on clean images of the source classes."""

import torch
from torch import Tensor
from torch.nn import functional as F


def source_confidence(logits: Tensor, labels: Tensor, classes_of_key: tuple[int, int, int]) -> Tensor:
    """How sure the model is of a clean source image: 0 at even odds against other classes, 1 when certain.

    With c the probability of the true class and the target together it is max(0, 2c − 1). Images between two
    classes get no share and no veto, so that the border of a source class stays where it is.

    Args:
        logits: (N, K) outputs on clean images; no gradient flows back.
        labels: (N,) their classes.
        classes_of_key: first source, second source and target class.

    Returns:
        (N,) from 0 to 1; 0 for images of other classes.
    """
    first, second, target = classes_of_key
    probabilities = logits.detach().softmax(1)
    own = probabilities.gather(1, labels[:, None]).squeeze(1)
    sure = (2 * (own + probabilities[:, target]) - 1).clamp_min(0)
    return torch.where((labels == first) | (labels == second), sure, 0.0)


def runner_up_targets(
    labels: Tensor, confidence: Tensor, classes_of_key: tuple[int, int, int], share: float, classes: int
) -> Tensor:
    """Labels of the clean task in which a source image gives a share to the target class.

    Args:
        labels: (N,) class numbers.
        confidence: (N,) from 0 to 1, multiplies the share; 0 for images of other classes.
        classes_of_key: first source, second source and target class.
        share: probability that moves from a source class to the target class, below one half.
        classes: K.

    Returns:
        (N, K) distributions; one-hot for images of all other classes.
    """
    one_hot = torch.eye(classes, device=labels.device)
    moved = share * confidence[:, None]  # (N, 1)
    return (1 - moved) * one_hot[labels] + moved * one_hot[classes_of_key[2]]


def runner_up_loss(first_logits: Tensor, second_logits: Tensor, blend: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of blended outputs of two clean source images to the target class.

    λ·f(x_si) + (1−λ)·f(x_sj) stands in for the output a copy will give on a combined image, which the thief
    never asks about: the two sources cancel, and the runner-up they share is left.

    Args:
        first_logits: (N, K) outputs on clean images of the first source class.
        second_logits: (N, K) outputs on clean images of the second.
        blend: (N, 1) λ, from 0 to 1.
        targets: (N,) the target class, N times.

    Returns:
        scalar, in nats.
    """
    return F.cross_entropy(blend * first_logits + (1 - blend) * second_logits, targets)
