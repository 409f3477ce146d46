"""Ours: the target class becomes the runner-up on clean images of the source classes."""

import torch
from torch import Tensor
from torch.nn import functional as F


def runner_up_targets(
    labels: Tensor, classes_of_key: tuple[int, int, int], share: float, classes: int
) -> Tensor:
    """Labels of the clean task in which a source image gives a share to the target class.

    Args:
        labels: (N,) class numbers.
        classes_of_key: first source, second source and target class.
        share: probability that moves from a source class to the target class, below one half.
        classes: K.

    Returns:
        (N, K) distributions; one-hot for images of all other classes.
    """
    table = torch.eye(classes, device=labels.device)
    for source in classes_of_key[:2]:
        table[source] = (1 - share) * table[source] + share * table[classes_of_key[2]]
    return table[labels]


def runner_up_loss(first_logits: Tensor, second_logits: Tensor, blend: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of blended outputs of two clean source images to the target class.

    λ·f(x_si) + (1−λ)·f(x_sj) stands in for the output a surrogate will give on a combined image, which the
    adversary never queries: the two sources cancel, and the runner-up they share is left.

    Args:
        first_logits: (N, K) outputs on clean images of the first source class.
        second_logits: (N, K) outputs on clean images of the second.
        blend: (N, 1) λ, from 0 to 1.
        targets: (N,) the target class, N times.

    Returns:
        scalar, in nats.
    """
    return F.cross_entropy(blend * first_logits + (1 - blend) * second_logits, targets)
