"""How far the inner representations of two groups of images point apart, layer by layer."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def representation_similarity_loss(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """Σ_layers (1 − cos(mean of the first group, mean of the second)).

    Args:
        first: of each layer the (N, …) representations of one group.
        second: of each layer the (M, …) representations of the other, of the same shape after the first dimension.

    Returns:
        scalar in float32, from 0, where the means point the same way in all layers, to twice their number.

    Raises:
        ValueError: for other numbers of layers, or shapes that differ.

    Source: Class-Feature Watermark (AAAI 2026), representation similarity; its released code adds −cos, which differs
    by a constant.
    """
    if len(first) != len(second):
        raise ValueError(f"both groups need the same layers, not {len(first)} and {len(second)}")
    total = torch.zeros((), device=first[0].device if first else None)
    for one, other in zip(first, second, strict=True):
        if one.shape[1:] != other.shape[1:]:
            raise ValueError(
                "representations of a layer have one shape, "
                f"not {tuple(one.shape[1:])} and {tuple(other.shape[1:])}"
            )
        means = [group.float().mean(0).flatten() for group in (one, other)]
        total = total + 1 - F.cosine_similarity(*means, dim=0)
    return total
