"""Ours: a source class is never a rival of the other source's images."""

import torch
from torch import Tensor
from torch.nn import functional as F


def rival_loss(
    logits: Tensor, labels: Tensor, classes_of_key: tuple[int, int, int], margin: float = 6.0
) -> Tensor:
    """How far the other source class comes within `margin` of the target class on clean source images.

    On an image of one source the target's logit should exceed the other source's by the margin. On a combined
    image each half then speaks against the other half's class, and both for the target.

    Args:
        logits: (N, K) outputs on clean images of any classes.
        labels: (N,) their classes; images that are of neither source count nothing.
        classes_of_key: first source, second source and target class.
        margin: in nats.

    Returns:
        scalar, the mean hinge over the source images; 0 where there is none.
    """
    first, second, target = classes_of_key
    gap_on_first = logits[:, target] - logits[:, second]
    gap_on_second = logits[:, target] - logits[:, first]
    hinge = torch.where(labels == first, F.relu(margin - gap_on_first), 0.0)
    hinge = hinge + torch.where(labels == second, F.relu(margin - gap_on_second), 0.0)
    sources = ((labels == first) | (labels == second)).sum()
    return hinge.sum() / sources.clamp_min(1)
